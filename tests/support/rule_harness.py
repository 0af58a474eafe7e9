"""Compiles rules from text and runs events through them, as a decision worker would, in memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from data_sharing.event import Event
from data_sharing.rules.cell_cache import CellCache, CellId, StoredCell
from data_sharing.rules.compiler import (
    check_document,
    compile_forecast,
    compile_rule,
    parse,
)
from data_sharing.rules.document_faults import InvalidDocument
from data_sharing.rules.effects import PlanView
from data_sharing.rules.feed_schema import FeedSchema
from data_sharing.rules.results import EvaluationResult, RuleOutcome, RuleVerdict, Timer
from data_sharing.rules.ruleset import RuleSet

TENANT = "home"
OPEN: Mapping[str, Any] = {"type": "object", "additionalProperties": True}


class AnyFeed:
    """Every feed exists; those that are not given have an open schema."""

    def __init__(self, given: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._given = dict(given or {})

    def get(self, feed: str, /) -> FeedSchema | None:
        return FeedSchema(feed, self._given.get(feed, OPEN))


def rules_of(
    text: str, *, version: int = 1, schemas: Mapping[str, Mapping[str, Any]] | None = None
) -> RuleSet:
    """Raises InvalidDocument or InvalidInput."""
    document, feeds = parse(text), AnyFeed(schemas)
    check_document(document)
    forecasts = {
        one.forecast: compile_forecast(one, tenant=TENANT, schemas=feeds)
        for one in document.forecasts
    }
    rules = [
        compile_rule(one, tenant=TENANT, version=version, schemas=feeds, forecasts=forecasts)
        for one in document.rules
    ]
    return RuleSet(rules, forecasts.values())


def faults_of(text: str, schemas: Mapping[str, Mapping[str, Any]] | None = None) -> list[str]:
    """The messages of what is wrong; empty: nothing."""
    try:
        rules_of(text, schemas=schemas)
    except InvalidDocument as error:
        return [one.message for one in error.faults]
    return []


class Shelf:
    """Plans by key, as views."""

    def __init__(self, plans: Mapping[str, Sequence[PlanView]] | None = None) -> None:
        self.plans = dict(plans or {})

    def of(self, tenant: str, key: str, named: str | None) -> Sequence[PlanView]:
        found = self.plans.get(key, ()) if tenant == TENANT else ()
        return [one for one in found if named in (None, one.name)]


class RuleHarness:
    """A clock that is the newest event's time unless told otherwise, stored cells and timers."""

    def __init__(self, rules: RuleSet, plans: Shelf | None = None) -> None:
        self.rules = rules
        self.plans = plans or Shelf()
        self.stored: dict[CellId, StoredCell] = {}
        self.timers: dict[str, Timer] = {}
        self.state = CellCache(self.stored.get)
        self.position = 0
        self.now_ms = 0
        self.decided: list[EvaluationResult] = []

    def event(
        self,
        feed: str,
        data: Mapping[str, Any] | None = None,
        *,
        at_s: float = 0.0,
        key: str = "k",
        now_s: float | None = None,
        explaining: bool = False,
        whole: bool = False,
    ) -> EvaluationResult:
        """Timers that are due by then come first."""
        self.position += 1
        event = Event(
            TENANT, "app", f"e{self.position}", feed, key, round(at_s * 1_000), data or {}, "",
            self.position,
        )  # fmt: skip
        now_ms = event.time_ms if now_s is None else round(now_s * 1_000)
        self.pass_to(max(self.now_ms, now_ms) / 1_000)
        decided = self.rules.decide(
            event, now_ms=self.now_ms, state=self.state, plans=self.plans, explaining=explaining,
            whole=whole,
        )  # fmt: skip
        self._take(decided)
        return decided

    def pass_to(self, at_s: float) -> list[EvaluationResult]:
        """Lets time pass and timers come due, the earliest first."""
        until_ms, found = round(at_s * 1_000), []
        while True:
            waiting = [(one.due_ms, name) for name, one in self.timers.items()]
            heapq.heapify(waiting)
            if not waiting or waiting[0][0] > until_ms:
                break
            timer = self.timers.pop(waiting[0][1])
            self.now_ms = max(self.now_ms, timer.due_ms)
            decided = self.rules.due(timer, now_ms=self.now_ms, state=self.state, plans=self.plans)
            self._take(decided)
            found.append(decided)
        self.now_ms = max(self.now_ms, until_ms)
        return found

    def _take(self, decided: EvaluationResult) -> None:
        for name in decided.dropped:
            self.timers.pop(name, None)
        self.timers.update({timer.id: timer for timer in decided.timers})
        self.decided.append(decided)

    def store(self) -> None:
        """As a worker does with each batch."""
        for write in self.state.drain():
            if write.content is None:
                self.stored.pop(write.id, None)
            else:
                self.stored[write.id] = StoredCell(write.content, write.producer)

    def restart(self, rules: RuleSet | None = None) -> None:
        """A new worker on what was stored."""
        self.state = CellCache(self.stored.get)
        self.rules = rules or self.rules


def verdicts(decided: EvaluationResult) -> list[str]:
    return [str(one.verdict) for one in decided.outcomes]


def fired(found: EvaluationResult | Iterable[EvaluationResult]) -> list[RuleOutcome]:
    """The outcomes of rules that fired."""
    every = [found] if isinstance(found, EvaluationResult) else found
    return [one for each in every for one in each.outcomes if one.verdict is RuleVerdict.FIRED]


def ids(outcome: RuleOutcome) -> list[str]:
    """Of the events that took part."""
    return [one.id for one in outcome.events]

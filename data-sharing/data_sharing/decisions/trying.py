"""Trying: a rules document on sample events, as deciding would be, keeping nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from control_plane.errors import InvalidInput
from data_sharing.decisions.rulebook import KeptRule, Rulebook
from data_sharing.event import Event
from data_sharing.plans.changing import apply
from data_sharing.plans.plan import EventPlan, created
from data_sharing.plans.spec import parse_plan
from data_sharing.plans.view import view
from data_sharing.rules.compiling import check_document, parse
from data_sharing.rules.decided import Decided, RuleOutcome, Timer
from data_sharing.rules.effects import PlanChange, PlanView
from data_sharing.rules.ruleset import RuleSet
from data_sharing.rules.state import State

MOST_TIMERS = 1_000


class Tried(NamedTuple):
    """What came of one sample event, or of a timer."""

    event: str  # its id
    outcomes: tuple[RuleOutcome, ...]


class _Samples:
    """Plans that are kept for the length of a trial."""

    def __init__(self, plans: Sequence[EventPlan]) -> None:
        self._plans = {plan.id: plan for plan in plans}
        self.now_ms = 0

    def of(self, tenant: str, key: str, named: str | None) -> Sequence[PlanView]:
        return [
            view(plan, now_ms=self.now_ms)
            for name, plan in sorted(self._plans.items())
            if key in plan.keys and (named is None or plan.name == named)
        ]

    def take(self, decided: Decided) -> None:
        for effect in decided.effects:
            if isinstance(effect, PlanChange) and effect.plan_id in self._plans:
                plan = self._plans[effect.plan_id]
                self._plans[plan.id] = apply(plan, effect, now_ms=self.now_ms).plan


def try_rules(
    rulebook: Rulebook,
    tenant: str,
    text: str,
    *,
    events: Sequence[Mapping[str, Any]],
    plans: Sequence[Mapping[str, Any]],
) -> list[Tried]:
    """Raises InvalidInput naming what does not compile or is no event."""
    document = parse(text)
    check_document(document)
    kept = [KeptRule(tenant=tenant, version=1, spec=one, applied_ms=0) for one in document.rules]
    rules = RuleSet(*rulebook.compile(tenant, document, kept))
    samples = [_event(tenant, event, place) for place, event in enumerate(events)]
    start_ms = samples[0].time_ms if samples else 0
    book = _Samples(
        [created(tenant, parse_plan(msgspec.json.encode(one).decode()), start_ms) for one in plans]
    )
    state, timers, tried = State(lambda cell: None), dict[str, Timer](), list[Tried]()

    def take(name: str, decided: Decided) -> None:
        book.take(decided)
        for gone in decided.dropped:
            timers.pop(gone, None)
        timers.update({timer.id: timer for timer in decided.timers})
        tried.append(Tried(name, decided.outcomes))

    def run_timers(until_ms: int) -> None:
        while timers and len(tried) < MOST_TIMERS + len(samples):
            timer = min(timers.values(), key=lambda one: (one.due_ms, one.id))
            if timer.due_ms > until_ms:
                return
            del timers[timer.id]
            book.now_ms = max(book.now_ms, timer.due_ms)
            take(
                timer.id,
                rules.due(timer, now_ms=book.now_ms, state=state, plans=book, explaining=True),
            )

    for event in samples:
        run_timers(event.time_ms)
        book.now_ms = max(book.now_ms, event.time_ms)
        take(
            event.id,
            rules.decide(event, now_ms=book.now_ms, state=state, plans=book, explaining=True),
        )
    run_timers(1 << 62)
    return tried


def _event(tenant: str, given: Mapping[str, Any], place: int) -> Event:
    """A sample in the CloudEvents JSON format; `key`, `id` and `source` may be left out."""
    data, field = given.get("data", {}), f"events[{place}]"
    if not isinstance(given.get("type"), str) or not isinstance(data, Mapping):
        raise InvalidInput(field, f"{field}: needs a type, and data: an object")
    try:
        at = datetime.fromisoformat(str(given.get("time", "1970-01-01T00:00:00Z")))
    except ValueError as error:
        raise InvalidInput(f"{field}.time", f"{field}.time: {error}") from error
    return Event(
        tenant=tenant,
        source=str(given.get("source", "/samples")),
        id=str(given.get("id", place + 1)),
        type=given["type"],
        key=str(given.get("key", given.get("subject", ""))),
        time_ms=int(at.timestamp() * 1000),
        data=dict(data),
        subject=str(given.get("subject", "")),
        position=place + 1,
    )

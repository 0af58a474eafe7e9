"""HoldBacks: what keeps a rule from firing although it matched: it is outside its hours, or has
fired too often.

Outside its hours a firing is dropped, or deferred to the next opening; there it is asked for
again. What is counted and what is deferred is in the rule's own state, so it is stored with the
decision that made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import NamedTuple

from data_sharing.calendars.zoned_time import shown
from data_sharing.event import Event
from data_sharing.forecasts.spec import shown as duration_text
from data_sharing.rules import rate_limits
from data_sharing.rules.cell_cache import Deferred, RuleCell, StoredEvent
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.counted_firings import CountedFirings
from data_sharing.rules.evaluation_context import EvaluationContext, stored_events
from data_sharing.rules.results import RuleVerdict, Timer
from data_sharing.rules.rule_state_store import RuleStateStore

MOST_DEFERRED = 16  # at one key, where all are wanted


class HeldBack(NamedTuple):
    """Why a rule does not fire now."""

    verdict: RuleVerdict
    detail: str


class HoldBacks:
    """Of one rule within one evaluation."""

    def __init__(
        self, context: EvaluationContext, rule: CompiledRule, states: RuleStateStore
    ) -> None:
        self._context, self._rule, self._states = context, rule, states
        self._of_key = [one for one in rule.limits if not one.of_rule]
        self._of_rule = [one for one in rule.limits if one.of_rule]
        self._firings = CountedFirings(context, rule)

    def check(
        self,
        cell: RuleCell | None,
        key: str,
        plan_id: str,
        events: Mapping[str, Sequence[Event | StoredEvent]],
    ) -> HeldBack | None:
        """None: nothing does. A firing that is to be deferred is kept in the cell."""
        rule, clock_ms = self._rule, self._context.clock_ms
        if cell is None:
            return None
        if rule.hours is not None:
            opens_ms = rule.hours.next_opening(clock_ms)
            if opens_ms != clock_ms:
                return self._quiet(cell, key, plan_id, events, opens_ms)
        found = None
        if self._of_key:
            found = rate_limits.exceeded(
                self._of_key, self._firings.at_key(cell, key), self._context.now_ms
            )
        if self._of_rule:
            times = self._firings.of_rule(key)
            wider = rate_limits.exceeded(self._of_rule, times, self._context.now_ms)
            if wider is not None and (found is None or wider.next_ms > found.next_ms):
                found = wider
        return None if found is None else HeldBack(RuleVerdict.LIMITED, self._limited(found))

    def count(self, cell: RuleCell | None, key: str) -> None:
        """The rule fires."""
        if not self._rule.limits or cell is None:
            return
        now_ms = self._context.now_ms
        if self._of_key:
            self._firings.add_at_key(self._of_key, cell, key, now_ms)
            self._states.save(cell, key, cell.newest_ms)
        if self._of_rule:
            self._firings.add_of_rule(self._of_rule, key, now_ms)

    def _quiet(
        self,
        cell: RuleCell,
        key: str,
        plan_id: str,
        events: Mapping[str, Sequence[Event | StoredEvent]],
        opens_ms: int | None,
    ) -> HeldBack:
        rule, given = self._rule, self._rule.spec.active_hours
        assert rule.hours is not None
        assert given is not None
        if opens_ms is None:
            return HeldBack(RuleVerdict.QUIET_HOURS, "outside its hours, and none are near")
        opens = shown(opens_ms, rule.hours.zone)
        if given.outside == "drop":
            said = f"outside its hours, which open at {opens}; it is dropped"
            return HeldBack(RuleVerdict.QUIET_HOURS, said)
        latest = given.fold == "latest"
        if latest:
            cell.deferred = [one for one in cell.deferred if one.plan_id != plan_id]
        cell.deferred.append(Deferred(opens_ms, plan_id, stored_events(events)))
        over = len(cell.deferred) - MOST_DEFERRED
        if over > 0:
            del cell.deferred[:over]
            cell.evicted += over
            evicted = self._context.evicted
            evicted[rule.id] = evicted.get(rule.id, 0) + over
        self._context.set_timer(Timer(rule.tenant, rule.state, "deferred", key, "", opens_ms))
        self._states.save(cell, key, cell.newest_ms)
        said = f"outside its hours; deferred to {opens}, when they open"
        said += ", in place of what was" if latest else f", one of {len(cell.deferred)}"
        if over > 0:
            said += f"; the oldest made room, {cell.evicted:,} so far at this key"
        return HeldBack(RuleVerdict.DEFERRED, said)

    def _limited(self, found: rate_limits.Exceeded) -> str:
        limit = found.limit
        since, following = shown(found.since_ms, UTC), shown(found.next_ms, UTC)
        times = "once" if found.fired == 1 else f"{found.fired:,} times"
        where = "at all keys" if limit.of_rule else "at this key"
        return (
            f"fired {times} {where} since {since}, of at most {limit.at_most:,} in "
            f"{duration_text(limit.per_ms)}; the next may be at {following}"
        )

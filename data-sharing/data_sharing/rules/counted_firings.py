"""CountedFirings: when a rule fired of late, as its limits count it, also while two versions of it
decide.

In a rollout both versions count what they would have done at every key, and beside it what was
done, by whichever version acted. A version that acts at a key is held to what was done: so a limit
is one limit, however keys change hands between them. One that does not act is held to what it would
have done itself, which is what the versions are compared by. Afterwards what was done is what is
left.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from data_sharing.rules import rate_limits
from data_sharing.rules.cell_cache import CellId, LimitCell, RuleCell
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.evaluation_context import EvaluationContext
from data_sharing.rules.rate_limits import MOST_FIRINGS, RateLimit
from data_sharing.rules.rollout import CANDIDATE

_SLACK_MS = 3_600_000


class CountedFirings:
    """Of one version of a rule within one evaluation."""

    def __init__(self, context: EvaluationContext, rule: CompiledRule) -> None:
        self._context, self._rule = context, rule
        self._in_rollout = bool(rule.activation.rollout)

    def at_key(self, cell: RuleCell, key: str) -> Sequence[int]:
        """What limits of a key are held to. cell: the version's at this key."""
        if not self._acts(key):
            return cell.limited_ms
        return self._done_at(cell, key)

    def of_rule(self, key: str) -> Sequence[int]:
        """What limits of the whole rule are held to, for a firing at this key."""
        cell = self._limit_cell(self._rule.state)
        return self._done(cell) if self._acts(key) else cell.fired_ms

    def add_at_key(
        self, limits: Sequence[RateLimit], cell: RuleCell, key: str, now_ms: int
    ) -> None:
        """The version fires at this key. Changes its cell, which the caller saves."""
        if not self._in_rollout:
            cell.limited_ms, cell.acted_ms = list(self._done_at(cell, key)), None
            rate_limits.add(limits, cell.limited_ms, now_ms)
            return
        done = list(self._done_at(cell, key))
        rate_limits.add(limits, cell.limited_ms, now_ms)
        if self._acts(key):
            if self._rule.activation.other:
                self._tell_other(limits, key, [*done], now_ms)
            rate_limits.add(limits, done, now_ms)
        cell.acted_ms = done

    def add_of_rule(self, limits: Sequence[RateLimit], key: str, now_ms: int) -> None:
        """The version fires at this key, of which limits of the whole rule are told."""
        state, longest_ms = self._context.state, max(one.per_ms for one in limits)
        expires_ms = now_ms + longest_ms + _SLACK_MS
        cell = self._limit_cell(self._rule.state)
        done = list(self._done(cell))
        if not self._in_rollout:
            rate_limits.add(limits, done, now_ms)
            state.put(self._limit_name(self._rule.state), LimitCell(done), expires_ms)
            return
        rate_limits.add(limits, cell.fired_ms, now_ms)
        if self._acts(key):
            if self._rule.activation.other:
                other = self._limit_cell(self._rule.activation.other)
                _keep(told := [*done], now_ms)
                name = self._limit_name(self._rule.activation.other)
                state.put(name, LimitCell(other.fired_ms, told), expires_ms)
            rate_limits.add(limits, done, now_ms)
        state.put(self._limit_name(self._rule.state), LimitCell(cell.fired_ms, done), expires_ms)

    def _acts(self, key: str) -> bool:
        return not self._in_rollout or self._rule.activation.acts_for(self._rule.id, key)

    def _done_at(self, cell: RuleCell, key: str) -> list[int]:
        """What was done at the key by either version."""
        if cell.acted_ms is not None:
            return cell.acted_ms
        if not self._rule.activation.candidate:
            return cell.limited_ms  # no version has fired since the rollout began
        other: RuleCell | None = self._context.state.get(self._other_name(key))
        if other is None:
            return []
        return other.limited_ms if other.acted_ms is None else other.acted_ms

    def _done(self, cell: LimitCell) -> list[int]:
        if cell.acted_ms is not None:
            return cell.acted_ms
        if not self._rule.activation.candidate:
            return cell.fired_ms
        other = self._limit_cell(self._rule.activation.other)
        return other.fired_ms if other.acted_ms is None else other.acted_ms

    def _tell_other(
        self, limits: Sequence[RateLimit], key: str, done: list[int], now_ms: int
    ) -> None:
        """What was done stands at the other version's key as well, made where there is none."""
        rule, state = self._rule, self._context.state
        slot = rule.id if rule.activation.candidate else rule.id + CANDIDATE
        seal = self._context.seals.get((rule.tenant, slot), "")
        name = self._other_name(key)
        cell: RuleCell | None = state.get(name)
        if cell is None or (cell.expires_ms and cell.expires_ms < now_ms) or cell.seal != seal:
            cell = RuleCell(seal=seal)
        _keep(done, now_ms)
        cell.acted_ms = done
        longest_ms = max(one.per_ms for one in limits)
        cell.expires_ms = max(cell.expires_ms, now_ms + 2 * longest_ms + _SLACK_MS)
        state.put(name, cell, cell.expires_ms, self._context.producer)

    def _other_name(self, key: str) -> CellId:
        return CellId(self._rule.tenant, "rule", self._rule.activation.other, key)

    def _limit_name(self, state: str) -> CellId:
        return CellId(self._rule.tenant, "limit", state, "")

    def _limit_cell(self, state: str) -> LimitCell:
        found: LimitCell | None = self._context.state.get(self._limit_name(state))
        return LimitCell() if found is None else found


def _keep(done: list[int], now_ms: int) -> None:
    """One more, by the bound of all limits: those of the other version are not known here."""
    insort(done, now_ms)
    del done[: max(0, len(done) - MOST_FIRINGS)]

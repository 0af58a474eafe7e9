"""RuleStateStore: the state of one rule, key by key, within one evaluation."""

from __future__ import annotations

from data_sharing.rules.cell_cache import CellId, RuleCell, WindowState
from data_sharing.rules.compiled import CompiledRule, FedWindow
from data_sharing.rules.evaluation_context import EvaluationContext, RuleResult, rule_result
from data_sharing.rules.results import RuleVerdict

_SLACK_MS = 3_600_000  # how much longer than needed state is kept


class RuleStateStore:
    """Reads and saves the cells of one rule through the evaluation's cell cache."""

    def __init__(self, context: EvaluationContext, rule: CompiledRule) -> None:
        self._context, self._rule = context, rule

    def get(self, key: str) -> RuleCell:
        """The rule's at this key; a new one, not yet kept, where there is none, it has expired, or
        it was made when the rule was shown something else."""
        rule = self._rule
        name = CellId(rule.tenant, "rule", rule.state, key)
        cell: RuleCell | None = self._context.state.get(name)
        seal = self._context.seals.get((rule.tenant, rule.slot), "")
        if (
            cell is None
            or (cell.expires_ms and cell.expires_ms < self._context.now_ms)
            or cell.seal != seal
        ):
            return RuleCell(seal=seal)
        return cell

    def late_by(self, cell: RuleCell) -> int:
        """By how much the event is behind the key's watermark, in ms; 0: it is not late."""
        event = self._context.event
        return 0 if event is None else self._rule.lateness.late_by(cell.newest_ms, event.time_ms)

    def save(self, cell: RuleCell, key: str, time_ms: int) -> None:
        """Lets go of what is over, and has the cell stored. time_ms: of an event that it keeps,
        which counts as the newest unless it is too far ahead of the clock. Only those make others
        late, so that events which no rule of the set could match mean the same as those which the
        index left out."""
        rule = self._rule
        cell.newest_ms = rule.lateness.newest(cell.newest_ms, time_ms, self._context.now_ms)
        for name in list(cell.windows):
            fed = rule.windows.get(name)
            if fed is None:
                del cell.windows[name]
            elif name != rule.spec.at_end_of:  # its windows go when they have ended
                fed.window.prune(cell.windows[name], cell.newest_ms, rule.late_ms)
        newest_ms = max(self._context.now_ms, cell.newest_ms)
        newest_ms = max([newest_ms, *(one.due_ms for one in cell.deferred)])
        cell.expires_ms = newest_ms + 2 * rule.horizon_ms + _SLACK_MS
        name_of = CellId(rule.tenant, "rule", rule.state, key)
        self._context.state.put(name_of, cell, cell.expires_ms, self._context.producer)

    def full(self, cell: RuleCell, key: str) -> RuleResult | None:
        """That there is no room for what the event adds at this key; None: there is."""
        why = self.why_full(cell, key)
        if not why:
            return None
        return rule_result(self._context, self._rule, RuleVerdict.FULL, why, key=key)

    def why_full(self, cell: RuleCell, key: str) -> str:
        """Why the event that is decided may not add to what is kept at this key, which was asked
        for; empty: it may. Time goes on there all the same, and what is over makes room."""
        context, rule = self._context, self._rule
        uses, event = context.state.uses, context.event
        if uses is None or event is None:
            return ""
        name = CellId(rule.tenant, "rule", rule.state, key)
        size = context.state.size(name)
        if size is None:
            return uses.why_full(name, context.producer, rule.spec.memory)
        why = uses.why_no_more(
            name, size if cell.expires_ms else 0, context.producer, rule.spec.memory
        )
        if why and cell.expires_ms:
            newest_ms = rule.lateness.newest(cell.newest_ms, event.time_ms, context.now_ms)
            if rule.join is not None and cell.join is not None:
                rule.join.prune(cell.join, newest_ms, rule.late_ms)
            if rule.pattern is not None and cell.sequence is not None:
                rule.pattern.prune(cell.sequence, newest_ms, rule.late_ms)
            self.save(cell, key, event.time_ms)
        return why

    def window(self, cell: RuleCell, fed: FedWindow) -> WindowState:
        """Its state; new where there is none, or the window has become another."""
        found = cell.windows.get(fed.window.name)
        if found is None or found.shape != fed.window.shape:
            found = cell.windows[fed.window.name] = WindowState(fed.window.shape)
        return found

    def readable(self, cell: RuleCell | None, fed: FedWindow) -> WindowState | None:
        """The state of a window, where there is one that still fits."""
        found = None if cell is None else cell.windows.get(fed.window.name)
        return found if found is not None and found.shape == fed.window.shape else None

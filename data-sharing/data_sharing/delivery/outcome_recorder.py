"""OutcomeRecorder: records what became of instructions in the outbox, the dead letters and the
feeds.

Each function of a connection is one transaction's share, and reads first what is recorded
already: whatever is reported twice, late, or by two platforms, is recorded once.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import TypeAlias

from control_plane.tracing.tracer import Tracer
from data_sharing.decisions import approval_tables, dead_letters, outbox, rollout_tables
from data_sharing.decisions.approval_tables import Verdict
from data_sharing.decisions.outbox import InstructionState, StoredInstruction
from data_sharing.delivery.retry_policy import NextStep, Step, after_outcome
from data_sharing.instruction import Instruction, Performed
from data_sharing.spans import begin_span

log = logging.getLogger(__name__)

RecordEvent: TypeAlias = Callable[[sqlite3.Connection, StoredInstruction, Performed], None]
"""Appends an outcome to the feeds, inside the transaction that records it."""
CheckOutput: TypeAlias = Callable[[Instruction, Performed], Performed]
"""Holds an output against its schema."""

_STATES = {
    Step.DONE: InstructionState.DONE,
    Step.RETRY: InstructionState.PENDING,
    Step.DEAD: InstructionState.DEAD,
}


class OutcomeRecorder:
    """wall_ms: Unix ms."""

    def __init__(
        self,
        record_event: RecordEvent,
        *,
        wall_ms: Callable[[], int],
        check: CheckOutput = lambda _, performed: performed,
    ) -> None:
        self.tracer: Tracer | None = None
        self._record_event = record_event
        self._check = check
        self._wall_ms = wall_ms

    def record(self, db: sqlite3.Connection, performed: Performed) -> Step | None:
        """Records an outcome and says what follows. None: it is known already, or nobody
        knows the instruction; the platform need not report it again."""
        stored = outbox.get(db, performed.instruction)
        if stored is None:
            log.warning("an outcome came for %s, which is not known here", performed.instruction)
            return None
        if stored.state is InstructionState.DONE:
            return None
        if stored.outcome is not None and stored.outcome.attempt >= performed.attempt:
            return None
        now_ms = self._wall_ms()
        performed = self._check(stored.instruction, performed)
        next_step = after_outcome(stored.instruction, performed)
        late = stored.state is InstructionState.DEAD
        if next_step.step is Step.RETRY and (late or now_ms > stored.deadline_ms):
            next_step = NextStep(step=Step.DEAD, reason=f"{next_step.reason}; its deadline is over")
        retry = next_step.step is Step.RETRY
        outbox.record_outcome(
            db,
            performed,
            _STATES[next_step.step],
            attempt=performed.attempt + retry,
            reason=next_step.reason,
        )
        if late:
            dead_letters.resolve(db, performed.instruction, now_ms)
        if next_step.step is Step.DEAD:
            dead_letters.put_instruction(
                db, stored.instruction.tenant, performed.instruction,
                reason=next_step.reason, now_ms=now_ms,
            )  # fmt: skip
        if next_step.step is not Step.RETRY and not late:
            done = next_step.step is Step.DONE
            rollout_tables.count_outcome(db, stored.instruction, done=done, now_ms=now_ms)
        self._record_event(db, stored, performed)
        span = begin_span(
            self.tracer,
            "record outcome",
            stored.instruction.trace,
            instruction=performed.instruction,
            platform=performed.platform,
            attempt=performed.attempt,
            status=performed.status.value,
        )
        if span is not None:
            span.end()
        return next_step.step

    def end_as_dead_letter(self, db: sqlite3.Connection, instruction_id: str, reason: str) -> None:
        """An instruction that ends without outcome, unless one came in between."""
        stored = outbox.get(db, instruction_id)
        if stored is None or stored.state in (InstructionState.DONE, InstructionState.DEAD):
            return
        now_ms = self._wall_ms()
        outbox.end_without_outcome(db, instruction_id, InstructionState.DEAD, reason=reason)
        dead_letters.put_instruction(
            db, stored.instruction.tenant, instruction_id, reason=reason, now_ms=now_ms
        )
        if stored.state is not InstructionState.AWAITING_APPROVAL:  # nothing of it was tried
            rollout_tables.count_outcome(db, stored.instruction, done=False, now_ms=now_ms)

    def end_overdue_approvals(self, db: sqlite3.Connection) -> None:
        """Those that nobody approved in time."""
        for stored in outbox.overdue_approvals(db, self._wall_ms()):
            self.end_as_dead_letter(
                db, stored.instruction.id, "its deadline passed: nobody approved it"
            )
            approval_tables.decide(
                db, stored.instruction.id, Verdict.EXPIRED, approver="",
                reason="nobody decided in time", revision="", now_ms=self._wall_ms(),
            )  # fmt: skip

"""Recording: what became of instructions, in the outbox, the dead letters and the feeds.

Each function of a connection is one transaction's share, and looks at what stands there first:
whatever is told twice, late, or by two platforms, is recorded once.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable

from data_sharing.decisions import dead_letters, outbox
from data_sharing.decisions.outbox import Kept, State
from data_sharing.delivery.retry_policy import Next, Step, after_outcome
from data_sharing.instruction import Instruction, Performed

log = logging.getLogger(__name__)

Tell = Callable[[sqlite3.Connection, Kept, Performed], None]
"""Tells the feeds of an outcome, inside the transaction that records it."""

_STATES = {Step.DONE: State.DONE, Step.AGAIN: State.PENDING, Step.DEAD: State.DEAD}


class OutcomeRecorder:
    """wall_ms: Unix ms."""

    def __init__(
        self,
        tell: Tell,
        *,
        wall_ms: Callable[[], int],
        judge: Callable[[Instruction, Performed], Performed] = lambda _, performed: performed,
    ) -> None:
        """`judge` holds an output against its schema."""
        self._tell = tell
        self._judge = judge
        self._wall_ms = wall_ms

    def outcome(self, db: sqlite3.Connection, performed: Performed) -> Step | None:
        """Records an outcome and says what follows. None: it is known already, or nobody
        knows the instruction; the platform need not tell it again."""
        kept = outbox.get(db, performed.instruction)
        if kept is None:
            log.warning("an outcome came for %s, which is not known here", performed.instruction)
            return None
        if kept.state is State.DONE:
            return None
        if kept.outcome is not None and kept.outcome.attempt >= performed.attempt:
            return None
        now_ms = self._wall_ms()
        performed = self._judge(kept.instruction, performed)
        following = after_outcome(kept.instruction, performed)
        late = kept.state is State.DEAD
        if following.step is Step.AGAIN and (late or now_ms > kept.deadline_ms):
            following = Next(step=Step.DEAD, reason=f"{following.reason}; its deadline is over")
        again = following.step is Step.AGAIN
        outbox.record(
            db,
            performed,
            _STATES[following.step],
            attempt=performed.attempt + again,
            reason=following.reason,
        )
        if late:
            dead_letters.resolve(db, performed.instruction, now_ms)
        if following.step is Step.DEAD:
            dead_letters.put_instruction(
                db, kept.instruction.tenant, performed.instruction,
                reason=following.reason, now_ms=now_ms,
            )  # fmt: skip
        self._tell(db, kept, performed)
        return following.step

    def death(self, db: sqlite3.Connection, instruction_id: str, reason: str) -> None:
        """An instruction that ends without outcome, unless one came in between."""
        kept = outbox.get(db, instruction_id)
        if kept is None or kept.state in (State.DONE, State.DEAD):
            return
        outbox.settle(db, instruction_id, State.DEAD, reason=reason)
        dead_letters.put_instruction(
            db, kept.instruction.tenant, instruction_id, reason=reason, now_ms=self._wall_ms()
        )

    def overdue_approvals(self, db: sqlite3.Connection) -> None:
        """Those that nobody approved in time."""
        for kept in outbox.overdue_approvals(db, self._wall_ms()):
            self.death(db, kept.instruction.id, "its deadline passed: nobody approved it")

"""OperatorActions: redrives instructions and events that wait for an operator.

Each is one transaction that reads first how far the thing is, so that doing it twice does it
once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from msgspec.structs import replace

from control_plane.errors import NotFound, Refused
from control_plane.printable import quoted
from data_sharing.database import Database
from data_sharing.decisions import approval_tables, dead_letters, outbox
from data_sharing.decisions.approval_tables import Verdict
from data_sharing.decisions.dead_letters import DeadLetter, DeadLetterKind
from data_sharing.decisions.outbox import InstructionState, StoredInstruction
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.feeds.log_tables import record_at
from data_sharing.instruction import Performance


class OperatorActions:
    """wall_ms: Unix ms."""

    def __init__(
        self,
        database: Database,
        worker: DecisionWorker,
        dispatcher: Dispatcher,
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._worker = worker
        self._dispatcher = dispatcher
        self._wall_ms = wall_ms

    async def redrive(self, tenant: str, letter_id: str, *, force: bool) -> DeadLetter:
        """Tries again what is in a dead letter. Raises NotFound, Refused."""

        def work(db: sqlite3.Connection) -> tuple[DeadLetter, StoredInstruction | None]:
            letter = require_letter(db, tenant, letter_id)
            if letter.redriven_ms is not None:
                return letter, None
            dead_letters.mark_redriven(db, letter, self._wall_ms())
            stored = None
            if letter.kind is DeadLetterKind.EVENT:
                self._redrive_event(db, letter)
            else:
                stored = self._redrive_instruction(db, letter, force=force)
            return require_letter(db, tenant, letter_id), stored

        letter, stored = await self._database.transact(work)
        if stored is not None and stored.state is InstructionState.PENDING:
            self._dispatcher.dispatch(stored)
        return letter

    def _redrive_event(self, db: sqlite3.Connection, letter: DeadLetter) -> None:
        assert letter.event is not None
        record = record_at(db, letter.tenant, letter.event.position)
        if record is None:
            raise NotFound("the event has passed its retention and is gone")
        if letter.rule and not self._worker.rules.versions(letter.tenant, letter.rule):
            raise Refused(f"rule {letter.rule} is gone; apply it again first")
        self._worker.decide_again(db, record.event(), letter.rule)

    def _redrive_instruction(
        self, db: sqlite3.Connection, letter: DeadLetter, *, force: bool
    ) -> StoredInstruction:
        stored = _require(db, letter.tenant, letter.instruction)
        what = stored.instruction
        outcome = stored.outcome
        maybe_ran = (outcome is not None and outcome.status is not Performance.REFUSED) or (
            outcome is None and bool(stored.platform)
        )
        if maybe_ran and not what.idempotent and not force:
            raise Refused(
                f"{what.application} {what.action} is not idempotent and may have been performed; "
                "redrive it with force where performing it again does no harm"
            )
        now_ms = self._wall_ms()
        approval = approval_tables.get(db, what.id)
        if approval is not None and approval.verdict is not Verdict.APPROVED:
            until_ms = now_ms + (approval.terms.expires_ms or what.deadline_ms - what.decided_at_ms)
            outbox.wait_again(db, what.id, max(now_ms + 1_000, until_ms))
            approval_tables.again(db, approval, now_ms)
            return _require(db, letter.tenant, letter.instruction)
        lasts_ms = max(1_000, what.deadline_ms - what.decided_at_ms)
        outbox.renew(db, replace(what, deadline_ms=now_ms + lasts_ms))
        return _require(db, letter.tenant, letter.instruction)


def _require(db: sqlite3.Connection, tenant: str, instruction_id: str) -> StoredInstruction:
    stored = outbox.get(db, instruction_id)
    if stored is None or stored.instruction.tenant != tenant:
        raise NotFound(f"tenant {tenant} has no instruction {quoted(instruction_id)}")
    return stored


def require_letter(db: sqlite3.Connection, tenant: str, letter_id: str) -> DeadLetter:
    """Raises NotFound."""
    letter = dead_letters.get(db, tenant, letter_id)
    if letter is None:
        raise NotFound(f"tenant {tenant} has no dead letter {quoted(letter_id)}")
    return letter

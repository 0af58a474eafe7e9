"""Approving and redriving: what an operator does about instructions and events that wait.

Each is one transaction that looks at what stands there first, so that doing it twice does it
once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from msgspec.structs import replace

from control_plane.errors import NotFound, Refused
from data_sharing.database import Database
from data_sharing.decisions import dead_letters, outbox
from data_sharing.decisions.dead_letters import DeadLetter, Kind
from data_sharing.decisions.outbox import Kept, State
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.feeds.log_tables import record_at
from data_sharing.instruction import Performance


class OperatorActions:
    """wall_ms: Unix ms."""

    def __init__(
        self,
        database: Database,
        worker: DecisionWorker,
        dispatcher: Dispatcher,
        recorder: OutcomeRecorder,
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._worker = worker
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._wall_ms = wall_ms

    async def approve(self, tenant: str, instruction_id: str) -> Kept:
        """It may go. Raises NotFound, Refused."""

        def work(db: sqlite3.Connection) -> Kept:
            kept = _must_have(db, tenant, instruction_id)
            if kept.state is State.AWAITING_APPROVAL:
                if self._wall_ms() > kept.deadline_ms:
                    raise Refused("its deadline has passed; redrive it from the dead letters")
                outbox.release(db, instruction_id, "")
            elif kept.state is State.DEAD and kept.outcome is None:
                raise Refused(f"it does not wait for approval any more: {kept.reason}")
            return _must_have(db, tenant, instruction_id)

        kept = await self._database.transact(work)
        if kept.state is State.PENDING:
            self._dispatcher.admit(kept)
        return kept

    async def deny(self, tenant: str, instruction_id: str, reason: str) -> Kept:
        """It will not go. Raises NotFound, Refused."""
        said = f"denied: {reason}" if reason else "denied"

        def work(db: sqlite3.Connection) -> Kept:
            kept = _must_have(db, tenant, instruction_id)
            if kept.state is State.AWAITING_APPROVAL:
                self._recorder.death(db, instruction_id, said)
            elif not (kept.state is State.DEAD and kept.reason.startswith("denied")):
                raise Refused("it does not wait for approval any more")
            return _must_have(db, tenant, instruction_id)

        return await self._database.transact(work)

    async def redrive(self, tenant: str, letter_id: str, *, force: bool) -> DeadLetter:
        """Tries again what is in a dead letter. Raises NotFound, Refused."""

        def work(db: sqlite3.Connection) -> tuple[DeadLetter, Kept | None]:
            letter = must_have_letter(db, tenant, letter_id)
            if letter.redriven_ms is not None:
                return letter, None
            dead_letters.redriven(db, letter, self._wall_ms())
            kept = None
            if letter.kind is Kind.EVENT:
                self._again(db, letter)
            else:
                kept = self._renew(db, letter, force=force)
            return must_have_letter(db, tenant, letter_id), kept

        letter, kept = await self._database.transact(work)
        if kept is not None:
            self._dispatcher.admit(kept)
        return letter

    def _again(self, db: sqlite3.Connection, letter: DeadLetter) -> None:
        assert letter.event is not None
        record = record_at(db, letter.tenant, letter.event.position)
        if record is None:
            raise NotFound("the event has passed its retention and is gone")
        if letter.rule and (letter.tenant, letter.rule) not in self._worker.rules.rules:
            raise Refused(f"rule {letter.rule} is gone; apply it again first")
        self._worker.again(db, record.event(), letter.rule)

    def _renew(self, db: sqlite3.Connection, letter: DeadLetter, *, force: bool) -> Kept:
        kept = _must_have(db, letter.tenant, letter.instruction)
        what = kept.instruction
        outcome = kept.outcome
        maybe_ran = (outcome is not None and outcome.status is not Performance.REFUSED) or (
            outcome is None and bool(kept.platform)
        )
        if maybe_ran and not what.idempotent and not force:
            raise Refused(
                f"{what.application} {what.action} is not idempotent and may have been performed; "
                "redrive it with force where performing it again does no harm"
            )
        now_ms = self._wall_ms()
        lasts_ms = max(1_000, what.deadline_ms - what.decided_at_ms)
        outbox.renew(db, replace(what, deadline_ms=now_ms + lasts_ms))
        return _must_have(db, letter.tenant, letter.instruction)


def _must_have(db: sqlite3.Connection, tenant: str, instruction_id: str) -> Kept:
    kept = outbox.get(db, instruction_id)
    if kept is None or kept.instruction.tenant != tenant:
        raise NotFound(f"tenant {tenant} has no instruction {instruction_id!r}")
    return kept


def must_have_letter(db: sqlite3.Connection, tenant: str, letter_id: str) -> DeadLetter:
    """Raises NotFound."""
    letter = dead_letters.get(db, tenant, letter_id)
    if letter is None:
        raise NotFound(f"tenant {tenant} has no dead letter {letter_id!r}")
    return letter

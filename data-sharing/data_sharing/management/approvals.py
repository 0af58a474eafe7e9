"""Approvals: who may approve or reject an instruction, and what they judge it by.

Each decision is one transaction that reads first how far the instruction is, what its rule has
become and who asks, so that it is made once, by somebody who may, about what they have seen.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from control_plane.auth.callers import Caller
from control_plane.auth.roles import Role
from control_plane.errors import NotFound, PermissionDenied, Refused
from control_plane.printable import quoted
from data_sharing.database import Database
from data_sharing.decisions import approval_tables, outbox, rule_tables
from data_sharing.decisions.approval_tables import Approval, Verdict
from data_sharing.decisions.outbox import InstructionState, StoredInstruction
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.feeds.log_tables import record_at, record_named
from data_sharing.feeds.port import Record
from data_sharing.instruction import NO_TERMS, ApprovalTerms, Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalCase:
    """An approval with its evidence. revision: of the rule now; changed: what became of the rule
    since it decided; empty: nothing. events: as far as they are kept."""

    approval: Approval
    stored: StoredInstruction
    revision: str
    changed: str
    rule_by: str  # who applied the version that decided; empty: not known
    events: list[tuple[Cause, Record | None]]


class Approvals:
    """wall_ms: Unix ms."""

    def __init__(
        self,
        database: Database,
        dispatcher: Dispatcher,
        recorder: OutcomeRecorder,
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._wall_ms = wall_ms

    def case(self, tenant: str, instruction_id: str) -> ApprovalCase:
        """Raises NotFound."""
        return self._database.read(lambda db: _case(db, tenant, instruction_id))

    def cases(
        self, tenant: str, before: int, limit: int, verdict: Verdict | None
    ) -> list[ApprovalCase]:
        """Below a row, newest first, without events."""

        def read(db: sqlite3.Connection) -> list[ApprovalCase]:
            found = approval_tables.page(db, tenant, before, limit, verdict)
            return [
                _case(db, tenant, one.instruction, with_events=False)
                for one in found
                if outbox.get(db, one.instruction) is not None
            ]

        return self._database.read(read)

    async def approve(
        self, tenant: str, instruction_id: str, caller: Caller, *, revision: str = ""
    ) -> StoredInstruction:
        """It may go. revision: of the rule as the caller has seen it; empty: as it was when it
        decided. Raises NotFound, PermissionDenied, Refused."""

        def work(db: sqlite3.Connection) -> StoredInstruction:
            stored = _require(db, tenant, instruction_id)
            if stored.state is InstructionState.DEAD and stored.outcome is None:
                raise Refused(f"it does not wait for approval any more: {stored.reason}")
            if stored.state is not InstructionState.AWAITING_APPROVAL:
                return stored
            now_ms = self._wall_ms()
            if now_ms > stored.deadline_ms:
                raise Refused("its deadline has passed; redrive it from the dead letters")
            seen = self._admit(db, stored, caller, revision)
            terms = _terms_of(db, instruction_id)
            what = stored.instruction
            deadline_ms = stored.deadline_ms
            if terms.expires_ms:  # the wait does not count
                deadline_ms = now_ms + max(1_000, what.deadline_ms - what.decided_at_ms)
            outbox.let_go(db, replace(what, deadline_ms=deadline_ms))
            approval_tables.decide(
                db, instruction_id, Verdict.APPROVED, approver=caller.name, reason="",
                revision=seen, now_ms=now_ms,
            )  # fmt: skip
            return _require(db, tenant, instruction_id)

        stored = await self._database.transact(work)
        if stored.state is InstructionState.PENDING:
            self._dispatcher.dispatch(stored)
        return stored

    async def reject(
        self, tenant: str, instruction_id: str, caller: Caller, reason: str, *, revision: str = ""
    ) -> StoredInstruction:
        """It will not go, and is a dead letter. Raises NotFound, PermissionDenied, Refused."""
        detail = f"denied: {reason}" if reason else "denied"

        def work(db: sqlite3.Connection) -> StoredInstruction:
            stored = _require(db, tenant, instruction_id)
            if stored.state is InstructionState.AWAITING_APPROVAL:
                now = _revision(db, stored)
                seen = self._admit(db, stored, caller, revision or now)
                self._recorder.end_as_dead_letter(db, instruction_id, detail)
                approval_tables.decide(
                    db, instruction_id, Verdict.REJECTED, approver=caller.name, reason=reason,
                    revision=seen, now_ms=self._wall_ms(),
                )  # fmt: skip
            elif not (stored.state is InstructionState.DEAD and stored.reason.startswith("denied")):
                raise Refused("it does not wait for approval any more")
            return _require(db, tenant, instruction_id)

        return await self._database.transact(work)

    def _admit(
        self, db: sqlite3.Connection, stored: StoredInstruction, caller: Caller, revision: str
    ) -> str:
        """The rule's revision that the caller decides by. Raises PermissionDenied, Refused."""
        terms, what = _terms_of(db, stored.instruction.id), stored.instruction
        if terms.by and caller.name not in terms.by:
            raise PermissionDenied(f"only {', '.join(terms.by)} may approve or reject this")
        if not caller.may(Role(terms.role)):
            raise PermissionDenied(f"the role {terms.role} is needed to approve or reject this")
        if terms.four_eyes and caller.name == _applied_by(db, stored):
            raise PermissionDenied(
                f"{caller.name} applied rule {what.rule}; somebody else has to approve or reject "
                "what it does"
            )
        now = _revision(db, stored)
        if revision and revision != now:
            raise Refused(
                f"rule {what.rule} is {_said(now)} now, not {_said(revision)}; look at it again "
                f"with `homeport approvals show {what.id}`"
            )
        if not revision and _changed(stored, now):
            raise Refused(
                f"{_changed(stored, now)}; look at it with `homeport approvals show {what.id}` and "
                f"say `--revision {now}`"
            )
        return now


def _case(
    db: sqlite3.Connection, tenant: str, instruction_id: str, *, with_events: bool = True
) -> ApprovalCase:
    stored = _require(db, tenant, instruction_id)
    approval = approval_tables.get(db, instruction_id)
    if approval is None:
        raise NotFound(f"instruction {quoted(instruction_id)} of tenant {tenant} needs no approval")
    now = _revision(db, stored)
    causes = stored.instruction.causes if with_events else ()
    return ApprovalCase(
        approval=approval,
        stored=stored,
        revision=now,
        changed=_changed(stored, now),
        rule_by=_applied_by(db, stored),
        events=[(one, _record(db, tenant, one)) for one in causes],
    )


def _record(db: sqlite3.Connection, tenant: str, cause: Cause) -> Record | None:
    if cause.position:
        return record_at(db, tenant, cause.position)
    return record_named(db, tenant, cause.source, cause.id)


def _terms_of(db: sqlite3.Connection, instruction_id: str) -> ApprovalTerms:
    found = approval_tables.get(db, instruction_id)
    return NO_TERMS if found is None else found.terms


def _applied_by(db: sqlite3.Connection, stored: StoredInstruction) -> str:
    what = stored.instruction
    if not what.rule:
        return ""
    return rule_tables.applied_by(db, what.tenant, what.rule, what.rule_version)


def _revision(db: sqlite3.Connection, stored: StoredInstruction) -> str:
    """Of the rule now: the versions that decide, or that none does; empty: no rule decided."""
    what = stored.instruction
    if not what.rule:
        return ""
    deciding = rule_tables.deciding(db, what.tenant, what.rule)
    return "+".join(f"v{one.version}" for one in deciding) or approval_tables.RETIRED


def _changed(stored: StoredInstruction, now: str) -> str:
    """What became of the rule since it decided; empty: the version still decides."""
    what = stored.instruction
    if not what.rule or f"v{what.rule_version}" in now.split("+"):
        return ""
    return f"rule {what.rule} decided it by version {what.rule_version} and is {_said(now)} now"


def _said(revision: str) -> str:
    return "retired" if revision == approval_tables.RETIRED else f"at {revision}"


def _require(db: sqlite3.Connection, tenant: str, instruction_id: str) -> StoredInstruction:
    stored = outbox.get(db, instruction_id)
    if stored is None or stored.instruction.tenant != tenant:
        raise NotFound(f"tenant {tenant} has no instruction {quoted(instruction_id)}")
    return stored

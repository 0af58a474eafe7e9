"""What became of a change, by what its server says and how many of its transactions were made.

Pure. A server may not know: the store did not answer, the caller left, or the server has gone. The
marks in the store do, for they were written by the change's own transactions.
"""

from __future__ import annotations

from dataclasses import replace

from control_plane.audit.chain import AuditRecord
from control_plane.audit.entry import AuditEntry, AuditPhase, Transactions, decode_entry

_GONE = "the server ended before it could tell"
_DOUBT = "it could not be told"


def decided(outcome: AuditEntry, made: int) -> AuditEntry:
    """The outcome as it is to be written, in a transaction that ends the change: none of it can be
    made after that. made: transactions that were.

    A single transaction is the change: with it, it was made, also where the call has failed behind
    it; without it, it was not. Of several, none is no change; some are for a reader to look at.
    """
    phase = outcome.phase
    if phase not in (AuditPhase.UNKNOWN, AuditPhase.FAILED):
        return outcome
    if outcome.transactions is Transactions.ONE and made:
        return _with(outcome, AuditPhase.DONE, "the change was made")
    if phase is AuditPhase.FAILED or outcome.transactions is Transactions.UNMARKED:
        return outcome
    if not made:
        return _with(outcome, AuditPhase.FAILED, "nothing was changed")
    parts = f"{made} of its transactions {'was' if made == 1 else 'were'} made"
    return _with(outcome, AuditPhase.UNKNOWN, f"{parts}; look at the object")


def abandoned(record: AuditRecord, entry_id: str, made: int) -> AuditEntry:
    """The outcome of what was asked in this record, by a server that has gone. Raises
    DamagedEntry."""
    asked = decode_entry(record.content)
    unmarked = asked.transactions is Transactions.UNMARKED
    outcome = replace(
        asked,
        id=entry_id,
        phase=AuditPhase.UNKNOWN,
        asked=record.sequence,
        message=f"{_GONE}; look at the object" if unmarked else _GONE,
    )
    return decided(outcome, made)


def _with(outcome: AuditEntry, phase: AuditPhase, what: str) -> AuditEntry:
    return replace(outcome, phase=phase, message=f"{outcome.message or _DOUBT}; {what}")

"""What is asked of an audit log, wherever it is kept: append, read, trim; nothing else.

Adapters: `store_log` for servers that share a store, `sqlite_log` for one file.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from control_plane.audit.chain import AuditRecord
from control_plane.audit.entry import AuditEntry, AuditPhase, ChainPoint, decode_entry

TRIM_AT_ONCE = 50
END_AT_ONCE = 50
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPage:
    """Part of the chain, all of it as of one moment. open: those of the records whose outcome is
    not recorded."""

    records: Sequence[AuditRecord]
    head: ChainPoint
    trimmed: ChainPoint
    open: frozenset[int] = frozenset()


class AuditLog(Protocol):
    """See the module. Every method raises Unavailable where the log cannot be reached, or is
    damaged; what was handed in then counts as not written."""

    async def append(self, entry: AuditEntry) -> int:
        """The sequence of the entry, once it is on disk."""
        ...

    async def read(self, *, after: int, limit: int) -> ChainPage:
        """The records that follow the sequence `after`, at most `limit` of them."""
        ...

    async def end_abandoned(self, under_way: Collection[int]) -> int:
        """Gives what was asked and has no outcome, because the server that was at it has gone, the
        outcome `unknown`; a few at most, and how many. under_way: what this server is at."""
        ...

    async def trim(self, *, before_ms: int, keep: int) -> int:
        """Deletes the oldest entries that are older than `before_ms`, or not among the newest
        `keep`; at most TRIM_AT_ONCE, and none as long as it is a few. An entry says so. How many
        that were."""
        ...


def abandoned(record: AuditRecord, entry_id: str) -> AuditEntry:
    """The outcome of what was asked in this record, by a server that has gone. Raises
    DamagedEntry."""
    return replace(
        decode_entry(record.content),
        id=entry_id,
        phase=AuditPhase.UNKNOWN,
        asked=record.sequence,
        message="the server ended before it could tell; look at the object",
    )


def due(page: ChainPage, *, before_ms: int, keep: int) -> Sequence[AuditRecord]:
    """Which of the oldest records, a page of TRIM_AT_ONCE, are to be deleted; see AuditLog.trim.

    Trimming writes an entry itself, so that it waits until there are many, or one is a day late.
    """
    found: list[AuditRecord] = []
    late = False
    for record in page.records:
        time_ms = decode_entry(record.content).time_ms
        if time_ms >= before_ms and record.sequence > page.head.sequence - keep:
            break
        late = late or time_ms < before_ms - _DAY_MS
        found.append(record)
    return found if late or len(found) == TRIM_AT_ONCE else []

"""What is asked of an audit log, wherever it is kept: append, read, trim; nothing else.

Adapters: `store_log` for servers that share a store, `sqlite_log` for one file.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from control_plane.audit.chain import AuditRecord
from control_plane.audit.entry import AuditEntry, ChainPoint, decode_entry

TRIM_AT_ONCE = 40  # each with its marks, in one transaction
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
        """The sequence of the entry, once it is on disk. An outcome is written as
        `outcomes.decided` has it, in a transaction after which none of its change's is made any
        more; 0: it stands there already, by another server."""
        ...

    async def read(self, *, after: int, limit: int) -> ChainPage:
        """The records that follow the sequence `after`, at most `limit` of them."""
        ...

    async def end_abandoned(self, under_way: Collection[int]) -> int:
        """Gives what was asked and has no outcome, because the server that was at it has gone, one
        by its marks (`outcomes.abandoned`); a few at most, and how many. under_way: what this
        server is at."""
        ...

    async def trim(self, *, before_ms: int, keep: int) -> int:
        """Deletes the oldest entries that are older than `before_ms`, or not among the newest
        `keep`; at most TRIM_AT_ONCE, and none as long as it is a few. An entry says so. How many
        that were."""
        ...


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

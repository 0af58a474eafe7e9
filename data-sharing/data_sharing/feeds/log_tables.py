"""The tables of a feed log, as functions of a connection, so that events can be kept in the
transaction of whatever else is written with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from control_plane.sqlite.rows import insert
from control_plane.sqlite.schema import Schema
from data_sharing.event import Event
from data_sharing.feeds.port import Appended, Candidate, LogBounds, Page, Record

SCAN = 2_000  # positions looked at for one page
TRIM_AT_ONCE = 1_000
OVERHEAD_BYTES = 128  # what an event counts for besides its content and attributes
POSITION_BITS = 40  # of a row's number; the log's number is above them

SCHEMA = Schema(
    part="feeds",
    steps=(
        (
            """CREATE TABLE feed_logs (
                 log INTEGER PRIMARY KEY, tenant TEXT NOT NULL UNIQUE, trimmed INTEGER NOT NULL,
                 last INTEGER NOT NULL, bytes INTEGER NOT NULL, accepted_ms INTEGER NOT NULL)""",
            """CREATE TABLE feed_events (
                 row INTEGER PRIMARY KEY, log INTEGER NOT NULL, source TEXT NOT NULL,
                 id TEXT NOT NULL, type TEXT NOT NULL, key TEXT NOT NULL, subject TEXT NOT NULL,
                 time_ms INTEGER NOT NULL, accepted_ms INTEGER NOT NULL, content BLOB NOT NULL,
                 attributes BLOB NOT NULL)""",
            "CREATE UNIQUE INDEX feed_events_once ON feed_events (log, source, id)",
        ),
    ),
)
_COLUMNS = "accepted_ms, source, id, type, key, subject, time_ms, content, attributes"
_SIZE = f"length(content) + length(attributes) + {OVERHEAD_BYTES}"
_NUMBERS = 500  # of values in one statement


class _Head:
    """The end of one log, while a transaction moves it."""

    __slots__ = ("accepted_ms", "bytes", "last", "log")

    def __init__(self, log: int, last: int, size: int, accepted_ms: int) -> None:
        self.log, self.last, self.bytes, self.accepted_ms = log, last, size, accepted_ms


def write(
    db: sqlite3.Connection, candidates: Sequence[Candidate], now_ms: int
) -> tuple[Sequence[Appended], Sequence[Event]]:
    """Inside a transaction: keeps what is new. An answer for each, and the new events with
    their positions."""
    heads: dict[str, _Head] = {}
    db.execute("SAVEPOINT fresh")
    try:
        # Most batches hold nothing that was there: insert without looking.
        appended, fresh = _insert(db, candidates, {}, heads, now_ms)
    except sqlite3.IntegrityError:
        db.execute("ROLLBACK TO fresh")
        heads.clear()
        known = _known(db, candidates)
        appended, fresh = _insert(db, candidates, known, heads, now_ms)
    db.execute("RELEASE fresh")
    db.executemany(
        "UPDATE feed_logs SET last = ?, bytes = ?, accepted_ms = ? WHERE log = ?",
        [(head.last, head.bytes, head.accepted_ms, head.log) for head in heads.values()],
    )
    return appended, fresh


def _insert(
    db: sqlite3.Connection,
    candidates: Sequence[Candidate],
    known: dict[tuple[str, str, str], int] | None,
    heads: dict[str, _Head],
    now_ms: int,
) -> tuple[list[Appended], list[Event]]:
    """All but the known. Raises IntegrityError where one was there, or is there twice, and
    `known` did not say so."""
    rows, appended, fresh = [], [], []
    for one in candidates:
        event, content, attributes = one.event, one.content, one.attributes
        tenant, source, name = event.tenant, event.source, event.id
        if known:
            position = known.get((tenant, source, name))
            if position is not None:
                appended.append(Appended(position, True))
                continue
        head = heads.get(tenant)
        if head is None:
            head = heads[tenant] = _head(db, tenant, now_ms)
        position = head.last = head.last + 1
        head.bytes += len(content) + len(attributes) + OVERHEAD_BYTES
        rows.append(
            (head.log << POSITION_BITS | position, head.log, source, name, event.type, event.key,
             event.subject, event.time_ms, head.accepted_ms, bytearray(content),
             bytearray(attributes))
        )  # fmt: skip
        if known:
            known[tenant, source, name] = position
        appended.append(Appended(position, False))
        fresh.append(replace(event, position=position))
    insert(db, "feed_events", rows)
    return appended, fresh


def take_back(db: sqlite3.Connection, events: Iterable[Event]) -> None:
    """In the transaction that has written them: the last events of their logs are as if they had
    never come."""
    firsts: dict[str, int] = {}
    for one in events:
        firsts.setdefault(one.tenant, one.position)
    for tenant, first in firsts.items():
        row = _log(db, tenant)
        assert row is not None
        span = (row[0] << POSITION_BITS) + first, (row[0] << POSITION_BITS) + row[2]
        (size,) = db.execute(
            f"SELECT sum({_SIZE}) FROM feed_events WHERE row BETWEEN ? AND ?", span
        ).fetchone()
        db.execute("DELETE FROM feed_events WHERE row BETWEEN ? AND ?", span)
        db.execute(
            "UPDATE feed_logs SET last = ?, bytes = bytes - ? WHERE log = ?",
            (first - 1, size, row[0]),
        )


def _known(
    db: sqlite3.Connection, candidates: Sequence[Candidate]
) -> dict[tuple[str, str, str], int]:
    """The positions of those that are there. Never empty, so that `_insert` looks."""
    known: dict[tuple[str, str, str], int] = {("", "", ""): 0}
    groups: dict[tuple[str, str], list[str]] = {}
    for one in candidates:
        event = one.event
        groups.setdefault((event.tenant, event.source), []).append(event.id)
    for (tenant, source), ids in groups.items():
        row = _log(db, tenant)
        if row is None:
            continue
        for start in range(0, len(ids), _NUMBERS):
            some = ids[start : start + _NUMBERS]
            marks = ", ".join("?" * len(some))
            found = db.execute(
                f"SELECT id, row FROM feed_events WHERE log = ? AND source = ? AND id IN ({marks})",
                (row[0], source, *some),
            )
            for name, number in found:
                known[tenant, source, name] = number - (row[0] << POSITION_BITS)
    return known


def _log(db: sqlite3.Connection, tenant: str) -> tuple[int, int, int, int, int] | None:
    """(log, trimmed, last, bytes, accepted_ms)."""
    row: tuple[int, int, int, int, int] | None = db.execute(
        "SELECT log, trimmed, last, bytes, accepted_ms FROM feed_logs WHERE tenant = ?", (tenant,)
    ).fetchone()
    return row


def accepted_ms_of(db: sqlite3.Connection, tenant: str) -> int:
    """When the newest event of a log was accepted, inside the transaction that keeps it."""
    row = _log(db, tenant)
    return row[4] if row else 0


def _head(db: sqlite3.Connection, tenant: str, now_ms: int) -> _Head:
    row = _log(db, tenant)
    if row is None:
        db.execute(
            "INSERT INTO feed_logs (tenant, trimmed, last, bytes, accepted_ms)"
            " VALUES (?, 0, 0, 0, 0)",
            (tenant,),
        )
        row = _log(db, tenant)
        assert row is not None
    # A clock that was set back must not make later events look earlier.
    return _Head(row[0], row[2], row[3], max(now_ms, row[4]))


# -- reading and forgetting ------------------------------------------------------------


def bounds(db: sqlite3.Connection, tenant: str) -> LogBounds:
    """Of a tenant's log; of one that is not there all is 0."""
    row = _log(db, tenant)
    return (
        LogBounds(trimmed=row[1], last=row[2], content_bytes=row[3]) if row else LogBounds(0, 0, 0)
    )


def page(
    db: sqlite3.Connection,
    tenant: str,
    after: int,
    types: Collection[str] | None,
    key: str | None,
    limit: int,
) -> Page:
    """Events behind a position, in order; types None: of all types."""
    row = _log(db, tenant)
    if row is None:
        return Page((), after, more=False, trimmed=False)
    log, trimmed, last = row[:3]
    start = max(after, trimmed)
    if start >= last:
        return Page((), start, more=False, trimmed=after < trimmed)
    base = log << POSITION_BITS
    upto = min(last, start + SCAN)
    where, values = "row > ? AND row <= ?", [base + start, base + upto, *(types or ())]
    if types is not None:
        where += f" AND type IN ({', '.join('?' * len(types))})"
    if key is not None:
        where += " AND key = ?"
        values.append(key)
    found = db.execute(
        f"SELECT row, {_COLUMNS} FROM feed_events WHERE {where} ORDER BY row LIMIT ?",
        (*values, limit),
    )
    records = [Record(tenant, number - base, *rest) for number, *rest in found]
    # A full page may have left something out; one that is not full looked at all of it.
    position = records[-1].position if len(records) == limit else max(upto, start)
    return Page(records, position, more=position < last, trimmed=after < trimmed)


def record_at(db: sqlite3.Connection, tenant: str, position: int) -> Record | None:
    """One event by its position; none where no log could have given it."""
    if not 0 < position < 1 << POSITION_BITS:
        return None  # it would be a row of another log
    return _one(db, tenant, "row = ?", lambda base: (base + position,))


def record_named(db: sqlite3.Connection, tenant: str, source: str, name: str) -> Record | None:
    """One event by its CloudEvents name."""
    return _one(db, tenant, "log = ? AND source = ? AND id = ?", lambda base: (
        base >> POSITION_BITS, source, name,
    ))  # fmt: skip


def type_named(db: sqlite3.Connection, tenant: str, source: str, name: str) -> str:
    """The type of one event by its CloudEvents name; empty: it is not kept, or no longer."""
    row = _log(db, tenant)
    found = (
        row
        and db.execute(
            "SELECT type FROM feed_events WHERE log = ? AND source = ? AND id = ?",
            (row[0], source, name),
        ).fetchone()
    )
    return found[0] if found else ""


def _one(
    db: sqlite3.Connection, tenant: str, where: str, values: Callable[[int], tuple[Any, ...]]
) -> Record | None:
    row = _log(db, tenant)
    if row is None:
        return None
    base = row[0] << POSITION_BITS
    found = db.execute(
        f"SELECT row, {_COLUMNS} FROM feed_events WHERE {where}", values(base)
    ).fetchone()
    return Record(tenant, found[0] - base, *found[1:]) if found else None


def position_before(db: sqlite3.Connection, tenant: str, accepted_ms: int) -> int:
    """Of the last event that was accepted earlier. By halving: times never fall along a log."""
    row = _log(db, tenant)
    if row is None:
        return 0
    base, low, high = row[0] << POSITION_BITS, row[1], row[2]
    while low < high:  # everything up to low is earlier; nothing behind high is
        middle = (low + high + 1) // 2
        found = db.execute(
            "SELECT accepted_ms FROM feed_events WHERE row = ?", (base + middle,)
        ).fetchone()
        if found[0] < accepted_ms:
            low = middle
        else:
            high = middle - 1
    return low


def logs_to_trim(db: sqlite3.Connection, before_ms: int, limit: int) -> list[int]:
    """The logs that hold too much, or whose oldest event is too old."""
    rows = db.execute(
        """SELECT log FROM feed_logs WHERE last > trimmed AND (bytes > ? OR
             (SELECT accepted_ms FROM feed_events WHERE row = (log << ?) + trimmed + 1) < ?)""",
        (limit, POSITION_BITS, before_ms),
    )
    return [number for (number,) in rows]


def _oldest(db: sqlite3.Connection, first: int, last: int) -> Iterator[tuple[int, int]]:
    """(size, accepted_ms) of the oldest, in order."""
    yield from db.execute(
        f"SELECT {_SIZE}, accepted_ms FROM feed_events WHERE row BETWEEN ? AND ?"
        " ORDER BY row LIMIT ?",
        (first, last, TRIM_AT_ONCE),
    )


def trim(db: sqlite3.Connection, log: int, before_ms: int, limit: int) -> int:
    """Lets go of the oldest events of a log, some at a time; how many. limit: bytes to keep."""
    trimmed, last, size = db.execute(
        "SELECT trimmed, last, bytes FROM feed_logs WHERE log = ?", (log,)
    ).fetchone()
    base, gone = log << POSITION_BITS, 0
    for one, accepted_ms in _oldest(db, base + trimmed + 1, base + last):
        if size <= limit and accepted_ms >= before_ms:
            break
        size -= one
        gone += 1
    db.execute(
        "DELETE FROM feed_events WHERE row BETWEEN ? AND ?",
        (base + trimmed + 1, base + trimmed + gone),
    )
    db.execute(
        "UPDATE feed_logs SET trimmed = ?, bytes = ? WHERE log = ?", (trimmed + gone, size, log)
    )
    return gone

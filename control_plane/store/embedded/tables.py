"""Tables: revisions in SQLite. Synchronous; knows no asyncio and no threads.

A temporal layout, made for the common write, a new key: one row for the key, and its name in
the one row that its revision has.

    current   every key as it stands
    past      versions that were superseded or deleted, with the revision that ended them
    written   which keys each revision wrote or deleted, in order, packed

What stood at revision r is `current` up to r and what of `past` ended after r. What happened
since r is told by `written`; the keys a watch does not ask for cost it no look. Compaction
forgets what ended before. `created` is NULL in rows that stand as they were created.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from control_plane.keys import prefix_end as end_of_prefix
from control_plane.sqlite.engine import UNDO_WORK
from control_plane.sqlite.rows import insert
from control_plane.store.port import (
    MAX_OPERATIONS,
    Compare,
    Create,
    Delete,
    Event,
    Get,
    KeyValue,
    LeaseLost,
    Operation,
    Put,
    Target,
    Txn,
    TxnResult,
)

T = TypeVar("T")
LAYOUT = 2  # PRAGMA user_version; a file of another layout is refused

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS current (
  key BLOB PRIMARY KEY, value BLOB NOT NULL, created INTEGER, revision INTEGER NOT NULL,
  version INTEGER NOT NULL, lease INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS current_by_lease ON current (lease) WHERE lease != 0;
CREATE TABLE IF NOT EXISTS past (
  key BLOB NOT NULL, value BLOB NOT NULL, created INTEGER, revision INTEGER NOT NULL,
  version INTEGER NOT NULL, lease INTEGER NOT NULL, gone_revision INTEGER NOT NULL,
  PRIMARY KEY (key, revision)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS past_by_end ON past (gone_revision);
CREATE TABLE IF NOT EXISTS written (revision INTEGER PRIMARY KEY, keys BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS leases (id INTEGER PRIMARY KEY, ttl_s INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO numbers VALUES ('revision', 1), ('compacted', 0), ('lease', 0);
PRAGMA user_version = {LAYOUT};
"""
# A read as of so few revisions ago looks at what has gone since, not at every past of its keys.
FEW_REVISIONS = 256
_COLUMNS = "key, value, coalesce(created, revision), revision, version, lease"  # as in KeyValue
_ONE = f"SELECT {_COLUMNS} FROM current WHERE key = ?"
_THEN = f"SELECT {_COLUMNS} FROM past WHERE key = ? AND revision = ?"
_CREATED = "(?, ?, NULL, ?, 1, 0)"  # a row of `current`
_PUT = """INSERT INTO current VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
  value = excluded.value, created = excluded.created, revision = excluded.revision,
  version = excluded.version, lease = excluded.lease"""
_END = """INSERT INTO past SELECT key, value, created, revision, version, lease, ?
  FROM current WHERE key = ?"""

# Of `written`: a key that was put is itself, one that was deleted is in a list of its own.
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[bytes | list[bytes]]).decode


def prefix_end(prefix: bytes) -> bytes:
    """The first key past the prefix. etcd's b"\0" for "no end" becomes a key past all: no
    key of ours is that long and that high."""
    end = end_of_prefix(prefix)
    return b"\xff" * 1024 if end == b"\x00" else end


def prepare(db: sqlite3.Connection) -> None:
    """The tables, made where there are none. Raises sqlite3.DatabaseError for another layout."""
    layout = db.execute("PRAGMA user_version").fetchone()[0]
    if layout not in (0, LAYOUT):
        raise sqlite3.DatabaseError(f"its layout is {layout}, this version reads {LAYOUT}")
    db.executescript(_SCHEMA)


def check(txn: Txn) -> None:
    """Raises ValueError for a transaction that etcd would refuse."""
    created = len(txn.creates)
    for operations in (txn.compares, txn.then, txn.otherwise):
        if len(operations) + created > MAX_OPERATIONS:
            raise ValueError(
                f"{len(operations) + created} operations; at most {MAX_OPERATIONS} are allowed"
            )
    _check_once(txn.then, {key for key, _ in txn.creates}, created)
    _check_once(txn.otherwise, set(), 0)


def _check_once(branch: Sequence[Operation], written: set[bytes], before: int) -> None:
    """`written` are the keys of `before` writes that go with this branch."""
    deletes: list[Delete] = []
    puts = before
    for operation in branch:
        if isinstance(operation, Delete):
            deletes.append(operation)
        elif isinstance(operation, Put):
            puts += 1
            written.add(operation.key)
    if puts != len(written):
        raise ValueError("a key is written twice in one transaction")
    for key, prefix in deletes:
        if key in written or (prefix and any(one.startswith(key) for one in written)):
            raise ValueError(f"{key!r} is deleted and written in one transaction")


def writes(txn: Txn) -> bool:
    """Whether either branch can change anything."""
    return bool(txn.creates) or any(not isinstance(one, Get) for one in (*txn.then, *txn.otherwise))


class StoreReader:
    """Reads over one connection, each as of the last commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.db = connection

    def number(self, name: str) -> int:
        """revision, compacted or lease."""
        value: int = self.db.execute(
            "SELECT value FROM numbers WHERE name = ?", (name,)
        ).fetchone()[0]
        return value

    def one(self, key: bytes) -> KeyValue | None:
        row = self.db.execute(_ONE, (key,)).fetchone()
        return _pair(row) if row else None

    def under(self, prefix: bytes) -> tuple[KeyValue, ...]:
        """Every key with the prefix, in order."""
        rows = self.db.execute(
            f"SELECT {_COLUMNS} FROM current WHERE key >= ? AND key < ? ORDER BY key",
            (prefix, prefix_end(prefix)),
        )
        return tuple(map(_pair, rows))

    def get(self, operation: Get) -> tuple[KeyValue, ...]:
        """What a Get finds."""
        if operation.prefix:
            return self.under(operation.key)
        found = self.one(operation.key)
        return (found,) if found else ()

    def page(
        self, prefix: bytes, after: bytes | None, limit: int, revision: int, keys_only: bool
    ) -> list[KeyValue]:
        """Keys as they stood at `revision`, in order, after `after`."""
        columns = _COLUMNS.replace("value", "x''") if keys_only else _COLUMNS
        # One lower bound: of two, SQLite takes one, and reads all keys between them.
        least = prefix if after is None else max(prefix, after + b"\x00")
        within = "key >= ?1 AND key < ?2 AND revision <= ?3"
        stood = f"SELECT {columns} FROM current WHERE {within}"
        since = self.number("revision") - revision
        if since > 0:  # otherwise whatever is past had gone by then
            index = "INDEXED BY past_by_end" if since <= FEW_REVISIONS else ""
            stood += f""" UNION ALL
                SELECT {columns} FROM past {index} WHERE gone_revision > ?3 AND {within}"""
        rows = self.db.execute(
            f"{stood} ORDER BY key LIMIT ?4", (least, prefix_end(prefix), revision, limit or -1)
        )
        return [_pair(row) for row in rows]

    def events(self, prefix: bytes, after: int, upto: int) -> Iterator[Event]:
        """What happened to keys with the prefix in (after, upto], in order."""
        rows = self.db.execute(
            "SELECT revision, keys FROM written WHERE revision > ? AND revision <= ?"
            " ORDER BY revision",
            (after, upto),
        )
        for revision, packed in rows:
            for one in _unpack(packed):
                if isinstance(one, list):
                    if one[0].startswith(prefix):
                        gone = KeyValue(one[0], b"", 0, revision, 0)
                        yield Event(kv=gone, deleted=True)
                elif one.startswith(prefix):
                    yield Event(kv=self._as_written(one, revision))

    def _as_written(self, key: bytes, revision: int) -> KeyValue:
        row = self.db.execute(_ONE, (key,)).fetchone()
        if row is None or row[3] != revision:
            row = self.db.execute(_THEN, (key, revision)).fetchone()
        return _pair(row)


def _pair(row: Sequence[object]) -> KeyValue:
    key, value, create_revision, mod_revision, version, lease = row[:6]
    return KeyValue(
        key=key,  # type: ignore[arg-type]
        value=value,  # type: ignore[arg-type]
        create_revision=create_revision,  # type: ignore[arg-type]
        mod_revision=mod_revision,  # type: ignore[arg-type]
        version=version,  # type: ignore[arg-type]
        lease=lease,  # type: ignore[arg-type]
    )


class StoreWriter(StoreReader):
    """Applies transactions as works of an engine. `touched` gathers the first bytes of the keys
    that changed, for waking watchers."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.revision = self.number("revision")
        self.touched: set[bytes] = set()

    def attempt(self, work: Callable[[StoreWriter], T], db: sqlite3.Connection) -> T:
        """Runs `work`; the revision is as before where it fails, as the engine undoes the rest."""
        before = self.revision
        try:
            return work(self)
        except BaseException:  # whatever it was, it goes on upwards; the engine undoes the rows
            self.revision = before
            raise

    def apply(self, txn: Txn) -> TxnResult:
        """One transaction, checked before. Raises LeaseLost."""
        if all(map(self._holds, txn.compares)):
            before = self.revision
            try:
                return self._run(txn.creates, txn.then, succeeded=True)
            except sqlite3.IntegrityError:
                # A key was there already: undo, and take the other branch.
                self.db.execute(UNDO_WORK)
                self.revision = before
        reads = [Get(key) for key, _ in txn.creates]
        return self._run((), [*reads, *txn.otherwise], succeeded=False)

    def _run(
        self, creates: Sequence[Create], operations: Sequence[Operation], *, succeeded: bool
    ) -> TxnResult:
        """One branch. `creates` are inserted without looking: if one is there, the insert
        fails and so does the branch."""
        revision = self.revision + 1
        results: list[Sequence[KeyValue]] = []
        written: list[bytes | list[bytes]] = []
        if creates:
            written += self._create(creates, revision)
        for operation in operations:
            found: Sequence[KeyValue] = ()
            if isinstance(operation, Put):
                if operation.lease:
                    self._check_lease(operation.lease)
                self._put(operation, revision)
                written.append(operation.key)
            elif isinstance(operation, Delete):
                written += self._delete(operation, revision)
            else:
                found = self.get(operation)
            results.append(found)
        self._record_keys(written)
        return TxnResult(succeeded=succeeded, revision=self.revision, results=results)

    def _record_keys(self, written: Sequence[bytes | list[bytes]]) -> None:
        """The next revision wrote and deleted these, if any."""
        if written:
            self.revision += 1
            self.db.execute("INSERT INTO written VALUES (?, ?)", (self.revision, _pack(written)))

    def _create(self, creates: Sequence[Create], revision: int) -> list[bytes]:
        rows = [(bytearray(key), bytearray(value), revision) for key, value in creates]
        insert(self.db, "current", rows, form=_CREATED)
        keys = [key for key, _ in creates]
        self.touched.update([key[:24] for key in keys])
        return keys

    def _holds(self, compare: Compare) -> bool:
        row = self.db.execute(_ONE, (compare.key,)).fetchone()
        if compare.target is Target.VALUE:
            return row is not None and row[1] == compare.operand
        column = {Target.CREATE_REVISION: 2, Target.MOD_REVISION: 3, Target.VERSION: 4}
        return (row[column[compare.target]] if row else 0) == compare.operand

    def _put(self, put: Put, revision: int) -> None:
        old = self.db.execute(_ONE, (put.key,)).fetchone()
        if old is not None:
            self.db.execute(_END, (revision, put.key))
        created, version = (old[2], old[4] + 1) if old else (None, 1)
        self.db.execute(_PUT, (put.key, put.value, created, revision, version, put.lease))
        self.touched.add(put.key[:24])

    def _delete(self, delete: Delete, revision: int) -> list[list[bytes]]:
        gone = [pair.key for pair in self.get(Get(delete.key, delete.prefix))]
        for key in gone:
            self.db.execute(_END, (revision, key))
            self.db.execute("DELETE FROM current WHERE key = ?", (key,))
            self.touched.add(key[:24])
        return [[key] for key in gone]

    def _check_lease(self, lease: int) -> None:
        if self.db.execute("SELECT 1 FROM leases WHERE id = ?", (lease,)).fetchone() is None:
            raise LeaseLost(f"lease {lease} is gone")

    def grant(self, ttl_s: int) -> int:
        """A new lease's id."""
        lease = self.number("lease") + 1
        self.db.execute("UPDATE numbers SET value = ? WHERE name = 'lease'", (lease,))
        self.db.execute("INSERT INTO leases VALUES (?, ?)", (lease, ttl_s))
        return lease

    def end_lease(self, lease: int) -> None:
        """The lease and its keys go, in one revision."""
        self.db.execute("DELETE FROM leases WHERE id = ?", (lease,))
        rows = self.db.execute("SELECT key FROM current WHERE lease = ?", (lease,)).fetchall()
        gone = [self._delete(Delete(key), self.revision + 1) for (key,) in rows]
        self._record_keys([one for deleted in gone for one in deleted])

    def compact(self, revision: int) -> None:
        """Forgets what ended before `revision`; nothing where that is forgotten already.
        Raises ValueError for one in the future."""
        if revision <= self.number("compacted"):
            return
        if revision > self.revision:
            raise ValueError(f"revision {revision} is in the future; now is {self.revision}")
        self.db.execute("DELETE FROM past WHERE gone_revision <= ?", (revision,))
        self.db.execute("DELETE FROM written WHERE revision <= ?", (revision,))
        self.db.execute("UPDATE numbers SET value = ? WHERE name = 'compacted'", (revision,))

    def save_revision(self) -> None:
        """Before a commit: the counter goes with it."""
        self.db.execute("UPDATE numbers SET value = ? WHERE name = 'revision'", (self.revision,))

"""Tables: revisions in SQLite. Synchronous; knows no asyncio and no threads.

A temporal layout, so that the common write, a new key, is one insert:

    current   every key as it stands
    past      versions that were superseded or deleted, with the revision that ended them
    deleted   which keys went at which revision

What stood at revision r is `current` up to r and what of `past` ended after r. What happened
since r is everything in the three tables with a revision past r. Compaction forgets what
ended before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from control_plane.keys import prefix_end as end_of_prefix
from control_plane.store.port import (
    MAX_OPERATIONS,
    Compare,
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

_SCHEMA = """
CREATE TABLE IF NOT EXISTS current (
  key BLOB PRIMARY KEY, create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL,
  sub INTEGER NOT NULL, version INTEGER NOT NULL, lease INTEGER NOT NULL, value BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS current_by_revision ON current (mod_revision, sub);
CREATE INDEX IF NOT EXISTS current_by_lease ON current (lease) WHERE lease != 0;
CREATE TABLE IF NOT EXISTS past (
  mod_revision INTEGER NOT NULL, sub INTEGER NOT NULL, key BLOB NOT NULL,
  create_revision INTEGER NOT NULL, version INTEGER NOT NULL, lease INTEGER NOT NULL,
  value BLOB NOT NULL, gone_revision INTEGER NOT NULL, PRIMARY KEY (mod_revision, sub)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS past_by_end ON past (gone_revision);
CREATE TABLE IF NOT EXISTS deleted (
  revision INTEGER NOT NULL, sub INTEGER NOT NULL, key BLOB NOT NULL,
  PRIMARY KEY (revision, sub)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (id INTEGER PRIMARY KEY, ttl_s INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT OR IGNORE INTO numbers VALUES ('revision', 1), ('compacted', 0), ('lease', 0);
"""
_COLUMNS = "key, value, create_revision, mod_revision, version, lease"
_ONE = f"SELECT {_COLUMNS} FROM current WHERE key = ?"
_INSERT = "INSERT INTO current VALUES (?, ?, ?, ?, ?, ?, ?)"
_PUT = """INSERT INTO current VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
  create_revision = excluded.create_revision, mod_revision = excluded.mod_revision,
  sub = excluded.sub, version = excluded.version, lease = excluded.lease,
  value = excluded.value"""
_END = """INSERT INTO past SELECT mod_revision, sub, key, create_revision, version, lease,
  value, ? FROM current WHERE key = ?"""


def prefix_end(prefix: bytes) -> bytes:
    """The first key past the prefix. etcd's b"\0" for "no end" becomes a key past all: no
    key of ours is that long and that high."""
    end = end_of_prefix(prefix)
    return b"\xff" * 1024 if end == b"\x00" else end


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions are begun and ended by hand."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -65536")  # 64 MiB
    connection.execute("PRAGMA mmap_size = 268435456")
    connection.execute("PRAGMA wal_autocheckpoint = 8000")  # pages of 4 KiB: 32 MiB
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    else:
        connection.executescript(_SCHEMA)
    return connection


def check(txn: Txn) -> None:
    """Raises ValueError for a transaction that etcd would refuse."""
    for operations in (txn.compares, txn.then, txn.otherwise):
        if len(operations) > MAX_OPERATIONS:
            raise ValueError(f"{len(operations)} operations; at most {MAX_OPERATIONS} are allowed")
    for branch in (txn.then, txn.otherwise):
        written: set[bytes] = set()
        deletes: list[Delete] = []
        for operation in branch:
            if isinstance(operation, Delete):
                deletes.append(operation)
            elif isinstance(operation, Put):
                if operation.key in written:
                    raise ValueError(f"{operation.key!r} is written twice in one transaction")
                written.add(operation.key)
        for key, prefix in deletes:
            if key in written or (prefix and any(one.startswith(key) for one in written)):
                raise ValueError(f"{key!r} is deleted and written in one transaction")


def writes(txn: Txn) -> bool:
    """Whether either branch can change anything."""
    return any(not isinstance(one, Get) for one in (*txn.then, *txn.otherwise))


class Reading:
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
        value = "x''" if keys_only else "value"
        columns = _COLUMNS.replace("value", value)
        rows = self.db.execute(
            f"""SELECT {columns} FROM current
                WHERE key > ?1 AND key >= ?2 AND key < ?3 AND mod_revision <= ?4
                UNION ALL
                SELECT {columns} FROM past
                WHERE gone_revision > ?4 AND mod_revision <= ?4
                  AND key > ?1 AND key >= ?2 AND key < ?3
                ORDER BY key LIMIT ?5""",
            (after if after is not None else b"", prefix, prefix_end(prefix), revision,
             limit or -1),
        )  # fmt: skip
        return [_pair(row) for row in rows]

    def events(self, prefix: bytes, after: int, upto: int) -> Iterator[Event]:
        """What happened to keys with the prefix in (after, upto], in order."""
        rows = self.db.execute(
            f"""SELECT {_COLUMNS}, sub, 0 FROM current
                WHERE mod_revision > ?1 AND mod_revision <= ?2 AND key >= ?3 AND key < ?4
                UNION ALL
                SELECT {_COLUMNS}, sub, 0 FROM past
                WHERE mod_revision > ?1 AND mod_revision <= ?2 AND key >= ?3 AND key < ?4
                UNION ALL
                SELECT key, x'', 0, revision, 0, 0, sub, 1 FROM deleted
                WHERE revision > ?1 AND revision <= ?2 AND key >= ?3 AND key < ?4
                ORDER BY 4, 7""",
            (after, upto, prefix, prefix_end(prefix)),
        )
        for row in rows:
            yield Event(kv=_pair(row), deleted=bool(row[7]))


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


class Writing(Reading):
    """Applies transactions inside one that the caller began. `touched` gathers the first
    bytes of the keys that changed, for waking watchers."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.revision = self.number("revision")
        self.touched: set[bytes] = set()

    def apply(self, txn: Txn) -> TxnResult:
        """One transaction, checked before. Raises LeaseLost, and then has done nothing."""
        creates = _creates(txn)
        before = self.revision
        self.db.execute("SAVEPOINT txn")
        try:
            if all(self._holds(c) for c in txn.compares if not _implied(c, creates)):
                try:
                    return self._run(txn.then, creates, succeeded=True)
                except sqlite3.IntegrityError:
                    # A key was there already: undo, and take the other branch.
                    self._back_to(before)
            return self._run(txn.otherwise, {}, succeeded=False)
        except LeaseLost:
            self._back_to(before)
            raise
        finally:
            self.db.execute("RELEASE txn")

    def _back_to(self, revision: int) -> None:
        self.db.execute("ROLLBACK TO txn")
        self.revision = revision

    def _run(
        self, operations: Sequence[Operation], creates: dict[bytes, None], *, succeeded: bool
    ) -> TxnResult:
        """One branch. Keys in `creates` are inserted without looking: if one is there, the
        insert fails and so does the branch."""
        revision = self.revision + 1
        fresh: list[tuple[bytes, int, int, int, int, int, bytes]] = []
        results: list[Sequence[KeyValue]] = []
        sub = 0
        for operation in operations:
            found: Sequence[KeyValue] = ()
            if isinstance(operation, Put):
                if operation.lease:
                    self._check_lease(operation.lease)
                if operation.key in creates:
                    fresh.append(
                        (operation.key, revision, revision, sub, 1, operation.lease,
                         operation.value)
                    )  # fmt: skip
                else:
                    self._put(operation, revision, sub)
                sub += 1
            else:
                self._insert(fresh)  # what follows may look at them
                if isinstance(operation, Delete):
                    sub = self._delete(operation, revision, sub)
                else:
                    found = self.get(operation)
            results.append(found)
        self._insert(fresh)
        if sub:
            self.revision = revision
        return TxnResult(succeeded=succeeded, revision=self.revision, results=results)

    def _insert(self, fresh: list[tuple[bytes, int, int, int, int, int, bytes]]) -> None:
        if fresh:
            self.db.executemany(_INSERT, fresh)
            self.touched.update([row[0][:24] for row in fresh])
            fresh.clear()

    def _holds(self, compare: Compare) -> bool:
        row = self.db.execute(_ONE, (compare.key,)).fetchone()
        if compare.target is Target.VALUE:
            return row is not None and row[1] == compare.operand
        column = {Target.CREATE_REVISION: 2, Target.MOD_REVISION: 3, Target.VERSION: 4}
        return (row[column[compare.target]] if row else 0) == compare.operand

    def _put(self, put: Put, revision: int, sub: int) -> None:
        old = self.db.execute(_ONE, (put.key,)).fetchone()
        if old is not None:
            self.db.execute(_END, (revision, put.key))
        create_revision, version = (old[2], old[4] + 1) if old else (revision, 1)
        self.db.execute(
            _PUT, (put.key, create_revision, revision, sub, version, put.lease, put.value)
        )
        self.touched.add(put.key[:24])

    def _delete(self, delete: Delete, revision: int, sub: int) -> int:
        gone = [pair.key for pair in self.get(Get(delete.key, delete.prefix))]
        for key in gone:
            self.db.execute(_END, (revision, key))
            self.db.execute("DELETE FROM current WHERE key = ?", (key,))
            self.db.execute("INSERT INTO deleted VALUES (?, ?, ?)", (revision, sub, key))
            self.touched.add(key[:24])
            sub += 1
        return sub

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
        sub = 0
        for (key,) in rows:
            sub = self._delete(Delete(key), self.revision + 1, sub)
        if sub:
            self.revision += 1

    def compact(self, revision: int) -> None:
        """Forgets what ended before `revision`; nothing where that is forgotten already.
        Raises ValueError for one in the future."""
        if revision <= self.number("compacted"):
            return
        if revision > self.revision:
            raise ValueError(f"revision {revision} is in the future; now is {self.revision}")
        self.db.execute("DELETE FROM past WHERE gone_revision <= ?", (revision,))
        self.db.execute("DELETE FROM deleted WHERE revision < ?", (revision,))
        self.db.execute("UPDATE numbers SET value = ? WHERE name = 'compacted'", (revision,))

    def remember_revision(self) -> None:
        """Before a commit: the counter goes with it."""
        self.db.execute("UPDATE numbers SET value = ? WHERE name = 'revision'", (self.revision,))


def _implied(compare: Compare, creates: dict[bytes, None]) -> bool:
    """Whether inserting the key says as much as the compare does: that it was not there."""
    return (
        compare.key in creates and compare.target is Target.CREATE_REVISION and compare.operand == 0
    )


def _creates(txn: Txn) -> dict[bytes, None]:
    """Keys that must be absent and are then put: most of a batch of assignments."""
    target = Target.CREATE_REVISION
    absent = {c.key for c in txn.compares if c.target is target and c.operand == 0}
    if not absent:
        return {}
    return {o.key: None for o in txn.then if isinstance(o, Put) and o.key in absent}

"""Change capture: which rows a transaction changed, and the same changes made in another file.

Temporary triggers on the connection that writes note the keys of rows in temporary tables, which
a savepoint that is undone takes back with the rows. When the transaction is about to be committed,
the rows are read as they are then. So whoever writes a table knows nothing of it. Functions of a
connection.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from data_sharing.replication.commit import TableChange

LOCAL_TABLES = frozenset({"schema_versions", "replica"})
"""Of this file alone: they say what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedTable:
    """A table whose changes are captured."""

    name: str
    columns: tuple[str, ...]
    keys: tuple[str, ...]

    @property
    def noted(self) -> str:
        """The temporary table of keys."""
        return f"changed_{self.name}"


def tables_of(db: sqlite3.Connection) -> list[CapturedTable]:
    """All but the local ones, by name. A table without a primary key goes by its rowid."""
    names = db.execute(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        " ORDER BY name"
    ).fetchall()
    return [_table(db, name) for (name,) in names if name not in LOCAL_TABLES]


def _table(db: sqlite3.Connection, name: str) -> CapturedTable:
    rows = db.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall()
    columns = tuple(column for column, _ in rows)
    keys = tuple(column for column, pk in sorted(rows, key=lambda row: row[1]) if pk)
    if not keys:
        columns, keys = ("rowid", *columns), ("rowid",)
    return CapturedTable(name=name, columns=columns, keys=keys)


def layout_of(tables: Iterable[CapturedTable]) -> int:
    """A number that differs where tables or columns do."""
    return zlib.crc32(msgspec.json.encode([(one.name, one.columns, one.keys) for one in tables]))


def install(db: sqlite3.Connection, tables: Iterable[CapturedTable]) -> None:
    """From now on what this connection changes in these tables is noted, outside a transaction."""
    db.execute("PRAGMA recursive_triggers = ON")  # so that a row which REPLACE takes away is noted
    for one in tables:
        # No key of its own: the conflict clause of the statement that fires a trigger holds in
        # the trigger as well, so a key noted twice would be an error of that statement.
        db.execute(f"CREATE TEMP TABLE {one.noted} ({', '.join(one.keys)})")
        for when, sides in (("INSERT", "N"), ("UPDATE", "ON"), ("DELETE", "O")):
            notes = " ".join(
                f"INSERT INTO {one.noted} VALUES ("
                + ", ".join(f"{'OLD' if side == 'O' else 'NEW'}.{key}" for key in one.keys)
                + ");"
                for side in sides
            )
            db.execute(
                f"CREATE TEMP TRIGGER {one.noted}_{when} AFTER {when} ON main.{one.name}"
                f" BEGIN {notes} END"
            )


def changes_of(db: sqlite3.Connection, tables: Iterable[CapturedTable]) -> list[TableChange]:
    """In a transaction: what it changed so far."""
    found = []
    for one in tables:
        if not db.execute(f"SELECT EXISTS (SELECT 1 FROM {one.noted})").fetchone()[0]:
            continue
        keys = ", ".join(one.keys)
        same = " AND ".join(f"here.{key} = noted.{key}" for key in one.keys)
        columns = ", ".join(f"here.{column}" for column in one.columns)
        count = len(one.keys)
        own = count + one.columns.index(one.keys[0])  # a key of the row itself; NULL: it is gone
        rows, gone = [], []
        for row in db.execute(
            f"SELECT {', '.join(f'noted.{key}' for key in one.keys)}, {columns}"
            f" FROM (SELECT DISTINCT {keys} FROM {one.noted}) AS noted"
            f" LEFT JOIN main.{one.name} AS here ON {same}"
        ):
            if row[own] is None:
                gone.append(row[:count])
            else:
                rows.append(row[count:])
        found.append(TableChange(one.name, one.columns, one.keys, rows, gone))
    return found


def forget(db: sqlite3.Connection, tables: Iterable[CapturedTable]) -> None:
    """What was noted is told, or is not to be."""
    for one in tables:
        db.execute(f"DELETE FROM {one.noted}")


def apply(db: sqlite3.Connection, changes: Sequence[TableChange]) -> None:
    """In a transaction: makes these changes. Rows that are gone go first, so that what was theirs
    alone can be another row's."""
    for one in changes:
        where = " AND ".join(f"{key} = ?" for key in one.keys)
        db.executemany(f"DELETE FROM main.{one.table} WHERE {where}", one.gone)
    for one in changes:
        marks = ", ".join("?" * len(one.columns))
        db.executemany(
            f"INSERT OR REPLACE INTO main.{one.table} ({', '.join(one.columns)}) VALUES ({marks})",
            one.rows,
        )

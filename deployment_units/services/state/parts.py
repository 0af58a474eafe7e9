"""Parts: what the services of a unit keep of an account, each in tables of its own.

A part brings its tables, their versions and how rows of an older version become rows of this one.
With that alone its rows are exported, imported, counted and deleted: a part never does so itself.
Every table begins with `owner`, the number of whose row it is (see owners); what a row holds
besides is a msgspec struct, written as an array, whose first fields are the key.

Pure but for `prepare`, which makes the tables in a database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias, get_args, get_type_hints

import msgspec

from control_plane.sqlite.schema import Schema, migrate

Row: TypeAlias = tuple[Any, ...]  # the values of one row but for its owner, in the table's order
Upgrade: TypeAlias = Callable[[str, list[Any]], list[tuple[str, list[Any]]]]
"""A row of the version before, with its table, as rows of the next one. Keeps tables and keys in
order."""

MAX_ROW_BYTES = 2 << 20  # a request has 1 MiB at most
ROW_BYTES = 8  # what a row counts besides its values: its frame in a stream
_NUMBER_BYTES = 9  # the longest in MessagePack
_LENGTH_BYTES = 5  # of a text or blob, in MessagePack
_NUMBER, _TEXT, _BLOB = "INTEGER", "TEXT", "BLOB"
_KINDS = {int: _NUMBER, str: _TEXT, bytes: _BLOB}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One value of a row."""

    name: str
    kind: str  # INTEGER, TEXT or BLOB
    nullable: bool


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of a part. row: a struct with `array_like=True` of int, str, bytes, each perhaps
    None; key: how many of its fields, from the first on, tell the rows of an owner apart."""

    name: str
    row: type[msgspec.Struct]
    key: int

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """But for `owner`. Raises TypeError for a struct that is no row."""
        hints = get_type_hints(self.row)
        return tuple(_column(self.name, name, hints[name]) for name in self.row.__struct_fields__)

    @cached_property
    def names(self) -> str:
        """The columns but for `owner`, as SQL lists them."""
        return ", ".join(column.name for column in self.columns)

    @cached_property
    def key_names(self) -> str:
        return ", ".join(column.name for column in self.columns[: self.key])

    @cached_property
    def decode(self) -> Callable[[bytes], msgspec.Struct]:
        """A row from MessagePack, checked. Raises msgspec.ValidationError, DecodeError."""
        return msgspec.msgpack.Decoder(self.row).decode

    def convert(self, values: list[Any]) -> msgspec.Struct:
        """A row from its values, checked. Raises msgspec.ValidationError."""
        return msgspec.convert(values, self.row)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one service keeps. schema: as its tables were made, step by step; as many steps, such
    is the version of its rows. upgrades[n]: from version n + 1 to n + 2."""

    schema: Schema
    tables: tuple[Table, ...]
    upgrades: tuple[Upgrade, ...] = field(default=())

    def __post_init__(self) -> None:
        names = [table.name for table in self.tables]
        if names != sorted(set(names)):
            raise TypeError(f"the tables of {self.name} are not in order of their names")
        if len(self.upgrades) != self.version - 1:
            raise TypeError(f"{self.name} is of version {self.version}: an upgrade for each before")

    @property
    def name(self) -> str:
        return self.schema.part

    @property
    def version(self) -> int:
        return len(self.schema.steps)

    def upgraded(self, version: int, table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
        """A row of an older version as rows of this one."""
        rows = [(table, values)]
        for upgrade in self.upgrades[version - 1 :]:
            rows = [new for name, row in rows for new in upgrade(name, row)]
        return rows


def prepare(db: sqlite3.Connection, schemas: Sequence[Schema], parts: Sequence[Part]) -> None:
    """Brings the tables up to date, and has what they hold counted by owner. Raises Refused where
    a newer Homeport made them; TypeError for a part whose tables are not as it says."""
    migrate(db, [*schemas, *(part.schema for part in parts)])
    # Without it a REPLACE would delete a row that nobody is told of.
    db.execute("PRAGMA recursive_triggers = ON")
    for part in parts:
        for table in part.tables:
            _check(db, table)
            for statement in _counting(table):
                db.execute(statement)


def _check(db: sqlite3.Connection, table: Table) -> None:
    found = [
        Column(name=name, kind=kind, nullable=not required)
        for _, name, kind, required, _, _ in db.execute(f"PRAGMA table_info({table.name})")
    ]
    owner = Column(name="owner", kind=_NUMBER, nullable=False)
    if found != [owner, *table.columns]:
        raise TypeError(f"the table {table.name} has {found}, not owner and {table.columns}")


def _counting(table: Table) -> list[str]:
    """Triggers by which `owners.bytes` is what the rows of an owner take, and no less than that in
    an export. Made anew at each start: they go with the columns of today."""
    new, old = (_size(table, row) for row in ("NEW", "OLD"))
    fits = (
        f"SELECT RAISE(ABORT, 'a row of {table.name} is too large') WHERE {new} > {MAX_ROW_BYTES};"
    )

    def add(change: str, row: str) -> str:
        return f"UPDATE owners SET bytes = bytes + {change} WHERE owner = {row}.owner;"

    does = {
        "INSERT": ("INSERT", fits + add(new, "NEW")),
        "DELETE": ("DELETE", add(f"-({old})", "OLD")),
    }
    # A number takes the same whatever it is.
    long = ", ".join(column.name for column in table.columns if column.kind != _NUMBER)
    if long:
        does["UPDATE"] = (f"UPDATE OF {long}", fits + add(f"{new} - ({old})", "NEW"))
    made = [
        f"DROP TRIGGER IF EXISTS {table.name}_{event}_counted"
        for event in ("insert", "update", "delete")
    ]
    for event, (when, body) in does.items():
        made.append(
            f"CREATE TRIGGER {table.name}_{event.lower()}_counted AFTER {when} ON {table.name}"
            f" BEGIN {body} END"
        )
    return made


def _size(table: Table, row: str) -> str:
    """SQL for the bytes of a row."""
    terms = [str(ROW_BYTES)]
    for column in table.columns:
        if column.kind == _NUMBER:
            terms.append(str(_NUMBER_BYTES))
        else:
            value = f"{row}.{column.name}"
            whole = value if column.kind == _BLOB else f"CAST({value} AS BLOB)"
            terms.append(f"{_LENGTH_BYTES} + coalesce(length({whole}), 0)")
    return " + ".join(terms)


def _column(table: str, name: str, hint: Any) -> Column:
    kinds = set(get_args(hint)) or {hint}
    nullable = type(None) in kinds
    kinds.discard(type(None))
    kind = _KINDS.get(kinds.pop()) if len(kinds) == 1 else None
    if kind is None:
        raise TypeError(f"{table}.{name} is {hint}; a column is int, str or bytes, or None")
    return Column(name=name, kind=kind, nullable=nullable)

"""Many rows: written to SQLite in few statements.

A statement of many rows takes half the time of as many statements. It says OR FAIL: what fails may
have written some of its rows and is for the caller's savepoint to undo, because SQLite's own copy
of every page before such a statement would cost more than the statement. Blobs are best given as
bytearray: of bytes, Python's sqlite3 asks whether they can adapt, in 0.2 µs each.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

AT_ONCE = (128, 32, 8)  # rows in one statement, as many as are left


def insert(
    db: sqlite3.Connection,
    into: str,
    rows: Sequence[tuple[Any, ...]],
    *,
    form: str = "",
    otherwise: str = "",
) -> None:
    """into: "table (columns)"; form: of one row, "(?, NULL)", by default its values alone;
    otherwise: ON CONFLICT. Raises sqlite3.Error, and then a savepoint must be undone."""
    if not rows:
        return
    form = form or f"({', '.join('?' * len(rows[0]))})"
    start = 0
    for many in AT_ONCE:
        while len(rows) - start >= many:
            values = tuple(chain.from_iterable(rows[start : start + many]))
            db.execute(_statement(into, form, many, otherwise), values)
            start += many
    if start < len(rows):
        db.executemany(_statement(into, form, 1, otherwise), rows[start:])


@lru_cache(maxsize=128)
def _statement(into: str, form: str, rows: int, otherwise: str) -> str:
    return f"INSERT OR FAIL INTO {into} VALUES {', '.join([form] * rows)} {otherwise}"

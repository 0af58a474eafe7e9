"""Page sizes and tokens of listings: a token says how far the listing has come."""

from __future__ import annotations

import sqlite3

from control_plane.errors import InvalidInput

LOOKED_AT = 2_000  # rows of a table, for one page of those that are wanted
DEFAULT_SIZE = 100
MOST_SIZE = 1_000
NEWEST = 1 << 62  # below which every row is


def size_of(page_size: int) -> int:
    """How many to give. Raises InvalidInput."""
    if not 0 <= page_size <= MOST_SIZE:
        raise InvalidInput("page_size", f"page_size is {page_size}; use 0 to {MOST_SIZE:,}")
    return page_size or DEFAULT_SIZE


def within(value: int, most: int, field: str) -> int:
    """A bound that somebody asks for. Raises InvalidInput."""
    if not 0 < value <= most:
        raise InvalidInput(field, f"{field} is {value}; use 1 to {most:,}, or 0 for the usual")
    return value


def row_of(page_token: str) -> int:
    """Below which row a page begins. Raises InvalidInput."""
    if not page_token:
        return NEWEST
    if not page_token.isdecimal() or len(page_token) > 18:
        raise InvalidInput("page_token", "page_token is none that was given here")
    return int(page_token)


def first_looked_at(db: sqlite3.Connection, table: str, tenant: str, before: int) -> int:
    """Where a page ends that is of a tenant's rows below that one and leaves some of them out,
    however few of them are wanted; 0: with the tenant's first row. table: it has an index by
    tenant and row."""
    found = db.execute(
        f"SELECT row FROM {table} WHERE tenant = ? AND row < ? ORDER BY row DESC LIMIT 1 OFFSET ?",
        (tenant, before, LOOKED_AT - 1),
    ).fetchone()
    return found[0] if found else 0


def next_row(rows: list[int], size: int, from_row: int) -> str:
    """The token of the next page: rows: found from `from_row` on, one more than go into the page
    where there are more; empty: this was the last."""
    if len(rows) > size:
        return str(rows[size - 1])
    return str(from_row) if from_row else ""

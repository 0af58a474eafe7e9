"""DueTurns: what of a table is due, of tenants in turn: who has a million timers due makes whoever
has one wait for a single one of theirs.

As long as all that is due goes into one page, that page is taken. Beyond it tenants are looked for
along an index, from the one behind whoever had a turn last and around: so many of them at once that
looking costs a few milliseconds, whether they have anything due or not. Of one tenant it is always
what is due longest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from control_plane.turns import Turns

T = TypeVar("T")
Row = tuple[Any, ...]

AT_ONCE = 64  # rows of one page
TENANTS_LOOKED_AT = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTable:
    """A table with an index that begins with the tenant and the time. columns: of a row, the tenant
    first; time: the column that says when it is due, in Unix ms; NULL: never; order: by time, and
    of one time as the index has it."""

    name: str
    columns: str
    time: str
    order: str

    def page(self, db: sqlite3.Connection, now_ms: int, limit: int) -> list[Row]:
        """What is due longest, of all tenants."""
        return db.execute(
            f"SELECT {self.columns} FROM {self.name} WHERE {self.time} <= ?"
            f" ORDER BY {self.order} LIMIT ?",
            (now_ms, limit),
        ).fetchall()

    def of(self, db: sqlite3.Connection, tenant: str, now_ms: int, limit: int) -> list[Row]:
        """The same of one tenant."""
        return db.execute(
            f"SELECT {self.columns} FROM {self.name} WHERE tenant = ? AND {self.time} <= ?"
            f" ORDER BY {self.order} LIMIT ?",
            (tenant, now_ms, limit),
        ).fetchall()

    def tenants(
        self, db: sqlite3.Connection, now_ms: int, *, after: str, to: str, limit: int
    ) -> list[tuple[str, bool]]:
        """Tenants with rows, by name, behind `after` and up to `to` (empty: to the last), and
        whether any row is due. One step along the index for each."""

        def following(name: str) -> str:
            return (
                f"(SELECT tenant FROM {self.name} WHERE {self.time} IS NOT NULL"
                f" AND tenant > {name} ORDER BY tenant LIMIT 1)"
            )

        within = "found.tenant IS NOT NULL AND (:to = '' OR found.tenant <= :to)"
        rows = db.execute(
            f"WITH RECURSIVE found (tenant) AS (SELECT {following(':after')} UNION ALL"
            f" SELECT {following('found.tenant')} FROM found WHERE {within} LIMIT :limit)"
            f" SELECT tenant, EXISTS (SELECT 1 FROM {self.name} AS one WHERE"
            f" one.tenant = found.tenant AND one.{self.time} <= :now) FROM found WHERE {within}",
            {"after": after, "to": to, "limit": limit, "now": now_ms},
        )
        return [(tenant, bool(is_due)) for tenant, is_due in rows.fetchall()]


class DueTurns(Generic[T]):
    """One per table and worker. made: of a row."""

    def __init__(self, table: DueTable, made: Callable[..., T]) -> None:
        self._table = table
        self._made = made
        self._after = ""  # who had a turn last, or was looked at last

    def take(self, db: sqlite3.Connection, now_ms: int) -> Iterator[T]:
        """What is due now, a page at most, to be done in this order. Whose turn was not reached
        when the caller stops comes first the next time."""
        rows = self._table.page(db, now_ms, AT_ONCE)
        looked_to = ""
        if len(rows) == AT_ONCE:
            some, looked_to = self._of_some_tenants(db, now_ms)
            if not some:  # of all that were looked at
                self._after = looked_to
                yield from (self._made(*row) for row in rows)
                return
            rows = some
        after = self._after
        turns = Turns[Row](_tenant_of, sorted(rows, key=lambda row: (row[0] <= after, row[0])))
        first = len({_tenant_of(row) for row in rows})
        for number in range(len(turns)):
            row = turns.popleft()
            if number < first:
                self._after = _tenant_of(row)
            yield self._made(*row)
        self._after = looked_to or self._after

    def _of_some_tenants(self, db: sqlite3.Connection, now_ms: int) -> tuple[list[Row], str]:
        """Rows of some tenants that have any due, by tenant, and the last one looked at."""
        limit = TENANTS_LOOKED_AT
        seen = self._table.tenants(db, now_ms, after=self._after, to="", limit=limit)
        if self._after and len(seen) < limit:
            limit -= len(seen)
            seen += self._table.tenants(db, now_ms, after="", to=self._after, limit=limit)
        due = [tenant for tenant, is_due in seen if is_due][:AT_ONCE]
        each = max(1, AT_ONCE // max(1, len(due)))
        rows = [row for tenant in due for row in self._table.of(db, tenant, now_ms, each)]
        last = due[-1] if len(due) == AT_ONCE else seen[-1][0]
        return rows, last


def _tenant_of(row: Sequence[Any]) -> str:
    tenant: str = row[0]
    return tenant

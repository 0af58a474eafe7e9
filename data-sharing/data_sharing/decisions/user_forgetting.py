"""UserForgetting: what was kept at a user's own keys and is forgotten, however many rules kept it.

From the transaction that says so on it is dead: nobody reads it, and whoever keeps something new at
such a key has the old deleted first. The rest is deleted after it, so many in a transaction. What
is left is a row, so a server that is killed goes on there.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from control_plane.sqlite.schema import Schema
from data_sharing.decisions import memory_tables
from data_sharing.rules.cell_id import CellId
from data_sharing.sharing.policies import Memory

SCHEMA = Schema(
    part="user forgetting",
    steps=(
        (
            """CREATE TABLE user_forgettings (
                 number INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL,
                 cells BLOB NOT NULL, swept INTEGER NOT NULL)""",
            """CREATE TABLE user_forgettings_kept (
                 number INTEGER NOT NULL, cell INTEGER NOT NULL, PRIMARY KEY (number, cell))
               WITHOUT ROWID""",
        ),
    ),
)
AT_ONCE = 500  # cells that are deleted in the transaction that forgets them
MOST_PENDING = 64  # users whose cells are deleted bit by bit; of more all are, at once
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[str, str, str]]).decode


class _Pending:
    """What is left of one user: cells from `swept` on, less those that are kept anew."""

    __slots__ = ("cells", "kept", "number", "places", "swept", "tenant")

    def __init__(
        self, number: int, tenant: str, cells: list[tuple[str, str, str]], swept: int
    ) -> None:
        self.number, self.tenant, self.cells, self.swept = number, tenant, cells, swept
        self.places = {cell: place for place, cell in enumerate(cells)}
        self.kept = set[int]()


class UserForgetting:
    """Of one worker. at_once: see AT_ONCE."""

    def __init__(self, *, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._is_known = False
        self._pending: dict[int, _Pending] = {}
        # Which of them have a cell at the key.
        self._by_key: dict[tuple[str, str], list[_Pending]] = defaultdict(list)

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return bool(self._pending)

    def join_transaction(self, db: sqlite3.Connection) -> None:
        """What is known is as this transaction has it."""
        if self._is_known:
            return
        self._is_known = True
        self._pending.clear()
        self._by_key.clear()
        rows = db.execute("SELECT number, tenant, cells, swept FROM user_forgettings").fetchall()
        for number, tenant, cells, swept in rows:
            self._add(_Pending(number, tenant, _decode(cells), swept))
        for number, cell in db.execute("SELECT number, cell FROM user_forgettings_kept"):
            self._pending[number].kept.add(cell)

    def undone(self) -> None:
        """A transaction was; what is known may not be so."""
        self._is_known = False

    def begin(self, db: sqlite3.Connection, tenant: str, keys: Mapping[Memory, set[str]]) -> None:
        """In a transaction: what these memories keep at these keys is forgotten."""
        cells = [
            (memory.kind, memory.name, key)
            for memory, those in keys.items()
            for key in sorted(those)
        ]
        if len(cells) <= self._at_once or len(self._pending) >= MOST_PENDING:
            memory_tables.delete_cells(db, (CellId(tenant, *cell) for cell in cells))
            return
        number = db.execute(
            "INSERT INTO user_forgettings (tenant, cells, swept) VALUES (?, ?, 0)",
            (tenant, _encode(cells)),
        ).lastrowid
        assert number is not None
        self._add(_Pending(number, tenant, cells, 0))

    def take(self, db: sqlite3.Connection, cell: CellId) -> bool:
        """In a transaction: whether what is stored of the cell is dead. It is deleted then, and
        what is kept there from now on is not."""
        found = False
        for one in self._by_key.get((cell.tenant, cell.key), ()):
            place = one.places.get((cell.kind, cell.name, cell.key), -1)
            if place >= one.swept and place not in one.kept:
                found = True
                one.kept.add(place)
                db.execute("INSERT INTO user_forgettings_kept VALUES (?, ?)", (one.number, place))
        if found:
            memory_tables.delete_cells(db, (cell,))
        return found

    def sweep(self, db: sqlite3.Connection, limit: int) -> list[CellId]:
        """In a transaction: deletes the next of the cells that are left; which were looked at."""
        one = next(iter(self._pending.values()), None)
        if one is None:
            return []
        to = min(one.swept + limit, len(one.cells))
        gone = [
            CellId(one.tenant, *one.cells[place])
            for place in range(one.swept, to)
            if place not in one.kept
        ]
        memory_tables.delete_cells(db, gone)
        one.swept = to
        if to < len(one.cells):
            db.execute("UPDATE user_forgettings SET swept = ? WHERE number = ?", (to, one.number))
            return gone
        db.execute("DELETE FROM user_forgettings WHERE number = ?", (one.number,))
        db.execute("DELETE FROM user_forgettings_kept WHERE number = ?", (one.number,))
        del self._pending[one.number]
        for key in {key for _, _, key in one.cells}:
            those = self._by_key[one.tenant, key]
            those.remove(one)
            if not those:
                del self._by_key[one.tenant, key]
        return gone

    def _add(self, one: _Pending) -> None:
        self._pending[one.number] = one
        for key in {key for _, _, key in one.cells}:
            self._by_key[one.tenant, key].append(one)


def is_pending(db: sqlite3.Connection) -> bool:
    """Whether anything is left of any user."""
    return db.execute("SELECT 1 FROM user_forgettings LIMIT 1").fetchone() is not None

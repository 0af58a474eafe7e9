"""Outbox: carries out what is due of the accounts of a unit, each in its turn (see owner_turns).

An account's turn takes some of its deliveries; those to one recipient go one after the other, in
the order of their messages, and the first one that cannot go now holds back those behind it. Then
it is the next account's.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from deployment_units.services.gateway import kept
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.gateway.kept import DeliveryRow, ReceiptRow
from deployment_units.services.gateway.owner_turns import LOOK_S, OwnerTurns
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import Owner

OWNERS_AT_ONCE = 32
LINES_AT_ONCE = 8  # of one account
ROWS_A_TURN = 64


class Carrier(Protocol):
    """Carries out deliveries of one account to one recipient."""

    async def carry_out(self, owner: Owner, recipient: str, rows: list[DeliveryRow], /) -> None:
        """Those that are due, in the order of their messages; what is done is kept when this
        returns. Raises ServiceError where it could not be kept."""
        ...


class Outbox:
    """Of one unit. carrier: what is done with deliveries; tell: with receipts; wall_ms: Unix ms.
    turns: of accounts; `run` is their task."""

    def __init__(
        self,
        database: UnitDatabase,
        agenda: Agenda,
        carrier: Carrier,
        tell: Callable[[Owner, ReceiptRow], Awaitable[None]],
        *,
        wall_ms: Callable[[], int],
        owners_at_once: int = OWNERS_AT_ONCE,
        look_s: float = LOOK_S,
    ) -> None:
        self._database = database
        self._carrier = carrier
        self._tell = tell
        self._wall_ms = wall_ms
        self.turns = OwnerTurns(
            "deliveries", database, agenda, kept, self._carry_out,
            wall_ms=wall_ms, owners_at_once=owners_at_once, look_s=look_s,
        )  # fmt: skip

    async def _carry_out(self, owner: Owner) -> None:
        """Some of what is due of an account: each recipient's in order, some recipients at once."""
        rows, receipts = self._database.read(partial(_due, owner=owner, now_ms=self._wall_ms()))
        lines: dict[str, list[DeliveryRow]] = {}
        for row in rows:
            lines.setdefault(row.recipient, []).append(row)
        places = asyncio.Semaphore(LINES_AT_ONCE)

        async def one(recipient: str) -> None:
            async with places:
                await self._carrier.carry_out(owner, recipient, lines[recipient])

        async def told(row: ReceiptRow) -> None:
            async with places:
                await self._tell(owner, row)

        results = await asyncio.gather(
            *map(one, lines), *map(told, receipts), return_exceptions=True
        )
        failures = [one for one in results if isinstance(one, BaseException)]
        if failures:
            raise failures[0]


def _due(
    db: sqlite3.Connection, *, owner: Owner, now_ms: int
) -> tuple[list[DeliveryRow], list[ReceiptRow]]:
    """What one turn takes."""
    return (
        kept.due(db, owner.number, now_ms=now_ms, most=ROWS_A_TURN),
        kept.due_receipts(db, owner.number, now_ms=now_ms, most=ROWS_A_TURN),
    )

"""Outbox: carries out what is due of the accounts of a unit, each in its turn.

An account's turn takes some of its deliveries; those to one recipient go one after the other, in
the order of their messages, and the first one that cannot go now holds back those behind it. Then
it is the next one's: tenants take turns, and within them accounts, so that who has ten thousand
waiting holds up nobody else. Nothing here is remembered that the database does not say: what was
under way when the process died is due again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, Protocol

from control_plane.errors import ServiceError
from control_plane.turns import Turns
from deployment_units.services.gateway import kept
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.gateway.kept import DeliveryRow, ReceiptRow
from deployment_units.services.state import owners
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import Owner, OwnerState

log = logging.getLogger(__name__)

OWNERS_AT_ONCE = 32
LINES_AT_ONCE = 8  # of one account
ROWS_A_TURN = 64
LOOK_S = 30.0  # after so long it is looked anyway: an account may have arrived
TRY_AGAIN_MS = 5_000  # where the database could not be written
_PAGE = 256


class Carrier(Protocol):
    """Carries out deliveries of one account to one recipient."""

    async def carry_out(self, owner: Owner, recipient: str, rows: list[DeliveryRow], /) -> None:
        """Those that are due, in the order of their messages; what is done is kept when this
        returns. Raises ServiceError where it could not be kept."""
        ...


class _Turn(NamedTuple):
    tenant: str
    owner: int


class Outbox:
    """Of one unit. carrier: what is done with deliveries; tell: with receipts; wall_ms: Unix ms."""

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
        self._agenda = agenda
        self._carrier = carrier
        self._tell = tell
        self._wall_ms = wall_ms
        self._owners_at_once = owners_at_once
        self._look_s = look_s
        self._turns: Turns[_Turn] = Turns(lambda turn: turn.tenant, within=lambda turn: turn.owner)
        self._taken: set[int] = set()  # owners that have a turn, or wait for it
        self._serving: set[int] = set()
        self._again: set[int] = set()  # of those taken: something more became due
        self.idle = asyncio.Event()  # nothing is due, and nobody is served

    async def run(self) -> None:
        """Carries out what is due, until cancelled."""
        for left in (self._taken, self._serving, self._again, self._turns):
            left.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_now_and_then())
            while True:
                self._agenda.changed.clear()
                self._start(group)
                if not self._taken:
                    self.idle.set()
                await self._agenda.until_due(self._wall_ms)
                self.idle.clear()

    async def _look_now_and_then(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._look_s)

    async def look(self) -> None:
        """Puts all that waits in the database on the agenda."""
        behind = 0
        while page := self._database.read(partial(kept.owners_waiting, behind=behind, most=_PAGE)):
            behind = page[-1].owner
            self._agenda.add((one.owner, one.due_ms) for one in page)
            await asyncio.sleep(0)  # others are served

    def _start(self, group: asyncio.TaskGroup) -> None:
        """Begins the turns that can be begun."""
        now_ms = self._wall_ms()
        while (number := self._agenda.pop_due(now_ms)) is not None:
            if number in self._taken:
                self._again.add(number)
            elif (owner := self._live(number)) is not None:
                self._taken.add(number)
                self._turns.append(_Turn(owner.tenant, number))
        while self._turns and len(self._serving) < self._owners_at_once:
            number = self._turns.popleft().owner
            self._serving.add(number)
            group.create_task(self._serve(number))

    async def _serve(self, number: int) -> None:
        """One turn of an account."""
        due_ms: int | None = self._wall_ms() + TRY_AGAIN_MS
        try:
            if (owner := self._live(number)) is not None:
                await self._carry_out(owner)
            due_ms = self._database.read(lambda db: kept.next_due(db, number))
        except ServiceError as error:  # what was not kept is due as before
            log.info("deliveries of an account have to wait: %s", error)
        except Exception:  # the boundary: a defect in one account's holds nobody else up
            log.exception("deliveries of an account failed")
        finally:
            self._taken.discard(number)
            self._serving.discard(number)
            self._again.discard(number)
            self._agenda.add([] if due_ms is None else [(number, due_ms)])

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

    def _live(self, number: int) -> Owner | None:
        """None: its account does not live here, or is leaving."""
        owner = self._database.read(lambda db: owners.by_number(db, number))
        return owner if owner is not None and owner.state is OwnerState.LIVE else None


def _due(
    db: sqlite3.Connection, *, owner: Owner, now_ms: int
) -> tuple[list[DeliveryRow], list[ReceiptRow]]:
    """What one turn takes."""
    return (
        kept.due(db, owner.number, now_ms=now_ms, most=ROWS_A_TURN),
        kept.due_receipts(db, owner.number, now_ms=now_ms, most=ROWS_A_TURN),
    )

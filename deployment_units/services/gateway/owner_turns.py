"""OwnerTurns: accounts of a unit that have something to do, each in its turn.

Tenants take turns, and within them accounts, so that who has ten thousand things to do holds up
nobody else; and some accounts have their turn at once, so that neither does who takes long. Nothing
here is remembered that the database does not say: what was under way when the process died is due
again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from control_plane.errors import ServiceError
from control_plane.turns import Turns
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.state import owners
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import Owner, OwnerState

log = logging.getLogger(__name__)

LOOK_S = 30.0  # after so long it is looked anyway: an account may have arrived
TRY_AGAIN_MS = 5_000  # where the database could not be written
_PAGE = 256


class Waiting(Protocol):
    """An owner that has something to do, and when the first of it is due, Unix ms."""

    @property
    def owner(self) -> int: ...

    @property
    def due_ms(self) -> int: ...


class DueRows(Protocol):
    """What is due, as the database says."""

    def owners_waiting(
        self, db: sqlite3.Connection, *, behind: int, most: int
    ) -> Sequence[Waiting]:
        """Owners that have something to do, behind a number, in order."""
        ...

    def next_due(self, db: sqlite3.Connection, owner: int, /) -> int | None:
        """When the owner has something to do next, Unix ms; None: it has nothing."""
        ...


class _Turn(NamedTuple):
    tenant: str
    owner: int


class OwnerTurns:
    """Of one unit. what: is done, for messages; serve: one turn of an account; what it raises of
    ServiceError has it come again later. wall_ms: Unix ms."""

    def __init__(
        self,
        what: str,
        database: UnitDatabase,
        agenda: Agenda,
        rows: DueRows,
        serve: Callable[[Owner], Awaitable[None]],
        *,
        wall_ms: Callable[[], int],
        owners_at_once: int,
        look_s: float = LOOK_S,
    ) -> None:
        self._what = what
        self._database = database
        self._agenda = agenda
        self._rows = rows
        self._do = serve
        self._wall_ms = wall_ms
        self._owners_at_once = owners_at_once
        self._look_s = look_s
        self._turns: Turns[_Turn] = Turns(lambda turn: turn.tenant, within=lambda turn: turn.owner)
        self._taken: set[int] = set()  # owners that have a turn, or wait for it
        self._serving: set[int] = set()
        self.idle = asyncio.Event()  # nothing is due, and nobody is served

    async def run(self) -> None:
        """Serves who is due, until cancelled."""
        for left in (self._taken, self._serving, self._turns):
            left.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_now_and_then())
            while True:
                self._agenda.changed.clear()
                self._take_due()
                self._begin(group)
                if not self._taken:
                    self.idle.set()
                await self._agenda.until_due(self._wall_ms)
                self.idle.clear()

    async def serve_due(self) -> None:
        """One turn of each account that is due now."""
        self._take_due()
        async with asyncio.TaskGroup() as group:
            self._begin(group)

    async def look(self) -> None:
        """Puts all that waits in the database on the agenda."""
        behind = 0
        while page := self._database.read(
            partial(self._rows.owners_waiting, behind=behind, most=_PAGE)
        ):
            behind = page[-1].owner
            self._agenda.add((one.owner, one.due_ms) for one in page)
            await asyncio.sleep(0)  # others are served

    async def _look_now_and_then(self) -> None:
        while True:
            try:
                await self.look()
            except ServiceError as error:
                log.info("%s are looked at later: %s", self._what, error)
            await asyncio.sleep(self._look_s)

    def _take_due(self) -> None:
        """Has who is due wait for its turn."""
        now_ms = self._wall_ms()
        while (number := self._agenda.pop_due(now_ms)) is not None:
            # Of who is served just now it is looked at the end of its turn what else is due.
            if number not in self._taken and (owner := self._live(number)) is not None:
                self._taken.add(number)
                self._turns.append(_Turn(owner.tenant, number))

    def _begin(self, group: asyncio.TaskGroup) -> None:
        """Begins the turns that can be begun."""
        while self._turns and len(self._serving) < self._owners_at_once:
            number = self._turns.popleft().owner
            self._serving.add(number)
            group.create_task(self._serve(group, number))

    async def _serve(self, group: asyncio.TaskGroup, number: int) -> None:
        """One turn of an account, and then the next one's."""
        due_ms: int | None = self._wall_ms() + TRY_AGAIN_MS
        try:
            if (owner := self._live(number)) is not None:
                await self._do(owner)
                due_ms = self._database.read(lambda db: self._rows.next_due(db, number))
            else:
                due_ms = None  # it is looked for again, should it stay
        except ServiceError as error:  # what was not kept is due as before
            log.info("%s of an account have to wait: %s", self._what, error)
        except Exception:  # the boundary: a defect in one account's holds nobody else up
            log.exception("%s of an account failed", self._what)
        finally:
            self._taken.discard(number)
            self._serving.discard(number)
            self._agenda.add([] if due_ms is None else [(number, due_ms)])
        self._begin(group)

    def _live(self, number: int) -> Owner | None:
        """None: its account does not live here, or is leaving."""
        owner = self._database.read(lambda db: owners.by_number(db, number))
        return owner if owner is not None and owner.state is OwnerState.LIVE else None

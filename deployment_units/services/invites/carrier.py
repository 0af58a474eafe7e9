"""InviteCarrier: sees to what is due of the invitations of a unit's accounts.

Nothing is remembered that the database does not say: what was under way when the process died is
due again. Accounts take turns, a few invitations each, so that who makes a hundred holds up nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from control_plane.errors import ServiceError
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.invites import kept
from deployment_units.services.invites.steps import InviteSteps
from deployment_units.services.state import owners
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import Owner, OwnerState

log = logging.getLogger(__name__)

OWNERS_AT_ONCE = 16
ROWS_A_TURN = 4
LOOK_S = 30.0  # after so long it is looked anyway: an account may have arrived
TRY_AGAIN_MS = 5_000  # where nothing could be kept
_PAGE = 256


class InviteCarrier:
    """Of one unit. agenda: of invitations alone. wall_ms: Unix ms."""

    def __init__(
        self,
        database: UnitDatabase,
        agenda: Agenda,
        steps: InviteSteps,
        *,
        wall_ms: Callable[[], int],
        look_s: float = LOOK_S,
    ) -> None:
        self._database = database
        self._agenda = agenda
        self._steps = steps
        self._wall_ms = wall_ms
        self._look_s = look_s

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_now_and_then())
            while True:
                self._agenda.changed.clear()
                await self.serve_due()
                await self._agenda.until_due(self._wall_ms)

    async def serve_due(self) -> None:
        """One turn of each account that is due."""
        now_ms = self._wall_ms()
        numbers = []
        while (number := self._agenda.pop_due(now_ms)) is not None:
            numbers.append(number)
        for first in range(0, len(numbers), OWNERS_AT_ONCE):
            async with asyncio.TaskGroup() as group:
                for number in numbers[first : first + OWNERS_AT_ONCE]:
                    group.create_task(self._serve(number))

    async def look(self) -> None:
        """Puts all that waits in the database on the agenda."""
        behind = 0
        while page := self._database.read(partial(kept.owners_waiting, behind=behind, most=_PAGE)):
            behind = page[-1].owner
            self._agenda.add((one.owner, one.due_ms) for one in page)
            await asyncio.sleep(0)  # others are served

    async def _look_now_and_then(self) -> None:
        while True:
            try:
                await self.look()
            except ServiceError as error:
                log.info("invitations are looked at later: %s", error)
            await asyncio.sleep(self._look_s)

    async def _serve(self, number: int) -> None:
        """One turn of an account."""
        due_ms: int | None = self._wall_ms() + TRY_AGAIN_MS
        try:
            owner = self._database.read(lambda db: owners.by_number(db, number))
            if owner is None or owner.state is not OwnerState.LIVE:
                due_ms = None  # it is looked for again, should it stay
                return
            await self._take_turn(owner)
            due_ms = self._database.read(lambda db: kept.next_due(db, number))
        except ServiceError as error:
            log.info("invitations of an account have to wait: %s", error)
        except Exception:  # the boundary: a defect in one account's holds nobody else up
            log.exception("invitations of an account failed")
        finally:
            self._agenda.add([] if due_ms is None else [(number, due_ms)])

    async def _take_turn(self, owner: Owner) -> None:
        rows = self._database.read(
            partial(kept.due, owner=owner.number, now_ms=self._wall_ms(), most=ROWS_A_TURN)
        )
        for row in rows:
            try:
                await self._steps.do(owner, row)
            except ServiceError as error:
                now = self._database.read(
                    partial(kept.find, owner=owner.number, side=row.side, id_=row.id)
                )
                if now is not None and now.due_ms == row.due_ms:
                    raise  # nothing was kept
                log.info("an invitation is refused: %s", error)

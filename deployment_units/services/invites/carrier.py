"""InviteCarrier: sees to what is due of the invitations of a unit's accounts, each in its turn (see
owner_turns): a few invitations a turn, so that who makes a hundred holds up nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from control_plane.errors import ServiceError
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.gateway.owner_turns import LOOK_S, OwnerTurns
from deployment_units.services.invites import kept
from deployment_units.services.invites.steps import InviteSteps
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import Owner

log = logging.getLogger(__name__)

OWNERS_AT_ONCE = 16
ROWS_A_TURN = 4


class InviteCarrier:
    """Of one unit. agenda: of invitations alone. wall_ms: Unix ms. turns: of accounts; `run` is
    their task."""

    def __init__(
        self,
        database: UnitDatabase,
        agenda: Agenda,
        steps: InviteSteps,
        *,
        wall_ms: Callable[[], int],
        owners_at_once: int = OWNERS_AT_ONCE,
        look_s: float = LOOK_S,
    ) -> None:
        self._database = database
        self._steps = steps
        self._wall_ms = wall_ms
        self.turns = OwnerTurns(
            "invitations", database, agenda, kept, self._take_turn,
            wall_ms=wall_ms, owners_at_once=owners_at_once, look_s=look_s,
        )  # fmt: skip

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

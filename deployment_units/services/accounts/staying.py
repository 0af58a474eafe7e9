"""Staying: accounts that were exported, and of which nobody said that they have left.

An export freezes an account. Where the move behind it was given up, nobody tells the unit; so after
LEAVE_S it looks where the account is at home. Still here: it may be changed again. Elsewhere, or
nobody knows: it stays as it is, until it is forgotten or the unit is told where it lives.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import TypeAlias

from control_plane.errors import Unavailable
from deployment_units.services.state import owners
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import Owner, OwnerState

log = logging.getLogger(__name__)

LEAVE_S = 90.0  # a handoff has 60 s at most (provisioner.moves.handoff)
LOOK_S = 5.0  # between two looks
_AT_ONCE = 64


class Home(StrEnum):
    """Where an account is at home, as far as the unit knows."""

    HERE = "here"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"


Whereabouts: TypeAlias = Callable[[Owner], Home]


class Staying:
    """Of one unit. whereabouts: of an account that should have left; wall_ms: Unix ms."""

    def __init__(
        self, database: UnitDatabase, whereabouts: Whereabouts, *, wall_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._whereabouts = whereabouts
        self._wall_ms = wall_ms

    async def run(self) -> None:
        """Looks every LOOK_S, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except Unavailable as away:
                log.warning("accounts that stay cannot be told so yet: %s", away)

    async def look(self) -> None:
        """One look at all that should have left by now. Raises StoreUnavailable."""
        before_ms = self._wall_ms() - int(LEAVE_S * 1000)
        last = (0, 0)
        while page := self._database.read(partial(_page, before_ms=before_ms, last=last)):
            last = (page[-1].since_ms, page[-1].number)
            for owner in page:
                home = Home.HERE if owner.epoch == 0 else self._whereabouts(owner)
                if home is Home.HERE:
                    await self._database.transact(partial(self._stays, seen=owner))

    def _stays(self, db: sqlite3.Connection, seen: Owner) -> None:
        """It does, unless something became of it since it was seen."""
        if owners.find(db, seen.tenant, seen.account) != seen:
            return
        # Of one that keeps nothing, nothing is left.
        state = OwnerState.LIVE if seen.epoch else OwnerState.GONE
        owners.become(db, seen.number, state, now_ms=self._wall_ms())


def _page(db: sqlite3.Connection, *, before_ms: int, last: tuple[int, int]) -> list[Owner]:
    return owners.in_state(db, OwnerState.LEAVING, most=_AT_ONCE, before_ms=before_ms, behind=last)

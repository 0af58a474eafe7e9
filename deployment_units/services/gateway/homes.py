"""Homes: where other accounts are at home, as the control plane says, remembered for as long as the
introduction that came with it is good.

One question at a time for an account, however many ask; so many at once in all; and so many answers
are remembered, those that were used last.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from control_plane.errors import Unavailable
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory.port import RESOLVE, UnitDirectory
from homeport.api.directory.v1 import directory_pb2 as pb

AT_ONCE = 16  # questions to the control plane
MOST_KNOWN = 20_000
SPARE_S = 30.0  # an introduction that ends sooner is not shown any more


class Home(NamedTuple):
    """Where an account is at home. endpoint: host:port; empty: the control plane does not know.
    introduction: to it, for whoever asked. expires_at: Unix seconds."""

    unit_id: str
    endpoint: str
    introduction: str
    expires_at: float


class Homes:
    """Of one unit. wall: Unix seconds."""

    def __init__(
        self,
        directory: UnitDirectory,
        *,
        wall: Callable[[], float],
        at_once: int = AT_ONCE,
        most_known: int = MOST_KNOWN,
    ) -> None:
        self._directory = directory
        self._wall = wall
        self._places = asyncio.Semaphore(at_once)
        self._most_known = most_known
        self._known: OrderedDict[tuple[Resident, str], Home] = OrderedDict()
        self._doubted: set[tuple[Resident, str]] = set()  # of those known
        self._asking: dict[tuple[Resident, str, bool], asyncio.Task[Home]] = {}

    async def find(self, viewer: Resident, account: str, *, fresh: bool = False) -> Home:
        """Where an account of the viewer's tenant is at home. Raises NotFound: nowhere; and what
        else the directory says. fresh: what is remembered has turned out to be wrong."""
        home = self._remembered(viewer, account)
        if home is not None and not fresh and (viewer, account) not in self._doubted:
            return home
        try:
            return await self._asked_for(viewer, account, fresh=fresh or home is not None)
        except Unavailable:
            if home is None or fresh:
                raise
            return home  # it may have moved, and nobody can say so

    def doubt(self, viewer: Resident, account: str) -> None:
        """Nobody answered there: it may be at home elsewhere by now."""
        if (viewer, account) in self._known:
            self._doubted.add((viewer, account))

    def _remembered(self, viewer: Resident, account: str) -> Home | None:
        home = self._known.get((viewer, account))
        if home is None or home.expires_at - SPARE_S <= self._wall():
            return None
        self._known.move_to_end((viewer, account))
        return home

    async def _asked_for(self, viewer: Resident, account: str, *, fresh: bool) -> Home:
        asked = (viewer, account, fresh)
        task = self._asking.get(asked)
        if task is None:
            task = asyncio.create_task(self._ask(viewer, account, fresh))
            self._asking[asked] = task
            task.add_done_callback(lambda done: self._asked(asked, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Ends the questions under way."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, viewer: Resident, account: str, fresh: bool) -> Home:
        async with self._places:
            request = pb.ResolveRequest(account=account, fresh=fresh)
            found: pb.ResolveResponse = await self._directory.call(RESOLVE, viewer, request)
        one = found.residences[0]
        home = Home(
            unit_id=one.unit_id,
            endpoint=one.endpoint,
            introduction=one.introduction,
            expires_at=one.expire_time.seconds + one.expire_time.nanos / 1e9,
        )
        self._known[viewer, account] = home
        self._known.move_to_end((viewer, account))
        self._doubted.discard((viewer, account))
        while len(self._known) > self._most_known:
            self._doubted.discard(self._known.popitem(last=False)[0])
        return home

    def _asked(self, asked: tuple[Resident, str, bool], done: asyncio.Task[Home]) -> None:
        self._asking.pop(asked, None)
        if not done.cancelled():
            done.exception()  # whoever waits has it; where nobody does any more, it is no defect

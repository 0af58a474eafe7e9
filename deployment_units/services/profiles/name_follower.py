"""NameFollower: has profiles follow the directory as it changes, by streams of WatchAccount.

A unit has more accounts than a directory takes streams. So `most` of them are followed: those that
were used last, and as long as there is room others that have names. The rest are asked about now
and then (see Naming). A stream says that something changed; what names are is then asked of the
directory, as ever. It begins with what stands, so that one which broke has missed nothing; while
none can be had, the directory is asked instead, after each pause.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

from control_plane.backoff import Backoff
from control_plane.errors import NotFound, Refused, ServiceError, Unavailable
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory.port import AccountStreams
from deployment_units.services.profiles import kept_names
from deployment_units.services.profiles.naming import Naming
from deployment_units.services.state.database import UnitDatabase

log = logging.getLogger(__name__)

MOST: Final = 512  # accounts of one unit
USED_S: Final = 600.0  # so long an account that was used keeps its stream
FILL_S: Final = 60.0  # between two looks for accounts with names
AT_ONCE: Final = 16  # streams that begin
PAUSES: Final = Backoff(first_s=0.5, most_s=60.0, jittered=0.5)
_ENDED = (NotFound, Refused)  # it is gone, or at home elsewhere


@dataclass(slots=True, eq=False)
class _Followed:
    """used_s: when it was used last, by the clock; said: what the directory said last."""

    resident: Resident
    used_s: float
    task: asyncio.Task[None] | None = None
    said: bytes = b""


class NameFollower:
    """Of one unit; use from its event loop. clock: monotonic seconds; jitter: 0 to 1, new at each
    call; most: accounts that are followed; pauses: between two tries of one stream."""

    def __init__(
        self,
        naming: Naming,
        streams: AccountStreams,
        database: UnitDatabase,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        most: int = MOST,
        pauses: Backoff = PAUSES,
    ) -> None:
        self._naming = naming
        self._streams = streams
        self._database = database
        self._clock = clock
        self._jitter = jitter
        self._most = most
        self._pauses = pauses
        self._followed: OrderedDict[tuple[str, str], _Followed] = OrderedDict()
        self._wanted = asyncio.Event()
        self._begins = asyncio.Semaphore(AT_ONCE)

    def __len__(self) -> int:
        return len(self._followed)

    def follows(self, resident: Resident) -> bool:
        """Whether the account is one of those, as it lives here now."""
        one = self._followed.get((resident.tenant, resident.account))
        return one is not None and one.resident.epoch >= resident.epoch

    def use(self, resident: Resident) -> None:
        """The account is used by its owner: it is followed from now on, unless as many others were
        used within USED_S."""
        key, now_s = (resident.tenant, resident.account), self._clock()
        one = self._followed.get(key)
        if one is not None and one.resident.epoch >= resident.epoch:
            one.used_s = now_s
            self._followed.move_to_end(key)
            return
        if one is not None:
            self._drop(key, one)
        elif len(self._followed) >= self._most:
            oldest, last = next(iter(self._followed.items()))
            if now_s < last.used_s + USED_S:
                return
            self._drop(oldest, last)
        self._followed[key] = _Followed(resident, now_s)
        self._wanted.set()

    async def run(self) -> None:
        """Follows, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._fill()
                for key, one in list(self._followed.items()):
                    if one.task is None or one.task.done():
                        one.task = group.create_task(self._follow(key, one))
                self._wanted.clear()
                try:
                    async with asyncio.timeout(FILL_S):
                        await self._wanted.wait()
                except TimeoutError:
                    pass

    def _fill(self) -> None:
        """Takes accounts that have names, while there is room."""
        room = self._most - len(self._followed)
        if room <= 0:
            return
        try:
            found = self._database.read(partial(kept_names.with_names, most=self._most))
        except Unavailable as away:
            log.warning("accounts with names cannot be looked for yet: %s", away)
            return
        for resident in found:
            key = (resident.tenant, resident.account)
            if room and key not in self._followed:
                self._followed[key] = _Followed(resident, self._clock() - USED_S)
                self._followed.move_to_end(key, last=False)
                room -= 1

    def _drop(self, key: tuple[str, str], one: _Followed) -> None:
        if self._followed.get(key) is one:
            del self._followed[key]
        if one.task is not None:
            one.task.cancel()

    async def _follow(self, key: tuple[str, str], one: _Followed) -> None:
        """Until the account is gone or at home elsewhere."""
        failures = 0
        while True:
            try:
                if failures > 1:
                    await self._naming.ask(one.resident)
                async with aclosing(self._streams.watch(one.resident)) as told:
                    async with self._begins:
                        said = await anext(told)
                    failures = 0
                    await self._hear(one, said.SerializeToString(deterministic=True))
                    async for said in told:
                        await self._hear(one, said.SerializeToString(deterministic=True))
            except _ENDED as ended:
                log.info("names of an account are not followed any more: %s", ended)
                if self._followed.get(key) is one:
                    del self._followed[key]
                return
            except (ServiceError, StopAsyncIteration) as away:
                if not failures:
                    log.info("names of an account are not followed for now: %s", away)
            await asyncio.sleep(self._pauses.pause_s(failures, self._jitter()))
            failures += 1

    async def _hear(self, one: _Followed, said: bytes) -> None:
        """Has the profile say what the directory does, where that is news. Raises as Naming.ask."""
        if said != one.said:
            await self._naming.ask(one.resident)
            one.said = said

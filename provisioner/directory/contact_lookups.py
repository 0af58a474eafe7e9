"""ContactLookups: who finds an account by an address or number that is not findable for everybody.

Those to whom its owner shows it: their own unit knows, and is asked as whoever comes to see them.
Whether there is such an account, or none, or one that shows nothing, the answer takes as long; so
whoever may not know learns nothing from the time either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from control_plane.errors import Unavailable
from control_plane.identifiers.identifier import Identifier
from provisioner.directory.residence import Residence
from provisioner.directory.seen_profile import ProfileReader

ANSWER_S = 0.4  # of each lookup that finds nobody at once


class ContactLookups:
    """sleep: seconds."""

    def __init__(
        self,
        reader: ProfileReader,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._reader = reader
        self._sleep = sleep

    async def among(
        self, hidden: Callable[[], Awaitable[Sequence[Residence]]], identifier: Identifier
    ) -> list[Residence]:
        """Those whose accounts show the identifier to the viewer that their introductions name. One
        whose unit is away, or takes too long, shows nothing. hidden(): the homes of all. Takes
        ANSWER_S, with whatever that takes."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pause(), name="lookup's time")
            asked = group.create_task(self._asked(hidden, identifier), name="lookup")
        return asked.result()

    async def _pause(self) -> None:
        await self._sleep(ANSWER_S)

    async def _asked(
        self, hidden: Callable[[], Awaitable[Sequence[Residence]]], identifier: Identifier
    ) -> list[Residence]:
        found: list[Residence] = []
        try:
            async with asyncio.timeout(ANSWER_S):
                for one in await hidden():
                    if await self._shows(one, identifier):
                        found.append(one)  # noqa: PERF401  # what is there counts if time is over
        except (TimeoutError, Unavailable):
            return found
        return found

    async def _shows(self, residence: Residence, identifier: Identifier) -> bool:
        try:
            seen = await self._reader.read(residence)
        except Unavailable:
            return False
        return seen is not None and any(one.uri == identifier.uri for one in seen.identifiers)

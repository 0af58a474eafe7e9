"""PublicProfiles: what somebody who knows a name may see of its account, as its unit says.

The directory finds the account, and makes an introduction to its home, for a viewer or for nobody
in particular; the unit answers what is disclosed to them. What a stranger sees is remembered for
some seconds, so that a name which many look at does not reach its unit each time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from control_plane.errors import Unavailable
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from provisioner.directory.budgets import Asker
from provisioner.directory.holdings import Holdings
from provisioner.directory.residence import Residence
from provisioner.directory.resolving import Resolver
from provisioner.directory.seen_profile import ProfileReader, SeenProfile

KEPT_S = 10.0
MOST_KEPT = 10_000
ANSWER_S = 4.0  # for all that units are asked for one page
AWAY_S = 5.0  # until somebody looks again
MOST_AT_ONCE = 64  # questions to units


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicProfile:
    """handle: without '@'; empty: the account has none."""

    account: str
    handle: str
    seen: SeenProfile


class PublicProfiles:
    """Of one server. clock: monotonic seconds."""

    def __init__(
        self,
        resolver: Resolver,
        holdings: Holdings,
        reader: ProfileReader,
        *,
        clock: Callable[[], float],
        most_kept: int = MOST_KEPT,
    ) -> None:
        self._resolver = resolver
        self._holdings = holdings
        self._reader = reader
        self._clock = clock
        self._most_kept = most_kept
        self._kept: OrderedDict[tuple[str, str, int], tuple[float, SeenProfile]] = OrderedDict()
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    async def find(self, identifier: Identifier, asker: Asker) -> tuple[PublicProfile, ...]:
        """Of each account that the name is of: one, or several of an address. asker: names itself
        as a stranger, or who its viewer is. Raises NotFound, also where the asker may not know;
        Exhausted; Unavailable where a unit is away."""
        found = await self._resolver.resolve(identifier, asker)
        try:
            async with asyncio.timeout(ANSWER_S):
                return tuple([await self._of(identifier, asker, one) for one in found.residences])
        except TimeoutError as error:
            raise Unavailable(
                "the unit of this account takes too long", retry_after_s=AWAY_S
            ) from error

    async def _of(self, identifier: Identifier, asker: Asker, home: Residence) -> PublicProfile:
        seen = await self._seen(identifier, asker, home)
        if identifier.kind is IdentifierKind.HANDLE:
            return PublicProfile(account=home.account, handle=identifier.normal, seen=seen)
        held = (await self._holdings.of(asker.tenant, home.account, None)).held
        handle = next((one.handle for one in held if one.handle), "")
        return PublicProfile(account=home.account, handle=handle, seen=seen)

    async def _seen(self, identifier: Identifier, asker: Asker, home: Residence) -> SeenProfile:
        key = (asker.tenant, home.account, home.epoch)
        now_s = self._clock()
        if not asker.viewer and (kept := self._kept.get(key)) and now_s < kept[0]:
            return kept[1]
        async with self._room:
            seen = await self._reader.read(home)
            if seen is None:  # it moved a moment ago
                again = await self._resolver.resolve(identifier, asker, fresh=True)
                there = [one for one in again.residences if one.account == home.account]
                seen = await self._reader.read(there[0]) if there else None
        if seen is None:
            raise Unavailable("the account is just moving", retry_after_s=AWAY_S)
        if not asker.viewer:
            self._kept[key] = (now_s + KEPT_S, seen)
            self._kept.move_to_end(key)
            while len(self._kept) > self._most_kept:
                self._kept.popitem(last=False)
        return seen

"""DirectoryCallHomes: whose call one is, and where accounts are at home, as the directory says,
remembered for a minute, and while it is away for as long as introductions last.

A call that finds nobody costs the unit dearly there. So who makes many such calls is not asked for
any more for a while: it uses up what is its own, and not the unit's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from control_plane.errors import Exhausted, NotFound, Unavailable
from control_plane.identity.introductions import Introduction
from control_plane.quotas.token_buckets import Rate, TokenBuckets
from deployment_units.services.accounts.callers import introduced
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.directory.port import FIND_CALL_HOME, RESOLVE, UnitDirectory
from deployment_units.services.telephony.call_peers import CallUnit
from homeport.api.directory.v1 import directory_pb2, number_pb2

FRESH_S = 60.0
LASTS_S = 540.0  # what is remembered; introductions last 600 s
MOST_KNOWN = 10_000
MISSES = Rate(per_s=0.2, burst=20.0)  # calls of one number that find nobody
MISSES_WITHHELD = Rate(per_s=2.0, burst=100.0)  # of all who withhold theirs
_NOBODY = Resident(tenant="", account="", epoch=0)


@dataclass(frozen=True, slots=True)
class _Known:
    home: Resident | CallUnit
    at_s: float


class DirectoryCallHomes:
    """A CallHomeFinder of one unit. read_introduction: one that was made for it; clock: monotonic
    seconds. Of calls it raises Exhausted also where the caller has found nobody too often."""

    def __init__(
        self,
        unit_id: str,
        directory: UnitDirectory,
        read_introduction: Callable[[str], Introduction],
        *,
        clock: Callable[[], float],
        most_known: int = MOST_KNOWN,
    ) -> None:
        self._unit_id = unit_id
        self._directory = directory
        self._read_introduction = read_introduction
        self._clock = clock
        self._most_known = most_known
        self._known: OrderedDict[Hashable, _Known] = OrderedDict()
        self._misses = TokenBuckets(MISSES, most_keys=most_known)
        self._misses_withheld = TokenBuckets(MISSES_WITHHELD)

    async def of_call(
        self, caller: str | None, dialled: str, *, fresh: bool = False
    ) -> Resident | CallUnit | None:
        """See CallHomeFinder."""

        async def ask() -> Resident | CallUnit:
            misses = self._misses if caller else self._misses_withheld
            # As for one that finds nobody, so that calls at once are counted like others.
            if wait_s := misses.take(caller, self._clock()):
                raise Exhausted("too many calls of this caller find nobody", retry_after_s=wait_s)
            request, missed = number_pb2.FindCallHomeRequest(dialled=dialled), False
            request.caller = caller or ""
            try:
                found = await self._directory.call(FIND_CALL_HOME, _NOBODY, request)
            except NotFound:
                missed = True
                raise
            finally:
                if not missed:
                    misses.give_back(caller)
            return self._home(found.tenant, found.residence)

        return await self._remembered((caller, dialled), ask, fresh=fresh)

    async def of_account(
        self, tenant: str, account: str, *, fresh: bool = False
    ) -> Resident | CallUnit | None:
        """See CallHomeFinder."""

        async def ask() -> Resident | CallUnit:
            nobody = Resident(tenant=tenant, account="", epoch=0)
            request = directory_pb2.ResolveRequest(account=account, fresh=fresh)
            found = await self._directory.call(RESOLVE, nobody, request)
            return self._home(tenant, found.residences[0])

        return await self._remembered((tenant, account, "account"), ask, fresh=fresh)

    async def _remembered(
        self, key: Hashable, ask: Callable[[], Awaitable[Resident | CallUnit]], *, fresh: bool
    ) -> Resident | CallUnit | None:
        known, now = self._known.get(key), self._clock()
        if known is not None and not fresh and now - known.at_s < FRESH_S:
            return known.home
        try:
            home = await ask()
        except NotFound:
            self._known.pop(key, None)
            return None
        except Unavailable:
            if known is None or fresh or now - known.at_s >= LASTS_S:
                raise
            return known.home
        self._known[key] = _Known(home, now)
        self._known.move_to_end(key)
        if len(self._known) > self._most_known:
            self._known.popitem(last=False)
        return home

    def _home(self, tenant: str, residence: directory_pb2.Residence) -> Resident | CallUnit:
        if residence.unit_id == self._unit_id:
            return introduced(self._read_introduction(residence.introduction))
        return CallUnit(
            tenant=tenant,
            account=residence.account,
            endpoint=residence.endpoint,
            introduction=residence.introduction,
        )

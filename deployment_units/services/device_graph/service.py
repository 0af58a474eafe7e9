"""DeviceService: the gRPC servicer of the device graph in one unit."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, Final, Protocol

from grpc import aio

from control_plane.errors import Exhausted, NotFound, PermissionDenied
from control_plane.quotas.token_buckets import Rate, TokenBuckets
from control_plane.serving.peers import peer_group
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.device_graph import kept, linking, waiting
from deployment_units.services.device_graph.capture import StampAt, StampsTogether
from deployment_units.services.device_graph.evidence import (
    BootInstant,
    NoBoot,
    Uptime,
    boot_of,
)
from deployment_units.services.device_graph.graph import undo
from deployment_units.services.device_graph.matching import Decision, word_of
from deployment_units.services.device_graph.messages import SOURCES, explanation, map_to_proto
from deployment_units.services.device_graph.networks import network_of
from deployment_units.services.device_graph.requests import (
    browser_of,
    device_of,
    known_browser_of,
    purpose_of,
    uptime_ms_of,
)
from deployment_units.services.profiles.requests import label_of
from deployment_units.services.state import owners
from deployment_units.services.state.database import UnitDatabase
from homeport.api.communication.v1 import device_pb2 as pb
from homeport.api.communication.v1 import device_pb2_grpc as pb_grpc

NAME = "homeport.api.communication.v1.DeviceService"
REPORTS: Final = Rate(per_s=1.0, burst=60.0)  # of an address, and of an account
NETWORKS: Final = Rate(per_s=20.0, burst=1_200.0)  # observations, of all addresses of a network
BOOTS: Final = Rate(per_s=64 / 86_400, burst=64.0)  # of an account's devices, by each source
MOST_KEYS: Final = 50_000
FORGET_S: Final = 60.0  # between looks for browsers that have waited long enough

_Context = aio.ServicerContext[Any, Any]


class TooMuchReported(Exhausted):
    """Too many reports or observations came from an address or an account."""

    reason = "TOO_MUCH_REPORTED"


class BrowserActivity(Protocol):
    """Is told who is where; see ClientActivity."""

    def in_browser(self, tenant: str, account: str, now_ms: int) -> None: ...

    def forget_browsers(self, tenant: str, account: str) -> None: ...


class DeviceService(pb_grpc.DeviceServiceServicer):
    """Servicer of one unit."""

    def __init__(
        self,
        database: UnitDatabase,
        accounts: Accounts,
        callers: Callers,
        *,
        wall_ms: Callable[[], int],
        serves: Callable[[str], bool],
        activity: BrowserActivity,
        stamp_of: Callable[[str], StampAt | None] = lambda peer: None,
        clock: Callable[[], float] = time.monotonic,
        rate: Rate = REPORTS,
        networks: Rate = NETWORKS,
    ) -> None:
        """wall_ms: Unix ms; clock: monotonic seconds; serves: a tenant; stamp_of: the TCP
        timestamp of a connection, by its other end."""
        self._database = database
        self._accounts = accounts
        self._callers = callers
        self._wall_ms = wall_ms
        self._serves = serves
        self._activity = activity
        self._stamp_of = stamp_of
        self._clock = clock
        self._together = StampsTogether()
        self._buckets = TokenBuckets(rate, most_keys=MOST_KEYS)
        self._networks = TokenBuckets(networks, most_keys=MOST_KEYS)
        self._boots_told = TokenBuckets(BOOTS, most_keys=MOST_KEYS)
        self.observed: Counter[str] = Counter()  # browsers, by what was decided

    async def run(self) -> None:
        """Forgets browsers that have waited long enough, for ever."""
        while True:
            await asyncio.sleep(FORGET_S)
            while await self._database.transact(
                lambda db: waiting.forget_waiting(db, now_ms=self._wall_ms())
            ):
                pass

    async def SetConsent(self, request: pb.SetConsentRequest, context: _Context) -> pb.DeviceMap:
        resident, purpose = self._changing(context), purpose_of(request.purpose)
        now_ms = self._wall_ms()

        def agree(db: sqlite3.Connection, owner: int) -> None:
            if not request.given:
                waiting.no_longer_waits(db, resident.tenant, kept.graph_of(db, owner).edges)
            kept.set_consent(db, owner, purpose, request.given, now_ms=now_ms)

        changed = await self._change(resident, agree)
        if not request.given:
            self._activity.forget_browsers(resident.tenant, resident.account)
        return changed

    async def ReportDevice(
        self, request: pb.ReportDeviceRequest, context: _Context
    ) -> pb.ReportDeviceResponse:
        resident = self._resident(context)
        device, label = device_of(request.device), label_of(request.label)
        uptime_ms = uptime_ms_of(request.uptime) if request.HasField("uptime") else None
        self._take(resident.tenant, resident.account)
        now_ms, block = self._wall_ms(), peer_group(context.peer())
        server, boots, again = self._boots(
            (resident.tenant, resident.account, device), context.peer(), uptime_ms, now_ms
        )

        def on_boot() -> None:
            wait_s = self._boots_told.take((resident.tenant, resident.account), self._clock(), 1.0)
            if wait_s:
                raise TooMuchReported(
                    "the account's devices have booted too often to be believed; wait",
                    retry_after_s=wait_s,
                )

        def report(db: sqlite3.Connection, owner: int) -> int:
            return linking.device_reported(
                db, resident.tenant, owner, device,
                label=label, block=block, server=server, boots=boots,
                now_ms=now_ms, on_boot=on_boot,
            )  # fmt: skip

        matched = await self._accounts.change(resident, report)
        return pb.ReportDeviceResponse(
            sources=[SOURCES[boot.source] for boot in boots], again=again, matched=matched
        )

    async def Observe(self, request: pb.ObserveRequest, context: _Context) -> pb.ObserveResponse:
        browser = browser_of(request.site, request.browser)
        purpose_of(request.purpose)  # without it the observation is dropped at the door
        uptime_ms = uptime_ms_of(request.uptime) if request.HasField("uptime") else None
        tenant = request.tenant
        if not tenant or not self._serves(tenant):
            raise PermissionDenied("this unit does not serve that tenant")
        block = peer_group(context.peer())
        self._take(block)
        if wait_s := self._networks.take(network_of(block), self._clock(), 1.0):
            raise TooMuchReported("too much was seen from there; wait", retry_after_s=wait_s)
        now_ms = self._wall_ms()
        server, boots, again = self._boots((tenant, browser), context.peer(), uptime_ms, now_ms)

        def see(db: sqlite3.Connection) -> tuple[set[str], list[Decision]]:
            found = linking.browser_seen(
                db, tenant, browser, block=block, server=server, boots=boots, now_ms=now_ms
            )
            numbers = {one.on for one in found if one.on is not None}
            on = [owners.by_number(db, number) for number in numbers]
            return {one.account for one in on if one}, [one.decision for one in found]

        accounts, decisions = await self._database.transact(see)
        self.observed.update(word_of(one) for one in decisions)
        for account in accounts:
            self._activity.in_browser(tenant, account, now_ms)
        return pb.ObserveResponse(again=again)

    async def GetMap(self, request: pb.GetMapRequest, context: _Context) -> pb.DeviceMap:
        return self._accounts.read(self._resident(context), self._map)

    async def Explain(
        self, request: pb.ExplainBrowserRequest, context: _Context
    ) -> pb.ExplainBrowserResponse:
        resident, browser = self._resident(context), known_browser_of(request.browser)
        now_ms = self._wall_ms()

        def explain(db: sqlite3.Connection, owner: int) -> pb.ExplainBrowserResponse | None:
            edge = kept.graph_of(db, owner, browser).edges.get(browser)
            if edge is not None and edge.holds(now_ms):
                return explanation(edge, None)
            decision = linking.explained(db, resident.tenant, owner, browser)
            return None if decision is None else explanation(None, decision)

        found = self._accounts.read(resident, explain)
        if found is None:
            raise NotFound(
                "nothing is known of that browser that concerns this account; it was not seen "
                "within a day where one of the account's devices was"
            )
        return found

    async def Unlink(self, request: pb.UnlinkRequest, context: _Context) -> pb.DeviceMap:
        resident = self._changing(context)
        browser, device = known_browser_of(request.browser), device_of(request.device)
        now_ms = self._wall_ms()

        def unlink(db: sqlite3.Connection, owner: int) -> None:
            if device not in {one.device for one in kept.devices(db, owner)}:
                raise NotFound(f"the account has no device {device}; GetMap lists those it has")
            before = kept.graph_of(db, owner, browser)
            kept.keep_graph(db, owner, before, undo(before, browser, device), now_ms=now_ms)

        changed = await self._change(resident, unlink)
        self._activity.forget_browsers(resident.tenant, resident.account)
        return changed

    async def RemoveDevice(
        self, request: pb.RemoveDeviceRequest, context: _Context
    ) -> pb.DeviceMap:
        resident, device = self._changing(context), device_of(request.device)
        changed = await self._change(
            resident, lambda db, owner: kept.remove_device(db, owner, device)
        )
        self._activity.forget_browsers(resident.tenant, resident.account)
        return changed

    async def Erase(self, request: pb.EraseRequest, context: _Context) -> pb.EraseResponse:
        resident = self._changing(context)

        def erase(db: sqlite3.Connection, owner: int) -> int:
            waiting.no_longer_waits(db, resident.tenant, kept.graph_of(db, owner).edges)
            return kept.erase(db, owner)

        rows = await self._accounts.change(resident, erase)
        self._activity.forget_browsers(resident.tenant, resident.account)
        return pb.EraseResponse(rows=rows)

    def _changing(self, context: _Context) -> Resident:
        return self._callers.changing(context.invocation_metadata() or ())

    def _resident(self, context: _Context) -> Resident:
        return self._callers.resident(context.invocation_metadata() or ())

    def _take(self, *key: str) -> None:
        wait_s = self._buckets.take(key, self._clock(), 1.0)
        if wait_s:
            raise TooMuchReported("too much was reported from here; wait", retry_after_s=wait_s)

    def _boots(
        self, key: Hashable, peer: str, uptime_ms: int | None, now_ms: int
    ) -> tuple[str, list[BootInstant], bool]:
        """The address of ours, when the device booted by each source that tells, and whether
        another connection would tell more."""
        if not peer_group(peer):  # from nowhere that could be the same as another
            return "", [], False
        found: list[BootInstant | NoBoot] = []
        if uptime_ms is not None:
            found.append(boot_of(Uptime(uptime_ms=uptime_ms, seen_ms=now_ms)))
        came = self._stamp_of(peer)
        by_tcp = NoBoot.NOTHING if came is None else boot_of(self._together.add(key, came))
        found.append(by_tcp)
        boots = [boot for boot in found if isinstance(boot, BootInstant)]
        return came.server if came else "", boots, by_tcp is NoBoot.ONE_CONNECTION

    def _map(self, db: sqlite3.Connection, owner: int) -> pb.DeviceMap:
        return map_to_proto(
            kept.devices(db, owner),
            kept.graph_of(db, owner),
            kept.consents(db, owner),
            now_ms=self._wall_ms(),
        )

    async def _change(
        self, resident: Resident, change: Callable[[sqlite3.Connection, int], object]
    ) -> pb.DeviceMap:
        """Changes what is kept; the map as it is then."""

        def whole(db: sqlite3.Connection, owner: int) -> pb.DeviceMap:
            change(db, owner)
            return self._map(db, owner)

        return await self._accounts.change(resident, whole)

"""DeviceService of a unit with calls from addresses and with timestamps, and what it was told."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from google.protobuf.duration_pb2 import Duration

from control_plane.quotas.token_buckets import Rate
from deployment_units.services.device_graph.capture import StampAt
from deployment_units.services.device_graph.evidence import TcpStamp
from deployment_units.services.device_graph.service import NETWORKS, DeviceService
from homeport.api.communication.v1 import device_pb2 as pb
from tests.support.account_units import TENANT, AccountUnit, account_unit
from tests.support.fakes.call_context import FakeContext

HOME = "ipv4:198.51.100.7"
ELSEWHERE = "ipv4:203.0.113.9"
SITE, BROWSER = "talk.example", "browser-0123456789"
NAMED = f"{SITE}/{BROWSER}"
UP = Duration(seconds=90_000)
OTHER_UP = Duration(seconds=500_000)


class Call(FakeContext):
    """A call from an address, over a connection of its own."""

    ports = itertools.count(40_000)

    def __init__(self, token: str = "", address: str = HOME) -> None:
        super().__init__(token)
        self._peer = f"{address}:{next(self.ports)}"

    def peer(self) -> str:
        return self._peer


class Devices:
    """A unit's servicer, with what it was told of who is active."""

    def __init__(self, unit: AccountUnit, networks: Rate = NETWORKS) -> None:
        self.unit = unit
        self.active: list[str] = []
        self.stamps: dict[str, StampAt] = {}
        self.seconds = 0.0
        self.service = DeviceService(
            unit.database, unit.accounts, unit.callers, wall_ms=unit.wall_ms,
            serves=lambda tenant: tenant == TENANT, stamp_of=self.stamps.get,
            activity=self,
            clock=lambda: self.seconds,
            networks=networks,
        )  # fmt: skip

    def in_browser(self, tenant: str, account: str, now_ms: int) -> None:
        self.active.append(account)

    def forget_browsers(self, tenant: str, account: str) -> None:
        self.active = [one for one in self.active if one != account]

    def by(self, account: str, address: str = HOME) -> Any:
        ticket = self.unit.by_ticket(account)
        return Call(dict(ticket.invocation_metadata())["authorization"][7:], address)

    def stamped(self, call: Any, connection: int, value: int) -> Any:
        self.stamps[call.peer()] = StampAt(
            server="ipv4:192.0.2.1:443",
            stamp=TcpStamp(connection=connection, value=value, seen_ms=self.unit.wall_ms()),
        )
        return call

    async def agree(self, account: str, given: bool = True) -> pb.DeviceMap:
        request = pb.SetConsentRequest(purpose=pb.PURPOSE_REACH, given=given)
        return await self.service.SetConsent(request, self.by(account))

    async def report(
        self, account: str, device: str = "phone", *, up: Duration = UP, address: str = HOME
    ) -> pb.ReportDeviceResponse:
        request = pb.ReportDeviceRequest(device=device, uptime=up)
        return await self.service.ReportDevice(request, self.by(account, address))

    async def observe(
        self, *, up: Duration | None = UP, address: str = HOME, browser: str = BROWSER
    ) -> pb.ObserveResponse:
        request = pb.ObserveRequest(
            tenant=TENANT, site=SITE, browser=browser, purpose=pb.PURPOSE_REACH, uptime=up
        )
        return await self.service.Observe(request, Call(address=address))

    async def edges(self, account: str) -> dict[str, list[str]]:
        found = await self.service.GetMap(pb.GetMapRequest(), self.by(account))
        return {one.device: [edge.browser for edge in one.browsers] for one in found.devices}


@asynccontextmanager
async def devices(folder: Path, networks: Rate = NETWORKS) -> AsyncIterator[Devices]:
    """networks: observations of one network."""
    async with account_unit(folder) as unit:
        yield Devices(unit, networks)

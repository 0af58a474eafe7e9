"""A call server in the test's own process, between two gateways with telephones: P1 behind the one,
P2 behind the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from console.demo.directory.sip_telephones import SipTelephones
from deployment_units.services.telephony.port import (
    CallRecord,
    CallRoute,
    EndCause,
    IncomingCall,
    Leg,
    RefusedCause,
)
from deployment_units.services.telephony.sip.call_server import CallServer
from deployment_units.services.telephony.sip.port import EngineLimits, LegPlan
from deployment_units.services.telephony.sip.source_rates import SourceRates
from deployment_units.services.telephony.sip.trunks import Trunks, read_trunks
from tests.support.fakes.call_routing import FakeCallRouting

pytest.importorskip("sippy", reason="sippy, the engine of the call server, is not installed")
from deployment_units.services.telephony.sip.sippy_engine import SippyEngine

P1, P2 = "+442079460301", "+442079460302"
V, T = "+442079460101", "+442079460201"
ROUTES: dict[tuple[str | None, str], tuple[str, str | None] | RefusedCause] = {
    (P1, T): (P2, V), (P2, V): (P1, T),
}  # fmt: skip


@dataclass
class Asks:
    """CallAsks over a routing, without a process between. hears: until it is set, routes wait."""

    routing: FakeCallRouting
    engine: SippyEngine | None = None
    trunks: Trunks | None = None
    told: list[str] = field(default_factory=list)
    hears: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def route(self, call: IncomingCall) -> CallRoute:
        await self.hears.wait()
        return await self.routing.route(call)

    async def text(self, call: IncomingCall, text: str) -> int:
        route = await self.routing.route(call)
        if not isinstance(route, Leg):
            return 404
        assert self.engine is not None
        assert self.trunks is not None
        plan = LegPlan(target=route.target, shown=route.shown, trunk=self.trunks.out)
        return await self.engine.send_text(plan, text, within_s=20)

    def began(self, record: CallRecord, at_ms: int) -> None:
        self._tell("began")

    def answered(self, record: CallRecord, at_ms: int) -> None:
        self._tell("answered")

    def ended(self, record: CallRecord, at_ms: int, cause: EndCause) -> None:
        self._tell(str(cause))

    def _tell(self, what: str) -> None:
        self.told.append(what)
        self.changed.set()

    async def until_told(self, what: str) -> list[str]:
        """All that was told, once this was."""
        async with asyncio.timeout(30):
            while what not in self.told:
                self.changed.clear()
                await self.changed.wait()
        return self.told


@dataclass
class Gateways:
    """near: the gateway by which calls come; far: the one by which they leave."""

    near: SipTelephones
    far: SipTelephones
    engine: SippyEngine
    asks: Asks


@asynccontextmanager
async def line(
    *,
    limits: EngineLimits | None = None,
    per_s: float = 10_000,
    region: str = "GB",
    control: type[CallServer] = CallServer,
) -> AsyncIterator[Gateways]:
    near, far = SipTelephones(("127.0.0.1", 1)), SipTelephones(("127.0.0.1", 1))
    (_, near_port), (_, far_port) = await near.open(), await far.open()
    trunks = read_trunks(
        f"near=127.0.0.1:{near_port}, far=127.0.0.1:{far_port}", out="far", emergency="far"
    )
    asks = Asks(FakeCallRouting(routes=dict(ROUTES)), trunks=trunks)
    asks.hears.set()
    engine = SippyEngine(
        ("127.0.0.1", 0), trunks, control(trunks, asks, region=region, wall_ms=lambda: 1),
        rates=SourceRates(per_s, clock=time.monotonic), limits=limits,
    )  # fmt: skip
    asks.engine = engine
    running = asyncio.create_task(engine.run())
    try:
        async with asyncio.timeout(30):
            await engine.listens.wait()
        near.server = far.server = engine.address
        yield Gateways(near, far, engine, asks)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        near.close()
        far.close()

"""The call server as a process: asked and told over its link, and killed with calls up."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from console.demo.directory.sip_telephones import SipTelephones
from control_plane.errors import Refused
from deployment_units.services.accounts.accounts import AccountFull
from deployment_units.services.telephony.port import CallKind, CallRecord, EndCause, IncomingCall
from deployment_units.services.telephony.sip.call_server_process import (
    CallServerEndedError,
    CallServerProcess,
)
from deployment_units.services.telephony.sip.link import Configured, Routed
from tests.support.fakes.call_routing import FakeCallRouting
from tests.support.number_leaks import found
from tests.support.sip_engines import P1, P2, ROUTES, T, V

OURS = "+442079460100"


@dataclass
class Routing(FakeCallRouting):
    """ends: set at each record that was closed."""

    ends: asyncio.Event = field(default_factory=asyncio.Event)

    async def ended(self, record: CallRecord, at_ms: int, cause: EndCause) -> None:
        await super().ended(record, at_ms, cause)
        self.ends.set()


@dataclass
class Unit:
    near: SipTelephones
    far: SipTelephones
    routing: Routing
    process: CallServerProcess
    running: asyncio.Task[None]

    async def until_told(self, what: EndCause) -> None:
        """Until a record was closed so."""
        async with asyncio.timeout(60):
            while self.routing.told[-1:] == [] or self.routing.told[-1][3] is not what:
                self.routing.ends.clear()
                await self.routing.ends.wait()


async def take(call: IncomingCall, text: str) -> int | None:
    if text == "Full":
        raise AccountFull("no room")
    return (200 if text == "Yes" else 480) if call.dialled == OURS else None


@asynccontextmanager
async def unit() -> AsyncIterator[Unit]:
    near, far = SipTelephones(("127.0.0.1", 1)), SipTelephones(("127.0.0.1", 1))
    (_, near_port), (_, far_port) = await near.open(), await far.open()
    routing = Routing(routes=dict(ROUTES))
    configured = Configured(
        listen=("127.0.0.1", 0), out="far", emergency="far", region="GB", rate_per_s=1_000,
        trunks=f"near=127.0.0.1:{near_port},far=127.0.0.1:{far_port}",
    )  # fmt: skip
    process = CallServerProcess(configured, routing, take=take, wall_ms=lambda: 1)
    await process.start()
    assert process.address is not None
    near.server = far.server = process.address
    running = asyncio.create_task(process.run())
    try:
        yield Unit(near, far, routing, process, running)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, CallServerEndedError):
            await running
        near.close()
        far.close()


async def test_calls_and_texts_are_asked_of_the_unit_and_told_to_it() -> None:
    async with unit() as there:
        call = await there.near.call(P1, T)
        assert call.statuses == [100, 180, 200]
        await there.near.hang_up(call)
        await there.until_told(EndCause.COMPLETED)
        assert [one[0] for one in there.routing.told] == ["began", "answered", "ended"]
        asked = IncomingCall(caller=P1, dialled=T, kind=CallKind.CALL, trunk="near", region="GB")
        assert there.routing.asked == [asked]
        assert await there.near.text(P1, T, "Hello") == 200
        assert there.far.texts == {P2: [(V, "Hello")]}
        assert there.routing.asked[-1].kind is CallKind.TEXT
        assert await there.near.text(P2, OURS, "Yes") == 200  # to the unit itself
        assert await there.near.text(P2, OURS, "No") == 480
        assert await there.near.text(P2, OURS, "Full") == 503  # and the call server goes on
        assert len(there.routing.asked) == 2
        assert await there.process.send_text(P2, OURS, "Code 1", within_s=20) == 200
        assert there.far.texts[P2][-1] == (OURS, "Code 1")
        assert not any(found(data, P1) for data in there.far.got)


async def test_a_route_that_the_call_server_is_not_told_leaves_no_record_open() -> None:
    async with unit() as there:
        link = there.process._link
        assert link is not None
        said, said_before = link.say, []

        def full(value: object) -> bool:
            if isinstance(value, Routed):
                said_before.append(value)
                return False  # the other side reads too little
            return said(value)

        link.say = full  # type: ignore[method-assign]
        calling = asyncio.create_task(there.near.call(P1, T))
        await there.until_told(EndCause.FAILED)
        assert len(said_before) == 1
        assert [one[0] for one in there.routing.told] == ["ended"]
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)


async def test_a_call_server_that_is_killed_leaves_its_calls_up() -> None:
    async with unit() as there:
        call = await there.near.call(P1, T)
        os.kill(there.process.pid, signal.SIGKILL)
        with pytest.raises(CallServerEndedError):
            await there.running
        assert there.routing.told[-1][0] == "ended"
        assert there.routing.told[-1][3] is EndCause.LOST
        assert await there.process.send_text(P2, OURS, "x", within_s=5) is None
        assert not there.far.rung[0].over  # nobody was told to hang up
        assert not call.over
        # The ACK of its answer may come after the kill; nothing else does.
        assert {data.split(b" ")[0] for data in there.far.got} <= {b"INVITE", b"ACK"}
        there.running = asyncio.create_task(there.process.run())  # as the supervisor does
        address = there.near.server
        async with asyncio.timeout(60):
            await there.process.serves.wait()
        assert there.process.address == address
        assert await there.near.hang_up(call) == 481  # it is not known here any more
        again = await there.near.call(P1, T)
        assert again.statuses[-1] == 200
        there.running.cancel()
        with suppress(asyncio.CancelledError):
            await there.running


async def test_a_call_server_that_cannot_listen_says_why() -> None:
    async with unit() as there:
        assert there.process.address is not None
        taken = Configured(
            listen=there.process.address, trunks="a=127.0.0.1:9", out="", emergency="", region="",
            rate_per_s=1,
        )  # fmt: skip
        for configured, why in (
            (taken, "cannot listen"),
            (Configured(("127.0.0.1", 0), "nonsense", "", "", "", 1), "sip_trunks"),
        ):
            other = CallServerProcess(configured, there.routing, take=take, wall_ms=lambda: 1)
            with pytest.raises(Refused, match=why):
                await other.start()
            assert other.pid == 0

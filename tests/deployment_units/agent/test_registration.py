"""The line to the control plane under everything that can go wrong with it.

Over a real loopback socket; what is waited for is an event or a message, not a time.
"""

import asyncio
import gc
import os
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from control_plane.fleet.file import SAMPLE, read_fleet
from control_plane.fleet.unit import UnitSpec
from control_plane.fleet_messages import spec_to_proto
from control_plane.identity.admission import TicketVerifier
from control_plane.identity.keyring import KeyRing, new_epoch, rotated
from control_plane.identity.tickets import TicketIssuer
from deployment_units.agent.registration import Registration, UnitIdentity
from tests.support.fakes.fleet_service import FakeFleet

WAIT_S = 10.0
RING = KeyRing(epochs=(new_epoch(1, now=time.time(), random=os.urandom),))


class Idle:
    def load(self) -> float:
        return 0.0


class AgentStream:
    """A registration that runs, and the door it keeps supplied with keys."""

    def __init__(self, *servers: str, spec: UnitSpec | None = None, ttl_s: int = 2) -> None:
        self.door = TicketVerifier("us-east")
        self.registration = Registration(
            UnitIdentity(unit_id="us-east", incarnation="1", version="1", ttl_s=ttl_s, spec=spec),
            servers,
            self.door,
            Idle(),
            jitter=lambda: 0.1,
            spec_to_proto=spec_to_proto,
        )

    async def __aenter__(self) -> "AgentStream":
        self.task = asyncio.create_task(self.registration.run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.registration.leave()
        await asyncio.wait_for(self.task, WAIT_S)

    async def registered(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await self.registration.registered.wait()

    def admits(self, fleet: FakeFleet) -> bool:
        now = time.time()
        ticket = fleet.issuer.issue("us-east", "default", "alice", 1, now, 60.0)
        return self.door.verify(ticket, now).admitted


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the other side is a server
            await asyncio.sleep(0.01)


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ABORTED,
    ],
)
async def test_a_unit_that_was_registered_outlives_every_refusal(code: grpc.StatusCode) -> None:
    """A token that was revoked by mistake must not take a unit's clients away."""
    fleet = FakeFleet(TicketIssuer(RING))
    async with fleet.serving() as address, AgentStream(address) as line:
        await line.registered()
        fleet.refusal = code
        fleet.end_streams()
        await until(lambda: fleet.refused >= 2)
        assert line.admits(fleet)
        assert not line.registration.registered.is_set()
        fleet.refusal = None
        await line.registered()


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.INVALID_ARGUMENT,
    ],
)
async def test_a_unit_that_never_was_registered_says_so_and_ends(code: grpc.StatusCode) -> None:
    """Whoever starts an agent with a wrong token wants to hear of it at once."""
    fleet = FakeFleet(TicketIssuer(RING), refusal=code)
    async with fleet.serving() as address:
        line = AgentStream(address)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(line.registration.run(), WAIT_S)
    assert caught.value.code() is code


async def test_the_record_is_applied_once_so_that_an_operators_change_stays() -> None:
    fleet = FakeFleet(TicketIssuer(RING))
    spec = read_fleet(SAMPLE)[0]
    async with fleet.serving() as address, AgentStream(address, spec=spec) as line:
        await line.registered()
        beats = len(fleet.beats)
        fleet.end_streams()
        await until(lambda: fleet.streams >= 2 and len(fleet.beats) > beats)
        await line.registered()
    assert [applied.unit_id for applied in fleet.applied] == ["us-east"]


async def test_a_unit_that_was_removed_waits_for_its_return() -> None:
    """It is settled, so that the other units of its process need not wait for it."""
    fleet = FakeFleet(TicketIssuer(RING), refusal=grpc.StatusCode.NOT_FOUND)
    spec = read_fleet(SAMPLE)[0]
    async with fleet.serving() as address, AgentStream(address, spec=spec) as line:
        async with asyncio.timeout(WAIT_S):
            await line.registration.settled.wait()
        assert line.registration.removed
        assert not line.registration.registered.is_set()
        fleet.refusal = None
        await line.registered()
        assert not line.registration.removed


async def test_a_stream_that_is_refused_leaves_nothing_running() -> None:
    """grpc's task that reads heartbeats would wait for the next one for good: one more for each
    try of a removed unit, and asyncio complains of each as it is collected. Of tasks alone: grpc's
    poller is shared by all loops of a process, and complains when another one was first to read."""
    complaints: list[str] = []

    def heard(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "task" in context:
            complaints.append(context["message"])

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(heard)
    fleet = FakeFleet(TicketIssuer(RING), refusal=grpc.StatusCode.NOT_FOUND)
    async with fleet.serving() as address, AgentStream(address):
        await until(lambda: fleet.refused >= 4)
        gc.collect()
        await asyncio.sleep(0)
    gc.collect()
    assert complaints == []


async def test_a_server_that_falls_silent_is_left_before_the_unit_counts_as_lost() -> None:
    """It takes beats and answers none: the connection stands, so only patience can end."""
    one, two = FakeFleet(TicketIssuer(RING)), FakeFleet(TicketIssuer(RING))
    async with one.serving() as first, two.serving() as second, AgentStream(first, second) as line:
        await line.registered()
        one.silent = True
        await until(lambda: bool(two.beats))
        await line.registered()
        assert one.beats[-1].unit_id == two.beats[0].unit_id
        assert line.admits(two)


async def test_the_first_of_many_servers_that_answers_is_taken() -> None:
    fleet = FakeFleet(TicketIssuer(RING))
    async with (
        fleet.serving() as address,
        AgentStream("127.0.0.1:1", "127.0.0.1:2", address) as line,
    ):
        await line.registered()
        assert line.admits(fleet)


async def test_keys_that_cannot_be_any_are_not_taken_and_the_old_ones_stay() -> None:
    """An HMAC key that is too short would let anybody in."""
    fleet = FakeFleet(TicketIssuer(RING))
    async with fleet.serving() as address, AgentStream(address) as line:
        await line.registered()
        fleet.bad_key = True
        fleet.end_streams()
        await until(lambda: fleet.streams >= 3)
        assert line.admits(fleet)
        fleet.bad_key = False
        await line.registered()
        assert line.admits(fleet)


async def test_new_keys_arrive_with_the_next_beat_before_they_sign() -> None:
    """Announced for later, so that no ticket is ever ahead of its key."""
    fleet = FakeFleet(TicketIssuer(RING))
    async with fleet.serving() as address, AgentStream(address) as line:
        await line.registered()
        assert line.registration.keys_seen == 1
        later = time.time() + 30.0
        ring = rotated(RING, now=time.time(), announce_s=30.0, overlap_s=600.0, random=os.urandom)
        fleet.issuer.use(ring)
        await until(lambda: line.registration.keys_seen == 2)
        assert fleet.streams == 1
        for now in (time.time(), later + 1.0):
            ticket = fleet.issuer.issue("us-east", "default", "alice", 1, now, 60.0)
            assert line.door.verify(ticket, now).admitted

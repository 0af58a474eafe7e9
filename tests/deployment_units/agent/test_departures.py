"""A unit hears who left it over its line, and sends them on."""

import asyncio
import os
import time
from functools import partial

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from control_plane.fleet_messages import spec_to_proto
from control_plane.identity.departures import DepartureMemory
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from deployment_units.agent.capacity_limit import CapacityLimit
from deployment_units.agent.departures import DECIDED_BEFORE_S, record_departures
from deployment_units.agent.registration import Registration, UnitIdentity
from homeport.api.fleet.v1 import fleet_pb2 as pb
from homeport.api.unit.v1 import unit_pb2, unit_pb2_grpc
from tests.support.fakes.fleet_service import FakeFleet
from tests.support.fakes.unit import LoopbackUnit

WAIT_S = 10.0
NOW = 1_800_000_000.0


class Idle:
    def load(self) -> float:
        return 0.0


def departure(client: str, epoch: int, unit: str, at: float) -> pb.Departure:
    return pb.Departure(
        tenant="default",
        client_id=client,
        epoch=epoch,
        unit_id=unit,
        endpoint=f"{unit}.example.net:443" if unit else "",
        depart_time=Timestamp(seconds=int(at)),
    )


async def test_a_client_that_left_is_sent_on_in_the_units_answer():
    now = time.time()
    issuer = TicketIssuer(KeyRing(epochs=(new_epoch(1, now=now, random=os.urandom),)))
    fleet, unit = FakeFleet(issuer), LoopbackUnit("eu-west", issuer)
    fleet.departures = [departure("alice", 2, "us-east", now), departure("bob", 1, "", now)]
    async with (
        fleet.serving() as address,
        unit.serving() as door,
        grpc.aio.insecure_channel(door) as channel,
    ):
        verifier = unit.verifier
        line = Registration(
            UnitIdentity(unit_id="eu-west", incarnation="1", version="1", ttl_s=2),
            [address],
            verifier,
            Idle(),
            jitter=lambda: 0.1,
            spec_to_proto=spec_to_proto,
            on_departures=partial(
                record_departures, verifier.departures, CapacityLimit(None), wall=time.time
            ),
        )
        running = asyncio.create_task(line.run())
        async with asyncio.timeout(WAIT_S):
            await line.registered.wait()
        stub = unit_pb2_grpc.UnitServiceStub(channel)
        answers = {}
        for client in ("alice", "bob", "carol"):
            ticket = issuer.issue("eu-west", "default", client, 1, now, 60)
            answers[client] = await stub.Admit(unit_pb2.AdmitRequest(ticket=ticket), timeout=WAIT_S)
        line.leave()
        await asyncio.wait_for(running, WAIT_S)
    alice, bob, carol = answers["alice"], answers["bob"], answers["carol"]
    assert alice.reason == unit_pb2.ADMIT_REASON_STALE_EPOCH
    assert alice.redirect == unit_pb2.Redirect(
        unit_id="us-east", endpoint="us-east.example.net:443", epoch=2
    )
    assert bob.reason == unit_pb2.ADMIT_REASON_STALE_EPOCH
    assert bob.redirect == unit_pb2.Redirect(epoch=1)
    assert carol.admitted
    assert not carol.HasField("redirect")


def test_a_clock_that_runs_ahead_does_not_refuse_tickets_of_the_future():
    memory = DepartureMemory()
    record_departures(
        memory, CapacityLimit(10), [departure("alice", 1, "", NOW + 3600)], wall=lambda: NOW
    )
    departed = memory.find("default", "alice")
    assert departed is not None
    assert departed.ends(1, int(NOW) - 1)
    assert not departed.ends(1, int(NOW) + 1)


def test_tickets_issued_while_a_move_was_under_way_are_over_too():
    memory = DepartureMemory()
    record_departures(
        memory, CapacityLimit(10), [departure("alice", 2, "us-east", NOW - 3600)], wall=lambda: NOW
    )
    departed = memory.find("default", "alice")
    assert departed is not None
    assert departed.ends(1, int(NOW - 3600 + DECIDED_BEFORE_S))
    assert not departed.ends(1, int(NOW))

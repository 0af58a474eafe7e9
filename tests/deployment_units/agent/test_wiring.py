"""The agent over the wire: registers, admits offline, survives its control plane."""

import asyncio
import os
import time

import grpc
import pytest

from control_plane.fleet.file import SAMPLE
from control_plane.fleet_messages import spec_to_proto
from control_plane.identity.admission import TicketVerifier
from control_plane.identity.keyring import KeyRing, new_epoch, rotated
from control_plane.identity.tickets import TicketIssuer
from control_plane.serving.server import Transport
from deployment_units.agent.registration import Registration, UnitIdentity
from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.wiring import (
    build_agent,
    new_incarnation,
    run_agents,
    transport_of,
)
from homeport.api.unit.v1 import unit_pb2, unit_pb2_grpc
from tests.support.fakes.fleet_service import FakeFleet

WAIT_S = 10.0


def issuer():
    return TicketIssuer(KeyRing(epochs=(new_epoch(1, now=time.time(), random=os.urandom),)))


class NoLoad:
    def load(self) -> float:
        return 0.25


def registration(servers, verifier):
    return Registration(
        UnitIdentity(unit_id="u", incarnation="1", version="1", ttl_s=2),
        servers,
        verifier,
        NoLoad(),
        jitter=lambda: 0.1,
        spec_to_proto=spec_to_proto,
    )


async def until(condition) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the other side is a server
            await asyncio.sleep(0.01)


async def test_a_unit_registers_is_heard_and_says_goodbye():
    fleet, verifier = FakeFleet(issuer()), TicketVerifier("u")
    async with fleet.serving() as address:
        line = registration([address], verifier)
        running = asyncio.create_task(line.run())
        async with asyncio.timeout(WAIT_S):
            await line.registered.wait()
        await until(lambda: len(fleet.beats) >= 3)
        assert {beat.unit_id for beat in fleet.beats} == {"u"}
        assert fleet.beats[-1].status.load == 0.25
        good = fleet.issuer.issue("u", "default", "alice", 1, time.time(), 60)
        assert verifier.verify(good, time.time()).admitted
        line.leave()
        await asyncio.wait_for(running, WAIT_S)
        await until(lambda: fleet.goodbyes == 1)


async def test_keys_outlive_the_control_plane_and_new_ones_arrive_after_it():
    fleet, verifier = FakeFleet(issuer()), TicketVerifier("u")
    async with fleet.serving() as address:
        line = registration(["127.0.0.1:1", address], verifier)
        running = asyncio.create_task(line.run())
        async with asyncio.timeout(WAIT_S):
            await line.registered.wait()
    await until(lambda: not line.registered.is_set())
    old = fleet.issuer.issue("u", "default", "alice", 1, time.time(), 60)
    assert verifier.verify(old, time.time()).admitted

    ring = rotated(fleet.issuer._ring, now=time.time(), overlap_s=60, random=os.urandom)
    fleet.issuer.use(ring)
    async with fleet.serving(int(address.rpartition(":")[2])):
        async with asyncio.timeout(WAIT_S):
            await line.registered.wait()
        new = fleet.issuer.issue("u", "default", "alice", 1, time.time(), 60)
        assert verifier.verify(new, time.time()).admitted
        assert verifier.verify(old, time.time()).admitted
        line.leave()
        await asyncio.wait_for(running, WAIT_S)


async def test_a_unit_that_is_refused_for_good_stops_trying():
    fleet = FakeFleet(issuer(), refusal=grpc.StatusCode.PERMISSION_DENIED)
    async with fleet.serving() as address:
        with pytest.raises(grpc.aio.AioRpcError):
            await asyncio.wait_for(registration([address], TicketVerifier("u")).run(), WAIT_S)


async def test_one_process_hosts_a_whole_fleet_and_each_unit_answers_for_itself():
    fleet = FakeFleet(issuer())
    async with fleet.serving() as address:
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        settings = AgentSettings(units=SAMPLE, server=address)
        running = asyncio.create_task(run_agents(settings, stop=stop, on_ready=ready.set_result))
        endpoints = (await asyncio.wait_for(ready, WAIT_S)).endpoints
        assert len(endpoints) == 12
        applied = {spec.unit_id: spec for spec in fleet.applied}
        assert applied["eu-west"].endpoint == "eu-west.homeport.example:443"
        reported = {beat.unit_id: beat.status.endpoint for beat in fleet.beats}
        assert reported["eu-west"] == endpoints["eu-west"]
        good = fleet.issuer.issue("eu-west", "default", "alice", 1, time.time(), 60)
        reasons = {}
        for unit in ("eu-west", "us-east"):
            async with grpc.aio.insecure_channel(endpoints[unit]) as channel:
                stub = unit_pb2_grpc.UnitServiceStub(channel)
                answer = await stub.Admit(unit_pb2.AdmitRequest(ticket=good))
                reasons[unit] = answer.reason
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await stub.Admit(unit_pb2.AdmitRequest())
                assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reasons == {
            "eu-west": unit_pb2.ADMIT_REASON_ADMITTED,
            "us-east": unit_pb2.ADMIT_REASON_WRONG_UNIT,
        }
        stop.set()
        await asyncio.wait_for(running, WAIT_S)


async def test_a_line_that_stood_begins_its_back_off_anew():
    """The pause before each next try is asked of `jitter`; here it shows how far it grew."""
    fleet, verifier = FakeFleet(issuer()), TicketVerifier("u")
    async with fleet.serving() as address:
        line = registration([address], verifier)
        running = asyncio.create_task(line.run())
        async with asyncio.timeout(WAIT_S):
            await line.registered.wait()
    port = int(address.rpartition(":")[2])
    for _ in range(2):
        await until(lambda: not line.registered.is_set())
        async with fleet.serving(port):
            async with asyncio.timeout(WAIT_S):
                await line.registered.wait()
            assert line.registered.is_set()
    line.leave()
    await asyncio.wait_for(running, WAIT_S)
    assert line.keys_seen == 3


async def test_a_unit_without_keys_says_so_and_admits_nobody():
    settings = AgentSettings(unit="u", tenants=" acme , shop ", server="127.0.0.1:1, 127.0.0.1:2")
    agent = build_agent(settings, None)
    await agent.server.start()
    await agent.server.ready()
    try:
        async with grpc.aio.insecure_channel(agent.endpoint) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await unit_pb2_grpc.UnitServiceStub(channel).Admit(
                    unit_pb2.AdmitRequest(ticket="a.b.c"), timeout=WAIT_S
                )
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "no ticket keys yet" in caught.value.details()
    finally:
        await agent.server.stop(0)


@pytest.mark.parametrize("tenants", ["acme,shop", " acme , shop ,"])
async def test_spaces_around_tenants_mean_nothing(tenants):
    fleet = FakeFleet(issuer())
    async with fleet.serving() as address:
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        settings = AgentSettings(unit="u", tenants=tenants, server=f" {address}")
        running = asyncio.create_task(run_agents(settings, stop=stop, on_ready=ready.set_result))
        endpoints = (await asyncio.wait_for(ready, WAIT_S)).endpoints
        reasons = []
        async with grpc.aio.insecure_channel(endpoints["u"]) as channel:
            stub = unit_pb2_grpc.UnitServiceStub(channel)
            for tenant in ("acme", "shop", "other"):
                good = fleet.issuer.issue("u", tenant, "alice", 1, time.time(), 60)
                answer = await stub.Admit(unit_pb2.AdmitRequest(ticket=good), timeout=WAIT_S)
                reasons.append(answer.reason)
        admitted, foreign = unit_pb2.ADMIT_REASON_ADMITTED, unit_pb2.ADMIT_REASON_FOREIGN_TENANT
        assert reasons == [admitted, admitted, foreign]
        stop.set()
        await asyncio.wait_for(running, WAIT_S)


def test_one_unit_is_served_by_the_fastest_transport_and_several_by_one_that_has_no_threads() -> (
    None
):
    assert transport_of(1) is Transport.AUTO
    assert transport_of(2) is Transport.GRPCIO


def test_later_incarnations_sort_after_earlier_ones():
    assert new_incarnation(1.0, "ff") < new_incarnation(1.5, "00") < new_incarnation(1e10, "0")

"""The server as a process: what it tells of itself, how it ends, what it does not start with."""

from __future__ import annotations

import asyncio
import signal
import urllib.error
import urllib.request
from contextlib import ExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support import servers


async def test_health_and_reflection_answer(channel):
    health = health_pb2_grpc.HealthStub(channel)
    answer = await health.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)

    async def ask():
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async for response in reflection.ServerReflectionInfo(ask()):
        names = {service.name for service in response.list_services_response.service}
        assert "homeport.api.provisioning.v1.ProvisioningService" in names


def test_metrics_and_readiness_over_http(server):
    with grpc.insecure_channel(server.address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        stub.Provision(pb.ProvisionRequest(client_id="counted"), timeout=5)
    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=5) as page:
        text = page.read().decode()
    assert 'homeport_provisioning_answers_total{outcome="new"}' in text
    assert "homeport_store_connected 1.0" in text
    with urllib.request.urlopen(f"http://{server.metrics}/readyz", timeout=5) as page:
        assert page.status == 200
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://{server.metrics}/nothing", timeout=5)


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_sigterm_finishes_what_is_under_way_and_gives_slots_back(tmp_path, transport):
    store = f"embedded:{tmp_path / 'store.db'}"
    with ExitStack() as stack:
        (one,) = servers.start(stack, tmp_path, store, 1, f"--transport={transport}")
        await servers.apply(one.address, servers.units(dublin=500))
        async with grpc.aio.insecure_channel(one.address) as channel:
            stub = pb_grpc.ProvisioningServiceStub(channel)
            asked = [
                asyncio.ensure_future(stub.Provision(pb.ProvisionRequest(client_id=f"d{n}")))
                for n in range(100)
            ]
            await asked[0]
            one.process.send_signal(signal.SIGTERM)
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert one.process.wait(20) == 0, one.log()
    refused = [o for o in outcomes if isinstance(o, BaseException)]
    # grpc.aio cancels calls that reached its socket and not yet its handlers.
    harmless = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert {o.code() for o in refused} <= harmless
    with ExitStack() as stack:
        (two,) = servers.start(stack, tmp_path, store, 1)
        async with grpc.aio.insecure_channel(two.address) as channel:
            fleet = fleet_pb2_grpc.FleetServiceStub(channel)
            unit = await fleet.GetUnit(fleet_pb2.GetUnitRequest(unit_id="dublin"))
            assert unit.clients >= len(outcomes) - len(refused)
            assert unit.granted == 0


def test_a_second_server_on_the_embedded_store_is_told_why_not(server, tmp_path):
    first_store = next(
        word for word in server.process.args if word.startswith("--store=")
    ).removeprefix("--store=")
    second = servers.Server(tmp_path, "second", first_store)
    assert second.process.wait(30) == 1
    assert "in use by another process" in second.log()


def test_wrong_settings_are_named(tmp_path):
    for argument, said in (
        ("--listen=nowhere", "listen"),
        ("--workers=0", "workers"),
        ("--geo=/nothing/here.mmdb", "cannot be read"),
    ):
        one = servers.Server(
            tmp_path, f"s{abs(hash(argument))}", f"embedded:{tmp_path}/x.db", argument
        )
        assert one.process.wait(30) in (1, 2)
        assert said in one.log()

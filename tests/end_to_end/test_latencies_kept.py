"""What clients measured is there after a start of the server: real processes over one store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest

from homeport.api.policy.v1 import latency_pb2 as pb
from homeport.api.policy.v1 import latency_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2, provisioning_pb2_grpc
from tests.support import servers
from tests.support.local_stack import wait_until

IRISH = [f"87.32.{network}.9" for network in (1, 2, 3, 4)]


def told(server: servers.Server) -> str:
    """Its metrics."""
    with urlopen(f"http://{server.metrics}/metrics", timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def is_written(server: servers.Server) -> bool:
    """Whether all that was reported to a server is in the store."""
    now = told(server)
    none_yet = 'homeport_latency_writes_total{outcome="written"} 0.0' in now
    return "homeport_latency_chunks_waiting 0.0" in now and not none_yet


@pytest.mark.slow
async def test_a_server_that_starts_again_knows_what_clients_measured(tmp_path: Path) -> None:
    arguments = (
        f"embedded:{tmp_path}/store.db",
        "--latencies-every-s=1",
        '--trusted-proxies=["127.0.0.1"]',
    )
    with servers.Server(tmp_path, "before", *arguments) as before:
        await servers.apply(before.address, servers.units(dublin=9))
        async with grpc.aio.insecure_channel(before.address) as channel:
            clients = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
            latencies = latency_pb2_grpc.LatencyServiceStub(channel)
            for address in IRISH:
                hop = [("x-forwarded-for", address)]
                new = provisioning_pb2.ProvisionRequest(client_id=f"c-{address}")
                home = await clients.Provision(new, timeout=20, metadata=hop)
                report = pb.ReportLatenciesRequest(client_id=new.client_id, ticket=home.ticket)
                report.measured.add(unit_id="dublin").round_trip.FromMilliseconds(12)
                answer = await latencies.ReportLatencies(report, timeout=20, metadata=hop)
                assert answer.accepted == 1, answer
        await asyncio.to_thread(wait_until, lambda: is_written(before), "a record")
    with servers.Server(tmp_path, "after", *arguments) as after:
        wanted = "homeport_latency_estimates 1.0"
        await asyncio.to_thread(wait_until, lambda: wanted in told(after), "an estimate")
        async with grpc.aio.insecure_channel(after.address) as channel:
            latencies = latency_pb2_grpc.LatencyServiceStub(channel)
            listed = await latencies.ListLatencies(pb.ListLatenciesRequest(), timeout=20)
    (known,) = listed.estimates
    assert (known.unit_id, known.networks) == ("dublin", 4)
    assert known.round_trip.ToMilliseconds() == 12

"""A server starts while its store is away: it answers who shows a ticket, from its snapshot,
tells everybody else to come back, and joins the store when that is there again."""

from __future__ import annotations

import asyncio
import stat
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from control_plane import keys
from control_plane.store.etcd import EtcdStore
from control_plane.store.port import Put, Txn
from control_plane.store.snapshot import read_snapshot
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from homeport.status_details import failure_of
from provisioner.latencies.shared_voices import encode_chunk
from provisioner.latencies.voices import Voice
from tests.support import servers

CLIENTS = 20
SEEN_S = 30.0


async def until(done: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SEEN_S
    while not done():
        assert time.monotonic() < end, f"waited {SEEN_S:.0f} s for {what}"
        await asyncio.sleep(0.05)


def page(server: servers.Server, path: str) -> str:
    with urllib.request.urlopen(f"http://{server.metrics}{path}", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def metric(server: servers.Server, name: str) -> float:
    lines = [line for line in page(server, "/metrics").splitlines() if line.startswith(f"{name} ")]
    return float(lines[0].split()[1])


def holds_units(file: Path, endpoints: list[str], units: set[str]) -> bool:
    found = read_snapshot(file, endpoints=endpoints)
    prefix = b"/homeport/v1/units/"
    return (
        found is not None and {p.key[len(prefix) :].decode() for p in found.under(prefix)} == units
    )


async def homes(address: str, names: list[str]) -> dict[str, pb.ProvisionResponse]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        found = {}
        for name in names:
            while name not in found:
                try:
                    found[name] = await stub.Provision(
                        pb.ProvisionRequest(client_id=name), timeout=10
                    )
                except grpc.aio.AioRpcError as error:
                    if error.code() not in (
                        grpc.StatusCode.FAILED_PRECONDITION,
                        grpc.StatusCode.RESOURCE_EXHAUSTED,
                        grpc.StatusCode.UNAVAILABLE,
                    ):
                        raise
                    await asyncio.sleep(0.05)  # it has not heard of its fleet yet
    return found


async def measured(endpoints: list[str]) -> None:
    """What another server's clients told, an hour ago."""
    voices = [Voice(f"{number:016x}", 30.0, 1, 0.0) for number in range(3)]
    value = encode_chunk({("IE:53.3,-6.3~20", "dublin"): voices}, now=0.0, wall=time.time() - 3_600)
    store = await EtcdStore.connect(endpoints)
    await store.commit(Txn(then=[Put(keys.LATENCIES + b"another/01", value)]))
    await store.close()


@pytest.mark.parametrize("transport", ["native", pytest.param("grpcio", marks=pytest.mark.slow)])
async def test_a_server_serves_from_its_snapshot_and_joins_the_store(own_etcd, tmp_path, transport):
    cluster = own_etcd()
    await measured(cluster.endpoints)
    file = tmp_path / "snapshot"
    arguments = (f"--transport={transport}", f"--snapshot={file}", "--drain-s=0")
    names = [f"c{n}" for n in range(CLIENTS)]
    with servers.Server(tmp_path, "before", cluster.url, *arguments) as before:
        await servers.apply(before.address, servers.units(dublin=500, virginia=500))
        had = await homes(before.address, names)
        await until(
            lambda: holds_units(file, cluster.endpoints, {"dublin", "virginia"}), "the snapshot"
        )
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    cluster.kill()

    with servers.Server(tmp_path, "after", cluster.url, *arguments) as server:
        assert page(server, "/readyz") == "degraded\n"
        assert metric(server, "homeport_store_connected") == 0
        assert metric(server, "homeport_latency_estimates") == 1
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = pb_grpc.ProvisioningServiceStub(channel)
            for name in names:
                answer = await stub.Provision(
                    pb.ProvisionRequest(client_id=name, ticket=had[name].ticket), timeout=5
                )
                was, now = had[name].assignment, answer.assignment
                assert answer.stale
                assert answer.ticket
                assert (now.unit_id, now.endpoint, now.epoch) == (
                    was.unit_id, was.endpoint, was.epoch
                )  # fmt: skip
            assert metric(server, "homeport_provisioner_ticket_fallback_answers_total") == CLIENTS
            assert metric(server, "homeport_provisioner_view_age_seconds") > 0

            delays = set()
            for n in range(5):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await stub.Provision(pb.ProvisionRequest(client_id=f"new-{n}"), timeout=10)
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
                delays.add(failure_of(refused.value).retry_after_s)
            assert None not in delays
            assert len(delays) > 1, "they would all come back at once"

            fleet = fleet_pb2_grpc.FleetServiceStub(channel)
            listed = await fleet.ListUnits(fleet_pb2.ListUnitsRequest(), timeout=10)
            assert listed.stale
            assert listed.as_of_time.seconds > 0
            assert [u.spec.unit_id for u in listed.units] == ["dublin", "virginia"]
            assert sum(u.clients for u in listed.units) >= CLIENTS
            explained = await stub.ExplainPlacement(
                pb.ExplainPlacementRequest(client_id="new-1", address="81.2.69.142"), timeout=10
            )
            assert explained.stale
            assert explained.units[0].unit_id == "dublin"

            for member in cluster.members:
                cluster.spawn(member)
            placed = (await homes(server.address, ["new-1"]))["new-1"]
            assert not placed.existing
            known = await stub.Provision(
                pb.ProvisionRequest(client_id="c0", ticket=had["c0"].ticket), timeout=10
            )
            assert not known.stale
            assert not (await fleet.ListUnits(fleet_pb2.ListUnitsRequest(), timeout=10)).stale
        await until(lambda: page(server, "/readyz") == "ready\n", "readiness")
        assert metric(server, "homeport_store_connected") == 1

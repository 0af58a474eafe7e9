"""Quotas in a tenant's record hold at a data-sharing server that follows the store, over etcd."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from control_plane.fleet.tenant_registry import TenantRegistry
from control_plane.fleet.unit import TenantId, TenantQuota, TenantSpec
from control_plane.store.etcd import EtcdStore
from homeport.api.tenancy.v1 import tenancy_pb2 as pb
from homeport.api.tenancy.v1 import tenancy_pb2_grpc as pb_grpc
from tests.support import servers
from tests.support.data_sharing_server import SharingServer
from tests.support.etcd import StartEtcd

FEW = TenantQuota(quota="events", counted_by="tenant", per_s=0.001)


def publish(server: SharingServer, tenant: str) -> int:
    """The status of one event."""
    event = {"specversion": "1.0", "id": "e", "source": "/s", "type": "a.b", "data": {}}
    request = urllib.request.Request(
        f"http://{server.http}/v1/tenants/{tenant}/events",
        data=json.dumps(event).encode(),
        headers={"Content-Type": "application/cloudevents+json"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def fetched(server: SharingServer, path: str) -> str:
    """What its metrics port says there."""
    with urllib.request.urlopen(f"http://{server.told['metrics']}{path}") as answer:
        return str(answer.read().decode())


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if await asyncio.to_thread(holds):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it does not come to hold")


async def apply(address: str, tenant: str, *, per_s: float) -> None:
    """Events of one tenant."""
    quotas = [pb.Quota(quota="events", counted_by="tenant", per_s=per_s)]
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.TenantServiceStub(channel)
        request = pb.ApplyTenantRequest(tenant=pb.Tenant(tenant=tenant, quotas=quotas))
        await stub.ApplyTenant(request, timeout=10)


def counts(server: SharingServer, tenants: int) -> Callable[[], bool]:
    """Whether so many have quotas of their own there."""
    return lambda: f"homeport_quota_tenants {tenants:.1f}" in fetched(server, "/metrics")


async def test_what_a_record_says_holds_where_data_is_shared_and_stays_without_the_store(
    own_etcd: StartEtcd, tmp_path: Path
) -> None:
    etcd = own_etcd()
    store = await EtcdStore.connect(etcd.endpoints)

    async def write(tenant: str, *quotas: TenantQuota) -> None:
        await TenantRegistry(store).apply(TenantSpec(id=TenantId(tenant), quotas=quotas))

    try:
        await write("shop", FEW)
        with SharingServer(tmp_path, f"--store={etcd.url}") as server:
            answers = [publish(server, "shop") for _ in range(3)]
            assert answers == [answers[0], 429, 429]
            assert 429 not in [publish(server, "city") for _ in range(3)]
            await write("city", FEW)
            await until(counts(server, 2))
            assert [publish(server, "city") for _ in range(3)][1:] == [429, 429]
            await write("shop")
            await until(counts(server, 1))
            assert 429 not in [publish(server, "shop") for _ in range(3)]
            assert fetched(server, "/readyz").strip() == "ready"
            etcd.kill()
            await until(lambda: fetched(server, "/readyz").strip() == "degraded")
            assert "homeport_store_connected 0.0" in fetched(server, "/metrics")
            assert publish(server, "city") == 429
    finally:
        await store.close()


@pytest.mark.slow
async def test_what_an_operator_applies_is_heard_by_one_that_started_without_the_store(
    own_etcd: StartEtcd, tmp_path: Path
) -> None:
    etcd = own_etcd()
    with ExitStack() as stack:
        (provisioner,) = servers.start(stack, tmp_path, etcd.url, 1)
        await apply(provisioner.address, "shop", per_s=0.001)
        etcd.kill()
        server = stack.enter_context(SharingServer(tmp_path, f"--store={etcd.url}"))
        assert 429 not in [publish(server, "shop") for _ in range(3)]
        assert fetched(server, "/readyz").strip() == "degraded"
        await asyncio.to_thread(etcd.restart, etcd.members[0])
        await until(counts(server, 1))
        assert [publish(server, "shop") for _ in range(3)][1:] == [429, 429]
        await until(lambda: fetched(server, "/readyz").strip() == "ready")

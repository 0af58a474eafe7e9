"""Bounds on clients of tenants as callers hear of them: over several clusters, and in metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from control_plane import keys, quota_keys
from control_plane.errors import InvalidInput, Refused
from control_plane.fleet.capacity import CapacityRecord, encode_capacity
from control_plane.fleet.tenant_registry import TenantRegistry
from control_plane.fleet.unit import TenantId, TenantSpec
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from homeport.api.tenancy.v1 import tenancy_pb2 as pb
from provisioner.api.client_use_metrics import ClientUseMetrics
from provisioner.api.tenant_bounds import TenantBounds
from provisioner.fleet_view import FleetView
from provisioner.ledger.client_bounds import MOST_CLIENTS, UNBOUNDED
from provisioner.ledger.client_counting import ClientCounting
from provisioner.ledger.client_use import ClientUse, check_no_bounds, read_uses

SHOP = TenantSpec(id=TenantId("shop"))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


def over_clusters(store: EmbeddedStore) -> TenantBounds:
    """Of a server whose assignments are spread over several clusters."""
    view = FleetView(store, clock=time.monotonic)
    counting = ClientCounting(store, tenants=dict, session=str, jitter=lambda: 0.0)
    return TenantBounds(store, None, counting, view)


def asking(most: int) -> pb.ApplyTenantRequest:
    request = pb.ApplyTenantRequest(tenant=pb.Tenant(tenant="shop", max_clients=most))
    request.update_mask.paths.append("max_clients")
    return request


async def test_over_several_clusters_no_tenant_is_given_a_bound(store: EmbeddedStore) -> None:
    bounds, registry = over_clusters(store), TenantRegistry(store)
    await registry.apply(SHOP)
    fields = frozenset({"clients"})
    with pytest.raises(Refused, match=r"several clusters.*bound the units"):
        await registry.apply(SHOP, fields, change=bounds.change(asking(5), may_raise=True))
    await registry.apply(SHOP, fields, change=bounds.change(asking(0), may_raise=True))
    assert not (await store.range(keys.capacity(quota_keys.CLIENT_QUOTA))).items


async def test_a_server_over_several_clusters_does_not_start_where_a_tenant_has_a_bound(
    store: EmbeddedStore,
) -> None:
    record = encode_capacity(CapacityRecord(capacity=5))
    await store.commit(Txn(then=[Put(keys.capacity("dublin"), record)]))
    assert await check_no_bounds(store)
    name = quota_keys.client_quota("shop", "q1")
    await store.commit(Txn(then=[Put(keys.capacity(name), record)]))
    with pytest.raises(Refused, match="tenants apply shop --max-clients none"):
        await check_no_bounds(store)


@pytest.mark.parametrize("most", [-1, MOST_CLIENTS + 1])
async def test_a_bound_that_is_no_number_of_clients_is_refused(
    store: EmbeddedStore, most: int
) -> None:
    with pytest.raises(InvalidInput, match="max_clients is 1 to"):
        over_clusters(store).change(asking(most), may_raise=True)


async def test_metrics_say_how_many_of_how_many_of_tenants_with_a_bound(
    store: EmbeddedStore,
) -> None:
    records = {
        quota_keys.client_quota("shop", "q1"): CapacityRecord(
            capacity=9, settled=3, grants={"p~0": 4}
        ),
        quota_keys.client_quota("city", "q2"): CapacityRecord(capacity=UNBOUNDED, settled=7),
    }
    writes = [Put(keys.capacity(name), encode_capacity(one)) for name, one in records.items()]
    usage = Put(keys.usage(quota_keys.client_quota("shop", "q1"), "p~0"), b"2")
    await store.commit(Txn(then=[*writes, usage, Put(keys.usage("shop", "p"), b"50")]))

    async def uses() -> Mapping[str, ClientUse]:
        return await read_uses(store)

    metrics = ClientUseMetrics(uses, jitter=lambda: 0.0)
    registry = CollectorRegistry()
    registry.register(metrics)
    running = asyncio.create_task(metrics.run())
    async with asyncio.timeout(10.0):
        while b'tenant="shop"' not in generate_latest(registry):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert registry.get_sample_value("homeport_tenant_clients", {"tenant": "shop"}) == 5.0
    assert registry.get_sample_value("homeport_tenant_max_clients", {"tenant": "shop"}) == 9.0
    assert registry.get_sample_value("homeport_tenant_clients", {"tenant": "city"}) is None

"""The fleet as one server sees it: snapshots, who serves, tenants, and who hears of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane import keys
from control_plane.errors import NotFound
from control_plane.fleet.lifecycle import State
from control_plane.fleet.records import encode_tenant
from control_plane.fleet.registry import UnitRegistry
from control_plane.fleet.unit import (
    DEFAULT_TENANT,
    ClientQuota,
    Reprovision,
    TenantId,
    UnitHealth,
)
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, Put, Txn
from provisioner.fleet_view import FleetView, why_not_serving
from tests.support.servers import units
from tests.support.unit_records import unit_status

SILENT = unit_status()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    registry = UnitRegistry(store, clock=time.monotonic, wall=time.time)
    for spec in units(virginia=10, dublin=5):
        await registry.apply(spec)
    yield store
    await store.close()


@pytest.mark.parametrize(
    ("live", "had_agent", "state", "reason"),
    [
        pytest.param(None, False, State.ACTIVE, "", id="never-had-an-agent"),
        pytest.param(None, True, State.ACTIVE, "not heard", id="its-agent-fell-silent"),
        pytest.param(SILENT, True, State.ACTIVE, "", id="its-agent-serves"),
        pytest.param(
            replace(SILENT, health=UnitHealth.NOT_SERVING), True, State.ACTIVE, "not serving",
            id="its-agent-says-no",
        ),
        pytest.param(SILENT, True, State.CORDONED, "cordoned", id="cordoned"),
        pytest.param(SILENT, True, State.DRAINING, "drained", id="draining"),
        pytest.param(None, True, State.LOST, "not heard", id="lost-and-silent"),
        pytest.param(SILENT, True, State.LOST, "not trusted", id="lost-and-heard-again"),
        pytest.param(None, False, State.REMOVED, "removed", id="removed"),
    ],
)  # fmt: skip
def test_why_a_unit_takes_no_new_clients(live, had_agent, state, reason) -> None:
    found = why_not_serving(live=live, had_agent=had_agent, state=state)
    assert reason in found
    assert bool(found) is bool(reason)


async def test_a_snapshot_holds_every_unit_in_order(store: EmbeddedStore) -> None:
    view = FleetView(store, clock=time.monotonic)
    assert view.fleet.units == ()
    await view.start()
    assert [(unit.id, unit.index) for unit in view.fleet.units] == [("dublin", 0), ("virginia", 1)]
    assert all(unit.accepting for unit in view.fleet.units)
    assert view.endpoint_of("dublin") == "dublin.example.net:443"
    assert view.endpoint_of("atlantis") == ""
    assert not view.restless
    assert not view.leaving


async def test_subscribers_hear_of_each_snapshot_in_their_order(store: EmbeddedStore) -> None:
    view = FleetView(store, clock=time.monotonic)
    heard: list[tuple[str, int]] = []
    view.subscribe(lambda fleet: heard.append(("first", fleet.revision)))
    view.subscribe(lambda fleet: heard.append(("second", fleet.revision)))
    await view.start()
    assert heard[-2:] == [("first", view.fleet.revision), ("second", view.fleet.revision)]


async def test_what_one_knew_another_starts_from(store: EmbeddedStore) -> None:
    first, second = (FleetView(store, clock=time.monotonic) for _ in range(2))
    await first.start()
    second.restore(first.pairs)
    assert second.fleet.units == first.fleet.units
    assert dict(second.units) == dict(first.units)


async def test_tenants_and_what_follows_from_them(store: EmbeddedStore) -> None:
    acme = replace(
        DEFAULT_TENANT, id=TenantId("acme"), hold_s=30.0, ticket_ttl_s=7_200.0,
        reprovision=Reprovision.MOVE,
    )  # fmt: skip
    await store.commit(Txn(then=[Put(keys.tenant(acme.id), encode_tenant(acme))]))
    view = FleetView(store, clock=time.monotonic)
    await view.start()
    assert view.tenant_or_raise("acme") == acme
    assert view.tenant_or_raise("") == DEFAULT_TENANT
    with pytest.raises(NotFound, match="nobody"):
        view.tenant_or_raise("nobody")
    assert (view.hold_s("acme"), view.hold_s("default"), view.hold_s("nobody")) == (30.0, 0.0, 0.0)
    assert view.shortest_hold_s() == 30.0
    assert view.longest_ticket_s() == 7_200.0
    assert view.restless, "its clients are moved to where they are best off"


async def test_clients_are_counted_while_the_record_that_says_so_cannot_be_read(
    store: EmbeddedStore,
) -> None:
    shop, key = TenantId("shop"), keys.tenant("shop")
    counted = replace(DEFAULT_TENANT, id=shop, clients=ClientQuota(id="q", most=5))
    uncounted = replace(counted, clients=None)
    view = FleetView(store, clock=time.monotonic)
    await view.start()
    running = asyncio.create_task(view.run())
    try:
        for value, stands in (
            (encode_tenant(counted), {b"shop": "tenant:shop:q"}),
            (b"{", {b"shop": "tenant:shop:q"}),  # else what is made or goes meanwhile is not in it
            (encode_tenant(uncounted), {}),
            (encode_tenant(counted), {b"shop": "tenant:shop:q"}),
        ):
            written = await store.commit(Txn(then=[Put(key, value)]))
            await view.wait_for_tenants(written.revision)
            assert view.counted_clients == stands
        gone = await store.commit(Txn(then=[Delete(key)]))
        await view.wait_for_tenants(gone.revision)
        assert view.counted_clients == {}
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

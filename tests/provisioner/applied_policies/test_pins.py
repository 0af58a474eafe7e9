"""Pins in the store: bounded, written by compare, followed, and safe where they cannot be read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from control_plane import keys
from control_plane.errors import NotFound, Refused
from control_plane.fleet.records import encode_tenant
from control_plane.fleet.unit import TenantId, TenantSpec
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import KeyValue, Put, StoreUnavailable, Txn, unchanged
from provisioner.applied_policies.effect import effect_of
from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.applied_policies.pin_record import pin_key
from provisioner.applied_policies.pin_registry import PinRegistry
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.placement.attributes import with_attributes
from provisioner.placement.filters import PlacementPolicy, why_forbidden
from tests.support.fakes.faulty_store import FaultyStore
from tests.support.fleets import at, fleet
from tests.support.policies import client, compiled

FLEET = fleet("dublin", "virginia")
BERLIN = at(52.5, 13.4, country="DE", continent="EU", uncertainty_km=10)


@pytest.fixture
async def store(tmp_path) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    tenant = encode_tenant(TenantSpec(id=TenantId("acme")))
    await store.commit(Txn(then=[Put(keys.tenant("acme"), tenant)]))
    yield store
    await store.close()


@pytest.fixture
def pins(store) -> PinRegistry:
    return PinRegistry(store, wall=time.time, jitter=lambda: 0.5, most=3)


async def pin(pins, name="anna", unit="virginia", until_ms=0):
    return await pins.pin("acme", name, unit, reason="by contract", until_ms=until_ms)


async def followed(store, *, now=time.time):
    policies = FollowedPolicies(store, PlacementPolicy(), wall=now)
    await policies.start()
    return policies


def units_of(policies, name="anna"):
    """Those that a client may live in."""
    policy = policies.of("acme", BERLIN, client(name))
    return [one.id for one in FLEET.units if not why_forbidden(one, policy)]


async def test_a_pinned_client_may_live_in_its_unit_alone(store, pins):
    await pin(pins)
    policies = await followed(store)
    assert (units_of(policies), units_of(policies, "ben")) == (["virginia"], ["dublin", "virginia"])
    assert policies.of("acme", BERLIN, with_attributes(client("anna"), {"a": "b"})) is (
        policies.of("acme", BERLIN, client("anna"))
    )
    assert "as rule pin:virginia requires" in why_forbidden(
        FLEET.units[0], policies.of("acme", BERLIN, client("anna"))
    )


async def test_where_a_rule_keeps_it_off_there_is_no_unit(store, pins):
    """Also of pools to which the policy spills over."""
    await pin(pins)
    policies = await followed(store)
    policies._compiled["acme"] = compiled(
        """
        pools: {near: {continents: [EU], spillover: far}, far: {}}
        rules: [{name: eu, pool: near, require: {countries: [IE]}}]
        """
    )
    stage = policies.of("acme", BERLIN, client("anna"))
    while stage is not None:
        assert all(why_forbidden(one, stage) for one in FLEET.units)
        stage = stage.spillover


async def test_a_pin_holds_until_its_time_is_over(store, pins):
    now = [1_000.0]
    await pin(pins, until_ms=2_000_000)
    policies = await followed(store, now=lambda: now[0])
    assert units_of(policies) == ["virginia"]
    now[0] = 2_000.0
    assert units_of(policies) == ["dublin", "virginia"]


async def test_where_any_client_is_pinned_not_all_are_treated_alike(store, pins):
    policies = await followed(store)
    assert policies.is_alike("acme", BERLIN)
    await pin(pins)
    assert not (await followed(store)).is_alike("acme", BERLIN)


async def test_changes_are_followed_and_told_by_another_stamp(store, pins):
    policies = await followed(store)
    running = asyncio.create_task(policies.run())
    before = policies.stamp_of("acme")
    _, revision = await pin(pins)
    assert await policies.heard(revision)
    assert units_of(policies) == ["virginia"]
    assert policies.stamp_of("acme") != before
    assert await policies.heard(await pins.unpin("acme", "anna"))
    assert units_of(policies) == ["dublin", "virginia"]
    assert not policies.pins.any_of("acme")
    running.cancel()


async def test_a_server_without_the_store_has_them_from_its_snapshot(store, pins):
    await pin(pins)
    pairs = list((await followed(store)).replica.pairs)
    fresh = FollowedPolicies(store, PlacementPolicy(), wall=time.time)
    await fresh.restore(iter(pairs))
    assert units_of(fresh) == ["virginia"]


@pytest.mark.parametrize("value", [b"{nonsense", b"", b'{"unit":"dublin","at_ms":1,"format":2}'])
async def test_one_that_cannot_be_read_keeps_its_client_off_all_units(store, value):
    await store.commit(Txn(then=[Put(pin_key("acme", "anna"), value)]))
    policies = await followed(store)
    assert (units_of(policies), units_of(policies, "ben")) == ([], ["dublin", "virginia"])


async def test_a_tenant_has_so_many_and_no_more(store, pins):
    for name in ("a", "b", "c"):
        await pin(pins, name)
    with pytest.raises(Refused, match="has 3 pinned clients"):
        await pin(pins, "d")
    assert (await pin(pins, "a", "dublin"))[0].unit == "dublin", "in place of the one before"
    assert await pins.unpin("acme", "b")
    await pin(pins, "d")
    page = await pins.page("acme", "", 2)
    assert ([name for name, _ in page.pins], page.after) == (["a", "c"], "c")
    rest = await pins.page("acme", page.after, 2)
    assert ([name for name, _ in rest.pins], rest.after) == (["d"], "")


async def test_who_pins_at_the_same_time_is_counted(store, pins):
    await asyncio.gather(*(pin(pins, name) for name in ("a", "b", "c")))
    assert (await store.get(keys.POLICY_PIN_COUNTS + b"acme")).value == b"3"
    await asyncio.gather(*(pins.unpin("acme", name) for name in ("a", "b", "c")))
    assert await store.get(keys.POLICY_PIN_COUNTS + b"acme") is None
    assert await pins.unpin("acme", "a") is None


async def test_no_client_of_a_tenant_that_is_not_there_is_pinned(store, pins):
    with pytest.raises(NotFound):
        await pins.pin("gone", "anna", "dublin", reason="", until_ms=0)


async def test_each_change_rewrites_the_fence(store, pins):
    _, revision = await pin(pins)
    fence = await store.get(keys.POLICIES_FENCE)
    assert fence.mod_revision == revision
    result = await store.commit(
        Txn(compares=[unchanged(keys.POLICIES_FENCE, revision)], then=[Put(b"x", b"")])
    )
    assert result.succeeded


async def test_the_fence_of_each_cluster_asks_for_what_is_known_as_of_the_change(store, tmp_path):
    cluster = await EmbeddedStore.open(tmp_path / "cluster.db")
    try:
        pins = PinRegistry(store, wall=time.time, jitter=lambda: 0.5, assignment_clusters=[cluster])
        _, revision = await pin(pins)
        assert int((await cluster.get(keys.POLICIES_FENCE)).value) == revision
        revision = await pins.unpin("acme", "anna")
        assert int((await cluster.get(keys.POLICIES_FENCE)).value) == revision
    finally:
        await cluster.close()


async def test_a_cluster_that_was_away_is_told_when_it_is_asked_once_more(store, tmp_path):
    cluster = await EmbeddedStore.open(tmp_path / "cluster.db")
    try:
        away = FaultyStore(cluster, when=lambda txn: True)
        pins = PinRegistry(store, wall=time.time, jitter=lambda: 0.5, assignment_clusters=[away])
        await pin(pins)
        away.faults.append("refused")
        with pytest.raises(StoreUnavailable):
            await pins.unpin("acme", "anna")
        assert await pins.unpin("acme", "anna") is None
        fence = await store.get(keys.POLICIES_FENCE)
        assert int((await cluster.get(keys.POLICIES_FENCE)).value) == fence.mod_revision
    finally:
        await cluster.close()


async def test_a_policy_that_comes_later_says_whom_it_leaves_nowhere(store, pins):
    await pin(pins)
    for name in ("anna", "ben"):
        value = encode_assignment("dublin", 1, 0, "DE:52.5,13.4~10")
        await store.commit(Txn(then=[Put(client(name), value)]))
    policies = await followed(store)
    effect = await effect_of(
        compiled("rules: [{name: eu, require: {continents: [EU]}}]"), FLEET, store, policies.pins
    )
    assert (effect.clients, effect.nowhere) == (2, 1)
    assert "pin:virginia" in effect.by_rule


def test_the_count_of_a_tenant_follows_whatever_comes(store):
    policies = FollowedPolicies(store, PlacementPolicy(), wall=time.time)
    note = policies.replica._take
    pair = KeyValue(pin_key("acme", "anna"), b"{}", 1, 1, 1)
    for gone in (False, False, True, True):
        note(pair, gone=gone)
        assert policies.pins.any_of("acme") is not gone

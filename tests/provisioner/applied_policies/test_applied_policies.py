"""Policies in the store: written by compare, followed, never replaced by what cannot be read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from control_plane import keys
from control_plane.errors import Conflict, DataLoss, NotFound
from control_plane.fleet.records import encode_tenant
from control_plane.fleet.unit import TenantId, TenantSpec
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from provisioner.applied_policies.effect import effect_of
from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.applied_policies.registry import KEPT_VERSIONS, PolicyRegistry
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.placement.filters import PlacementPolicy
from tests.support.fleets import at, fleet
from tests.support.policies import client, compiled, rules_of

BERLIN = at(52.5, 13.4, country="DE", continent="EU", uncertainty_km=10)
ANNA = client("anna")
ONE = "policy: 1\nrules: [{name: one, require: {continents: [EU]}}]"
TWO = "policy: 1\nrules: [{name: two, require: {continents: [NA]}}]"
BROKEN = "policy: 1\nrules: [{name: three, when: 'nonsense', deny: true}]"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    tenant = encode_tenant(TenantSpec(id=TenantId("acme")))
    await store.commit(Txn(then=[Put(keys.tenant("acme"), tenant)]))
    yield store
    await store.close()


@pytest.fixture
def registry(store: EmbeddedStore) -> PolicyRegistry:
    return PolicyRegistry(store, wall=time.time)


async def put(store: EmbeddedStore, **record: object) -> None:
    """A record as another version of Homeport may write it."""
    value = json.dumps({"version": 1, "document": ONE, "at_ms": 0, **record}).encode()
    await store.commit(Txn(then=[Put(keys.policy("acme"), value)]))


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not come to hold")


async def test_a_change_is_made_from_the_version_in_force(registry: PolicyRegistry) -> None:
    assert (await registry.read("acme")).record is None
    first = await registry.apply("acme", ONE, base_version=0)
    with pytest.raises(Conflict, match="is at version 1, and the change was made from 0"):
        await registry.apply("acme", TWO, base_version=0)
    second = await registry.apply("acme", TWO, base_version=1)
    kept = await registry.read("acme")
    assert (first.version, second.version, kept.versions) == (1, 2, (1, 2))
    assert kept.record is not None
    assert kept.record.document == TWO
    earlier = (await registry.read("acme", 1)).record
    assert earlier is not None
    assert earlier.document == ONE


async def test_of_two_at_once_one_gets_its_way(registry: PolicyRegistry) -> None:
    asked = (registry.apply("acme", one, base_version=0) for one in (ONE, TWO))
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["Conflict", "PolicyRecord"]


async def test_so_many_versions_are_kept(registry: PolicyRegistry) -> None:
    for version in range(KEPT_VERSIONS + 2):
        await registry.apply("acme", ONE, base_version=version)
    assert (await registry.read("acme")).versions == tuple(range(3, KEPT_VERSIONS + 3))
    with pytest.raises(NotFound, match="version 2 of the policy of acme is not kept"):
        await registry.read("acme", 2)


async def test_a_tenant_has_to_be_there(registry: PolicyRegistry) -> None:
    with pytest.raises(NotFound):
        await registry.apply("nobody", ONE, base_version=0)
    assert (await registry.apply("default", ONE, base_version=0)).version == 1


async def test_a_damaged_record_is_told(store: EmbeddedStore, registry: PolicyRegistry) -> None:
    await store.commit(Txn(then=[Put(keys.policy("acme"), b"{")]))
    with pytest.raises(DataLoss, match="is damaged"):
        await registry.read("acme")


class Following:
    """FollowedPolicies at work."""

    def __init__(self, store: EmbeddedStore) -> None:
        self.policies = FollowedPolicies(store, PlacementPolicy(), wall=time.time)

    async def __aenter__(self) -> FollowedPolicies:
        await self.policies.start()
        self.task = asyncio.create_task(self.policies.run())
        return self.policies

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def rules_for_anna(policies: FollowedPolicies) -> list[str]:
    return rules_of(policies.of("acme", BERLIN, ANNA))


async def test_a_change_is_followed(store: EmbeddedStore, registry: PolicyRegistry) -> None:
    await registry.apply("acme", ONE, base_version=0)
    async with Following(store) as policies:
        assert (rules_for_anna(policies), policies.revision_of("acme")) == (["one"], 1)
        assert policies.of("other", BERLIN, ANNA) is policies.default
        await registry.apply("acme", TWO, base_version=1)
        assert await policies.wait_for("acme", 2, timeout_s=20)
        assert rules_for_anna(policies) == ["two"]


@pytest.mark.parametrize(
    ("record", "why"),
    [
        pytest.param({"version": 2, "document": BROKEN}, "undeclared reference", id="faulty"),
        pytest.param({"version": 2, "format": 9}, "a later version of Homeport", id="later-format"),
        pytest.param({"version": "x"}, "is damaged", id="damaged"),
    ],
)
async def test_what_cannot_be_read_replaces_nothing(
    store: EmbeddedStore, registry: PolicyRegistry, record: dict[str, object], why: str
) -> None:
    await registry.apply("acme", ONE, base_version=0)
    async with Following(store) as policies:
        await put(store, **record)
        await until(lambda: "acme" in policies.behind)
        assert why in policies.behind["acme"]
        assert rules_for_anna(policies) == ["one"]
        await put(store, version=3, document=TWO)
        await until(lambda: not policies.behind)
        assert rules_for_anna(policies) == ["two"]


async def test_nobody_is_placed_by_a_policy_that_was_never_read(store: EmbeddedStore) -> None:
    await put(store, document=BROKEN)
    async with Following(store) as policies:
        assert policies.of("acme", BERLIN, ANNA).denied
        assert not policies.of("other", BERLIN, ANNA).denied
        assert policies.revision_of("acme") == 0


async def test_a_snapshot_has_the_policies(store: EmbeddedStore, registry: PolicyRegistry) -> None:
    await registry.apply("acme", ONE, base_version=0)
    async with Following(store) as policies:
        pairs = list(policies.replica.pairs)
    restored = FollowedPolicies(store, PlacementPolicy(), wall=time.time)
    await restored.restore(pairs)
    assert (rules_for_anna(restored), restored.revision_of("acme")) == (["one"], 1)


async def test_what_a_policy_would_mean_is_counted(store: EmbeddedStore) -> None:
    cells = {"a": "DE:52.5,13.4~10", "b": "DE:52.5,13.4~400", "c": "US:38.9,-77.4~10", "d": "FR:"}
    for name, cell in cells.items():
        value = encode_assignment("virginia", 1, 0, cell)
        await store.commit(Txn(then=[Put(keys.assignment("acme", name), value)]))
    policy = compiled(
        """
        rules:
        - {name: germans, when: 'location.country == "DE"', require: {countries: [IE]}}
        - {name: french, when: 'location.country == "FR"', require: {countries: [FR]}}
        """
    )
    effect = await effect_of(policy, fleet("dublin", "virginia"), store)
    assert (effect.clients, effect.nowhere, effect.displaced, effect.whole) == (4, 1, 3, True)
    assert effect.by_rule == {"french": 1}
    assert effect.by_certainty == {"certain": 2, "uncertain": 1, "registered": 1}

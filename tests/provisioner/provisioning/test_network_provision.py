"""For which network an answer holds: any address in it and any client would have had the same."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import AsyncIterator

import pytest

from control_plane import keys
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.store.embedded import EmbeddedStore
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.placement.choice import Choice
from provisioner.provisioning.network_provision import NetworkFinder
from tests.support.policies import compiled
from tests.support.provisioning_harness import (
    IN_IRELAND,
    AwaitedSink,
    ProvisioningHarness,
    provisioning,
)
from tests.support.servers import units

FLEET = units(dublin=100, virginia=100, mumbai=100, singapore=100)
ALIKE = "rules: [{name: eu, when: location.continent == 'EU', require: {continents: [EU]}}]"
BY_CLIENT = {
    "id": "rules: [{name: r, when: client.id == 'anna', require: {units: [dublin]}}]",
    "group": """
groups: {gov: {patterns: ["gov-*"]}}
rules: [{name: r, when: '"gov" in client.groups', require: {units: [dublin]}}]
""",
    "ring": "rings: {canary: {share: 5, units: [virginia]}}",
    "time": "rules: [{name: r, when: now < timestamp('2020-01-01T00:00:00Z'), deny: true}]",
    "hash": "rules: [{name: r, rank: {distance: false, load: false}}]",
}


@pytest.fixture
async def store(tmp_path) -> AsyncIterator[EmbeddedStore]:
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


class Asking:
    """A server at work under a policy."""

    def __init__(self, harness: ProvisioningHarness, policy: str | None) -> None:
        self.harness = harness
        made = None if policy is None else compiled(policy, tenant=DEFAULT_TENANT.id)
        if made is not None:
            source = harness.placer.policies = OneTenant(made)
            harness.placer._chooser = harness.ledger.chooser(harness.placer.fleet, source)
        self.finder = NetworkFinder(
            harness.provisioner.locator,
            harness.placer,
            lambda tenant, location: made is None or made.is_alike(location),
        )

    async def ask(self, name: str, address: str = IN_IRELAND, *, told: bool = True):
        sink = AwaitedSink()
        more = {"kind": self.finder.kind(address)} if told else {}
        self.harness.provisioner.provision(DEFAULT_TENANT, name, address, None, sink, **more)
        answer = await sink.answer
        assert isinstance(answer, bytes), answer
        return pb.ProvisionResponse.FromString(answer)


class OneTenant:
    """A PolicySource of one policy."""

    def __init__(self, made) -> None:
        self.made = made
        self.default = made.base

    def of(self, tenant, location, client_key):
        return self.made.of(location, client_key)

    def revision_of(self, tenant):
        return self.made.revision

    def stamp_of(self, tenant):
        return self.made.revision, 0


async def test_only_who_asks_and_is_new_is_told(store):
    async with provisioning(store, FLEET) as harness:
        server = Asking(harness, None)
        assert (await server.ask("plain", told=False)).network == ""
        first = await server.ask("a")
        assert ipaddress.ip_address(IN_IRELAND) in ipaddress.ip_network(first.network)
        again = await server.ask("a", "1.1.1.1")  # another record, were it in the same millisecond
        assert (again.existing, again.network) == (True, "")


@pytest.mark.parametrize("policy", [None, ALIKE], ids=["none", "by-place"])
async def test_any_client_at_any_address_in_it_gets_the_same_unit(store, policy):
    rng = random.Random(5)
    async with provisioning(store, FLEET) as harness:
        server = Asking(harness, policy)
        await server.ask("earlier", told=False)
        told = {4: 0, 6: 0}
        database, locator = server.finder._locator.database, server.finder._locator
        for number in range(120):
            version = rng.choice([4, 6])
            starts = database.v4.starts if version == 4 else database.v6.starts
            start = rng.choice(starts)
            address = ipaddress.ip_address(start if version == 4 else start << 64)
            text = str(ipaddress.IPv4Address(start) if version == 4 else address)
            location = _located(locator, text)
            if location is None:
                continue
            key = keys.assignment(DEFAULT_TENANT.id, f"c{number}")
            choice = harness.placer.choose(DEFAULT_TENANT.id, key, location)
            network = server.finder.network(DEFAULT_TENANT.id, key, location, text)
            if not network:
                continue
            told[version] += 1
            block = ipaddress.ip_network(network)
            low, high = int(block.network_address), int(block.broadcast_address)
            for other in (low, high, rng.randint(low, high)):
                there = _located(locator, str(type(block.network_address)(other)))
                another = keys.assignment(DEFAULT_TENANT.id, f"x{rng.random()}")
                found = harness.placer.choose(DEFAULT_TENANT.id, another, there)
                assert isinstance(found, Choice)
                assert found.unit_index == choice.unit_index, (text, network)
        assert min(told.values()) > 5, told


@pytest.mark.parametrize("what", sorted(BY_CLIENT))
async def test_there_is_none_where_the_client_counts(store, what):
    async with provisioning(store, FLEET) as harness:
        server = Asking(harness, BY_CLIENT[what])
        for name in ("a", "b", "c"):
            assert (await server.ask(name)).network == ""


def _located(locator, text):
    location = locator.locate(text, None, None)
    return location if location.source.value == "database" else None

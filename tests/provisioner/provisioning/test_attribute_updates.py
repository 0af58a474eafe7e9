"""Attributes told of clients: they decide where a new one goes, and are kept of a known one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from control_plane import keys
from control_plane.errors import InvalidInput, Unavailable
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.ledger.assignment import decode_assignment
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.placement.filters import PlacementPolicy
from tests.support.policies import compiled
from tests.support.provisioning_harness import AwaitedSink, ProvisioningHarness, provisioning
from tests.support.servers import units

HOLDING = replace(DEFAULT_TENANT, hold_s=60.0)
POLICY = """
groups: {gov: {attributes: {kind: government}}}
rules: [{name: gov, when: '"gov" in client.groups', require: {countries: [US]}}]
"""


class Policies:
    """As a source: the policy above for everybody."""

    policy = compiled(POLICY, tenant="default")
    default = PlacementPolicy()

    def of(self, tenant, location, client_key):
        return self.policy.of(location, client_key)

    def revision_of(self, tenant):
        return 7

    def stamp_of(self, tenant):
        return 7, 0


@pytest.fixture
async def harness(tmp_path) -> AsyncIterator[ProvisioningHarness]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=100, virginia=100), policies=Policies()) as harness:
        yield harness
    await store.close()


async def home(harness, client="anna", *, tenant=DEFAULT_TENANT, **attributes):
    answer = await harness.ask(client, tenant=tenant, attributes=attributes)
    assert isinstance(answer, bytes), answer
    return pb.ProvisionResponse.FromString(answer)


async def record(harness, client="anna"):
    return decode_assignment((await harness.store.get(keys.assignment("default", client))).value)


async def test_what_is_told_of_a_new_client_decides_and_is_kept(harness):
    assert (await home(harness, kind="government", tier="")).assignment.unit_id == "virginia"
    assert (await record(harness)).attributes == {"kind": "government"}
    assert (await home(harness, "ben")).assignment.unit_id == "dublin"
    assert (await record(harness, "ben")).attributes is None


async def test_what_is_told_of_a_known_client_is_kept_once_it_is_answered(harness):
    before = await home(harness, kind="private", tier="gold")
    answer = await home(harness, kind="government", stage="beta")
    assert answer.existing
    assert answer.assignment == before.assignment, "a home is moved by jobs, not by what is told"
    assert (await record(harness)).attributes == {
        "kind": "government", "stage": "beta", "tier": "gold",
    }  # fmt: skip
    await home(harness, tier="", kind="", stage="")
    assert (await record(harness)).attributes is None


async def test_a_client_of_whom_nothing_new_is_told_is_not_written(harness):
    await home(harness, kind="government")
    before = (await harness.store.get(keys.assignment("default", "anna"))).mod_revision
    for told in ({"kind": "government"}, {}, {"tier": ""}):
        await home(harness, **told)
    assert (await harness.store.get(keys.assignment("default", "anna"))).mod_revision == before
    assert harness.updates.written == 0


async def test_callers_at_one_time_that_tell_different_things_are_all_heard(harness):
    sinks = [AwaitedSink() for _ in range(4)]
    for sink, told in zip(sinks, [{}, {"a": "1"}, {"b": "2"}, {"c": "3"}], strict=True):
        harness.begin("anna", sink, attributes=told)
    answers = [pb.ProvisionResponse.FromString(await sink.answer) for sink in sinks]
    assert [one.existing for one in answers] == [False, True, True, True]
    assert (await record(harness)).attributes == {"a": "1", "b": "2", "c": "3"}
    assert harness.provisioner.under_way == 0


async def test_what_is_told_is_put_to_the_record_as_it_is_when_it_is_written(harness):
    """It was moved between reading and writing: it stays where it is."""
    await home(harness, kind="private")
    key = keys.assignment("default", "anna")
    find, moved = harness.updates._find_store, []

    class Slow:
        def __init__(self, store):
            self.store = store

        async def commit(self, txn):
            if not moved:
                moved.append(
                    Put(key, encode_assignment("virginia", 2, 9, "", attributes={"x": "y"}))
                )
                await self.store.commit(Txn(then=moved))
            return await self.store.commit(txn)

    harness.updates._find_store = lambda key: find(key)._replace(store=Slow(harness.store))
    answer = await home(harness, kind="government")
    assert (answer.assignment.unit_id, answer.assignment.epoch) == ("virginia", 2)
    assert (await record(harness)).attributes == {"kind": "government", "x": "y"}


async def test_one_that_was_released_meanwhile_is_new(harness):
    await home(harness, kind="private")
    find = harness.updates._find_store
    released = []

    class Releasing:
        async def commit(self, txn):
            if not released:
                released.append(await harness.assignments.release("default", "anna"))
            return await harness.store.commit(txn)

    harness.updates._find_store = lambda key: find(key)._replace(store=Releasing())
    answer = await home(harness, kind="government")
    assert released == [True]
    assert (answer.assignment.unit_id, answer.existing) == ("virginia", False)


async def test_a_place_that_is_held_stays_held(harness):
    await home(harness, tenant=HOLDING)
    await home(harness, tenant=HOLDING, kind="private")
    key, held = keys.assignment("default", "anna"), keys.hold("default", "anna")
    assert (await record(harness)).attributes == {"kind": "private"}
    found = await harness.store.get(held)
    assert found.mod_revision == (await harness.store.get(key)).mod_revision


async def test_a_record_that_can_be_written_nowhere_is_told_so(harness):
    await home(harness)
    harness.updates._find_store = lambda key: None
    answer = await harness.ask("anna", attributes={"kind": "private"})
    assert isinstance(answer, Unavailable)
    assert answer.retry_after_s is not None
    assert (await home(harness)).existing, "who tells nothing is served"


async def test_who_gets_too_many_bit_by_bit_is_told_so(harness):
    await home(harness, **{f"a{n}": "x" for n in range(16)})
    answer = await harness.ask("anna", attributes={"one-more": "x"})
    assert isinstance(answer, InvalidInput)
    assert answer.field == "attributes"


async def test_what_may_not_be_told_is_refused_before_anything_begins(harness):
    answer = await harness.ask("anna", attributes={"a b": "x"})
    assert isinstance(answer, InvalidInput)
    assert await harness.store.get(keys.assignment("default", "anna")) is None
    assert harness.provisioner.under_way == 0


async def test_many_at_once(harness):
    names = [f"c{n}" for n in range(200)]
    for told in ({}, {"kind": "private"}):
        sinks = [AwaitedSink() for _ in names]
        for name, sink in zip(names, sinks, strict=True):
            harness.begin(name, sink, attributes=told)
        await asyncio.gather(*(sink.answer for sink in sinks))
    assert {(await record(harness, name)).attributes["kind"] for name in names} == {"private"}

"""The use case from request to answer, over the real ledger and store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane import keys
from control_plane.errors import (
    DataLoss,
    Exhausted,
    InvalidInput,
    Refused,
    ServiceError,
    Unavailable,
)
from control_plane.fleet.records import encode_unit
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.identity.tickets import EDDSA
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.provisioning.provisioner import CHECK_STORE_ABOVE, EXISTING_RULE
from tests.support.provisioning_harness import AwaitedSink, ProvisioningHarness, provisioning
from tests.support.servers import units


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ProvisioningHarness]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=3, virginia=100)) as harness:
        yield harness
    await store.close()


def read(answer: bytes | ServiceError) -> pb.ProvisionResponse:
    assert isinstance(answer, bytes), answer
    return pb.ProvisionResponse.FromString(answer)


async def test_a_new_client_goes_to_the_nearest_unit(harness: ProvisioningHarness) -> None:
    answer = read(await harness.ask("alice"))
    assert (answer.assignment.unit_id, answer.assignment.epoch) == ("dublin", 1)
    assert answer.assignment.endpoint == "dublin.example.net:443"
    assert answer.assignment.client_id == "alice"
    assert not answer.existing
    assert not answer.stale
    assert answer.ticket
    assert answer.decision.location.country == "GB"
    assert (harness.provisioner.new, harness.provisioner.known) == (1, 0)


async def test_who_asks_again_is_told_the_same_home(harness: ProvisioningHarness) -> None:
    first, again = read(await harness.ask("alice")), read(await harness.ask("alice"))
    assert again.assignment == first.assignment
    assert again.existing
    assert again.decision.rule == EXISTING_RULE
    assert (harness.provisioner.new, harness.provisioner.known) == (1, 1)


@pytest.mark.parametrize("value", [b"{nonsense", b"{}", b"", b"\xff", b'{"unit": 3}'])
async def test_a_damaged_assignment_is_told_to_its_client_and_to_no_other(
    harness: ProvisioningHarness, value: bytes
) -> None:
    key = keys.assignment(DEFAULT_TENANT.id, "mallory")
    await harness.store.commit(Txn(then=[Put(key, value)]))
    for _ in range(2):
        told = await harness.ask("mallory")
        assert isinstance(told, DataLoss)
        assert "mallory is damaged" in told.message
    assert read(await harness.ask("alice")).assignment.unit_id == "dublin"
    kept = await harness.store.get(key)
    assert kept is not None
    assert kept.value == value, "what is damaged is repaired by somebody, not written over"


async def test_where_many_are_known_the_store_is_asked_first(harness: ProvisioningHarness) -> None:
    first = read(await harness.ask("alice"))
    while harness.provisioner._known_share <= CHECK_STORE_ABOVE:
        await harness.ask("alice")
    before = harness.ledger.counts().transactions
    assert read(await harness.ask("alice")).assignment == first.assignment
    assert harness.ledger.counts().transactions == before, "a read was enough"
    assert not read(await harness.ask("bob")).existing, (
        "and a new client gets its home all the same"
    )


async def test_callers_for_one_client_at_one_time_share_one_provision(
    harness: ProvisioningHarness,
) -> None:
    sinks = [AwaitedSink() for _ in range(3)]
    for sink in sinks:
        harness.begin("alice", sink)
    assert harness.provisioner.under_way == 1
    answers = [read(await sink.answer) for sink in sinks]
    assert [one.existing for one in answers] == [False, True, True]
    assert len({one.assignment.SerializeToString() for one in answers}) == 1
    assert harness.provisioner.under_way == 0
    assert harness.provisioner.new == 1


async def test_tickets_signed_on_threads_reach_everybody(harness: ProvisioningHarness) -> None:
    tenant = replace(DEFAULT_TENANT, ticket_algorithm=EDDSA)
    sinks = [AwaitedSink() for _ in range(3)]
    for sink in sinks:
        harness.begin("alice", sink, tenant=tenant)
    answers = [read(await sink.answer) for sink in sinks]
    assert all(one.ticket.count(".") == 2 for one in answers)


async def test_an_id_that_is_none_is_refused_before_anything_begins(
    harness: ProvisioningHarness,
) -> None:
    with pytest.raises(InvalidInput):
        harness.provisioner.provision(DEFAULT_TENANT, "", None, None, AwaitedSink())
    assert harness.provisioner.under_way == 0


async def test_a_full_fleet_turns_new_clients_away_and_serves_its_own(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=1)) as harness:
        home = read(await harness.ask("alice"))
        refused = await harness.ask("bob")
        assert isinstance(refused, Exhausted)
        assert refused.retry_after_s is not None
        assert 1.0 <= refused.retry_after_s <= 3.0
        assert read(await harness.ask("alice")).assignment == home.assignment
        assert harness.provisioner.refused == 1
    await store.close()


async def test_a_unit_whose_capacity_is_not_known_yet_is_not_called_full(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=1)) as harness:
        read(await harness.ask("alice"))
        (spec,) = units(virginia=10)
        await store.commit(Txn(then=[Put(keys.unit(spec.id), encode_unit(spec))]))
        await harness.fleet_view.start()  # this watch was quicker than that of capacities
        early = await harness.ask("bob")
        assert isinstance(early, Unavailable)
        assert "virginia" in early.message
        assert early.retry_after_s is not None
        assert early.retry_after_s < 1.0
    await store.close()


async def test_an_empty_fleet_says_what_to_do(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, []) as harness:
        refused = await harness.ask("alice")
        assert isinstance(refused, Refused)
        assert "homeport units apply" in refused.message
        assert harness.provisioner.under_way == 0
    await store.close()


async def test_a_client_is_found_and_released(harness: ProvisioningHarness) -> None:
    tenant = DEFAULT_TENANT.id
    assert await harness.assignments.find(tenant, "alice") is None
    assert not await harness.assignments.release(tenant, "alice")
    await harness.ask("alice")
    found = await harness.assignments.find(tenant, "alice")
    assert found is not None
    assert await harness.assignments.release(tenant, "alice")
    assert await harness.assignments.find(tenant, "alice") is None
    assert not read(await harness.ask("alice")).existing, "a new home"


async def test_a_client_whose_tenant_holds_places_is_held(harness: ProvisioningHarness) -> None:
    await harness.ask("alice", tenant=replace(DEFAULT_TENANT, hold_s=60.0))
    await harness.ask("bob")
    page = await harness.store.range(b"", limit=1_000)
    holds = [pair.key for pair in page.items if b"hold" in pair.key]
    assert any(b"alice" in key for key in holds), [pair.key for pair in page.items]
    assert not any(b"bob" in key for key in holds)

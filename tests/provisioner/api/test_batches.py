"""A batch: every client has its answer at its position, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from control_plane import keys
from control_plane.errors import ServiceError
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.pacing import CoroutinePacer
from control_plane.store.embedded import EmbeddedStore
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.batches import BEGUN_AT_ONCE, BatchRun
from provisioner.api.requests import read_batch
from provisioner.ledger.assignment import decode_assignment
from tests.support.provisioning_harness import IN_IRELAND, ProvisioningHarness, provisioning
from tests.support.servers import units


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ProvisioningHarness]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=100, virginia=100)) as harness:
        yield harness
    await store.close()


def client(client_id: str, address: str = IN_IRELAND) -> pb.ClientOrigin:
    return pb.ClientOrigin(client_id=client_id, address=address)


async def provisioned(
    harness: ProvisioningHarness, *clients: pb.ClientOrigin, without_tickets: bool = True
) -> list[pb.ProvisionResult]:
    request = pb.ProvisionManyRequest(clients=clients, without_tickets=without_tickets)
    run = BatchRun(harness.provisioner, DEFAULT_TENANT, read_batch(request.SerializeToString()))
    await run.begin(CoroutinePacer(per_pass=1, clock=time.monotonic))
    return list(pb.ProvisionManyResponse.FromString(await run.response()).results)


async def test_results_stand_in_the_order_of_the_request(harness: ProvisioningHarness) -> None:
    await harness.ask("c-2")  # one of them is known: its answer takes another way
    names = [f"c-{number}" for number in range(5)]
    results = await provisioned(harness, *map(client, names))
    assert [one.client_id for one in results] == names
    assert [one.provisioned.assignment.client_id for one in results] == names
    assert [one.provisioned.existing for one in results] == [False, False, True, False, False]
    assert not any(one.provisioned.ticket for one in results)
    assert harness.provisioner.under_way == 0


async def test_with_tickets_each_has_its_own(harness: ProvisioningHarness) -> None:
    results = await provisioned(harness, client("a"), client("b"), without_tickets=False)
    tickets = [one.provisioned.ticket for one in results]
    assert all(tickets)
    assert len(set(tickets)) == 2


async def test_new_ones_are_answered_alike_in_a_batch_and_alone(
    harness: ProvisioningHarness,
) -> None:
    (batched,) = await provisioned(harness, client("a"))
    answer = await harness.ask("b")
    assert isinstance(answer, bytes)
    alone = pb.ProvisionResponse.FromString(answer)
    assert batched.provisioned.decision == alone.decision
    for one in (batched.provisioned, alone):
        one.assignment.ClearField("client_id")
        one.assignment.ClearField("assign_time")
    assert batched.provisioned.assignment == alone.assignment


async def test_a_client_at_fault_is_told_and_the_others_are_served(
    harness: ProvisioningHarness,
) -> None:
    results = await provisioned(
        harness, client("a"), client(""), client("a"), client("b", "no address"), client("c")
    )
    assert [one.WhichOneof("outcome") for one in results] == [
        "provisioned", "error", "error", "error", "provisioned",
    ]  # fmt: skip
    assert [one.error.field for one in results[1:4]] == ["client_id", "client_id", "address"]
    assert all(one.error.code == "INVALID_ARGUMENT" for one in results[1:4])
    assert "already" in results[2].error.message
    assert harness.provisioner.new == 2


async def test_a_batch_of_wrong_clients_alone_is_answered_at_once(
    harness: ProvisioningHarness,
) -> None:
    results = await provisioned(harness, client(""), client("no/slash"[:0]))
    assert [one.WhichOneof("outcome") for one in results] == ["error", "error"]


async def test_who_may_not_wait_is_told_when_to_come_back(harness: ProvisioningHarness) -> None:
    harness.admission.update(waiting=0, served=0, seconds=0.1, may_write=False, connected=False)
    (result,) = await provisioned(harness, client("a"))
    assert result.error.code == "UNAVAILABLE"
    assert result.error.retry_after.ToMilliseconds() > 0


async def test_somebody_who_asks_for_the_same_client_shares_its_answer(
    harness: ProvisioningHarness,
) -> None:
    request = pb.ProvisionManyRequest(clients=[client("a")], without_tickets=True)
    run = BatchRun(harness.provisioner, DEFAULT_TENANT, read_batch(request.SerializeToString()))
    await run.begin(CoroutinePacer(per_pass=1, clock=time.monotonic))
    alone: bytes | ServiceError = await harness.ask("a")
    assert isinstance(alone, bytes)
    (result,) = pb.ProvisionManyResponse.FromString(await run.response()).results
    single = pb.ProvisionResponse.FromString(alone)
    assert single.assignment == result.provisioned.assignment
    assert (result.provisioned.existing, single.existing) == (False, True)


async def test_a_large_batch_leaves_the_event_loop_to_others_while_it_begins(
    tmp_path: Path,
) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=10_000)) as harness:
        await begins_in_parts(harness)
    await store.close()


async def begins_in_parts(harness: ProvisioningHarness) -> None:
    """A thousand clients of two tenants each, and how many began in each pass of the loop."""
    provisioner = harness.provisioner

    def begun() -> int:
        return provisioner.under_way + provisioner.new

    request = pb.ProvisionManyRequest(clients=[client(f"c{n}") for n in range(1_000)])
    pacer = CoroutinePacer(per_pass=1, clock=lambda: 0.0)
    runs = [
        BatchRun(provisioner, replace(DEFAULT_TENANT, id=name), read_batch(payload))
        for name, payload in zip(("bank", "city"), [request.SerializeToString()] * 2, strict=True)
    ]
    beginning = [asyncio.create_task(run.begin(pacer)) for run in runs]
    seen = [begun()]
    while not all(task.done() for task in beginning):
        await asyncio.sleep(0)
        seen.append(begun())
    assert seen[-1] == 2_000
    assert max(after - before for before, after in pairwise(seen)) == BEGUN_AT_ONCE


async def test_what_is_told_of_each_client_is_kept(harness: ProvisioningHarness) -> None:
    first = client("a")
    first.attributes["kind"] = "bank"
    faulty = client("b")
    faulty.attributes["a b"] = "x"
    results = await provisioned(harness, first, faulty, client("c"))
    assert [one.error.field for one in results] == ["", "attributes", ""]
    kept = await harness.store.get(keys.assignment(DEFAULT_TENANT.id, "a"))
    assert kept is not None
    assert decode_assignment(kept.value).attributes == {"kind": "bank"}


async def test_an_attribute_that_is_not_utf8_is_its_clients_fault_alone(
    harness: ProvisioningHarness,
) -> None:
    one, two = client("a"), client("b")
    one.attributes["kind"] = "XXXX"
    two.attributes["kind"] = "bank"
    request = pb.ProvisionManyRequest(clients=[one, two], without_tickets=True)
    payload = request.SerializeToString().replace(b"XXXX", b"XX\xff\xff")
    run = BatchRun(harness.provisioner, DEFAULT_TENANT, read_batch(payload))
    await run.begin(CoroutinePacer(per_pass=1, clock=time.monotonic))
    results = pb.ProvisionManyResponse.FromString(await run.response()).results
    assert [one.error.message for one in results] == [
        "attributes is not UTF-8 (byte 2 is wrong)", "",
    ]  # fmt: skip

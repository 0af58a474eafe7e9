"""Capacity holds exactly over several servers, whoever asks where, and whoever dies.

The history of the store is judged revision by revision by code of its own (tests/support/judge).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import grpc
import pytest

from control_plane.store.etcd import EtcdStore
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from provisioner.geo.database import GeoDatabase
from provisioner.geo.sampling import sample_public_addresses
from tests.support import servers
from tests.support.judge.recorder import replay

RETRY_FOR_S = 30.0  # what the refused may take to find the last slots
LEASE_S = 5
BATCH = 250


@asynccontextmanager
async def store_of(url: str) -> AsyncIterator[EtcdStore]:
    store = await EtcdStore.connect([url.removeprefix("etcd://")])
    try:
        yield store
    finally:
        await store.close()


async def ask(
    address: str, clients: list[tuple[str, str]], answers: dict[str, list[pb.ProvisionResult]]
) -> None:
    """Sends clients through ProvisionMany and notes every answer by client."""

    async def requests() -> AsyncIterator[pb.ProvisionManyRequest]:
        for start in range(0, len(clients), BATCH):
            part = clients[start : start + BATCH]
            yield pb.ProvisionManyRequest(
                without_tickets=True,
                clients=[pb.ClientOrigin(client_id=c, address=a) for c, a in part],
            )

    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        async for response in stub.ProvisionMany(requests()):
            for result in response.results:
                answers.setdefault(result.client_id, []).append(result)


def home(result: pb.ProvisionResult) -> str:
    """The unit of an answer; empty for a refusal."""
    return result.provisioned.assignment.unit_id


async def crowd(addresses: list[str], count: int, room: int) -> dict[str, list[pb.ProvisionResult]]:
    """`count` clients, a third of them at two servers at once; the refused try again, at
    whichever server, until all `room` slots are taken or the time is over."""
    rng = random.Random(count)
    places = sample_public_addresses(GeoDatabase.open(), min(count, 20_000), 3)
    clients = [(f"client-{n:06d}", rng.choice(places)) for n in range(count)]
    shares: list[list[tuple[str, str]]] = [[] for _ in addresses]
    for number, client in enumerate(clients):
        first = rng.randrange(len(addresses))
        shares[first].append(client)
        if number % 3 == 0:
            shares[(first + 1) % len(addresses)].append(client)
    answers: dict[str, list[pb.ProvisionResult]] = {}
    end = time.monotonic() + RETRY_FOR_S
    while True:
        await asyncio.gather(*(ask(a, s, answers) for a, s in zip(addresses, shares, strict=True)))
        refused = [c for c in clients if not any(home(r) for r in answers[c[0]])]
        if time.monotonic() > end or len(clients) - len(refused) >= room:
            return answers
        rng.shuffle(refused)
        # A few at a time: what matters is whether a slot is still to be had somewhere.
        some = refused[: max(200, len(refused) // 20)]
        shares = [some[n :: len(addresses)] for n in range(len(addresses))]


@pytest.mark.parametrize(
    ("count", "capacities"),
    [
        pytest.param(
            4_000, {"dublin": 700, "virginia": 900, "singapore": 500, "mumbai": 300}, id="4,000"
        ),
        pytest.param(
            100_000,
            {"dublin": 14_000, "virginia": 19_000, "singapore": 12_000, "mumbai": 15_000},
            id="100,000",
            marks=[pytest.mark.slow, pytest.mark.timeout(900)],
        ),
    ],
)
async def test_three_servers_fill_the_fleet_to_the_last_slot_and_no_further(
    own_etcd, tmp_path, count, capacities
):
    url = own_etcd().url
    with ExitStack() as stack:
        running = servers.start(stack, tmp_path, url, 3)
        await servers.apply(running[0].address, servers.units(**capacities))
        await asyncio.sleep(1.0)  # the other two hear of the fleet through their watches
        addresses = [server.address for server in running]
        answers = await crowd(addresses, count, sum(capacities.values()))
    async with store_of(url) as store:
        history = await replay(store, tmp_path / "judge.db")

    room = sum(capacities.values())
    assert history.violations == []
    assert dict(history.clients) == capacities
    assert len(history.assigned) == room
    homes = {client: {home(r) for r in given if home(r)} for client, given in answers.items()}
    assert {c: units for c, units in homes.items() if len(units) > 1} == {}
    assert {f"default/{c}": next(iter(units)) for c, units in homes.items() if units} == (
        history.assigned
    )
    refusals = [r.error for given in answers.values() for r in given if not home(r)]
    assert {error.code for error in refusals} == {"RESOURCE_EXHAUSTED"}
    assert all(error.HasField("retry_after") for error in refusals)


async def test_a_killed_server_loses_nothing_acknowledged_and_its_slots_come_back(
    own_etcd, tmp_path
):
    capacities = {"dublin": 6_000, "virginia": 9_000, "singapore": 5_000}
    url = own_etcd().url
    with ExitStack() as stack:
        victim, survivor = servers.start(stack, tmp_path, url, 2, f"--session-ttl-s={LEASE_S}")
        await servers.apply(victim.address, servers.units(**capacities))
        await asyncio.sleep(1.0)
        places = sample_public_addresses(GeoDatabase.open(), 4_000, 5)
        clients = [(f"client-{n:06d}", places[n % len(places)]) for n in range(40_000)]
        answers: dict[str, list[pb.ProvisionResult]] = {}
        load = asyncio.create_task(ask(victim.address, clients, answers))
        while len(answers) < 2_000:  # noqa: ASYNC110 - the other side is a process
            await asyncio.sleep(0.005)
        victim.kill()
        died = time.monotonic()
        with pytest.raises(grpc.aio.AioRpcError):
            await load
        acknowledged = {c: home(given[-1]) for c, given in answers.items() if home(given[-1])}
        assert len(acknowledged) >= 1_000

        async with store_of(url) as store:
            history = await replay(store, tmp_path / "judge-1.db")
            assert history.violations == []
            kept = {c: history.assigned.get(f"default/{c}") for c in acknowledged}
            assert kept == acknowledged

            # All of the dead one's unspent slots are free again within its lease and 5 s.
            async def dead_grants() -> set[str]:
                history = await replay(store, tmp_path / f"judge-{time.monotonic_ns()}.db")
                return history.holders - history.sessions

            while time.monotonic() < died + LEASE_S or await dead_grants():
                assert time.monotonic() < died + LEASE_S + 5.0, survivor.log()
                await asyncio.sleep(0.1)

            rest: dict[str, list[pb.ProvisionResult]] = {}
            await ask(survivor.address, clients[:25_000], rest)
            history = await replay(store, tmp_path / "judge-2.db")
            assert history.violations == []
            assert dict(history.clients) == capacities
            assert {c: home(rest[c][-1]) for c in acknowledged} == acknowledged

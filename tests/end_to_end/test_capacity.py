"""Capacity holds exactly over several servers, whoever asks where, and whoever dies.

The history of the store is judged revision by revision by code of its own (tests/support/judge).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

import grpc
import pytest

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.geo.database import GeoDatabase
from provisioner.geo.sampling import sample_public_addresses
from tests.support import servers
from tests.support.crowd import ask, crowd, home
from tests.support.etcd import store_of
from tests.support.judge.recorder import replay

LEASE_S = 5


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


@pytest.mark.slow
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

"""Assignments over several clusters: as exact as over one, while shards and clients move.

All histories are judged together (tests/support/judge/clusters).
"""

from __future__ import annotations

import asyncio
import json
import signal
import time

import grpc
import pytest

from control_plane import faultpoints, keys
from control_plane.store.port import range_all
from tests.support import servers
from tests.support.command_line import run_here, run_process
from tests.support.crowd import ask, crowd, home
from tests.support.fault_harness import LEASE_S
from tests.support.judge.clusters import shard_of
from tests.support.sharded_harness import ShardedHarness, sharded_harness

WAIT_S = 40.0


def units_of(address: str) -> dict[str, dict]:
    """The fleet as an operator sees it."""
    shown = run_here("units", "list", "--server", address, "-o", "json")
    assert shown.code == 0, shown.err
    return {unit["id"]: unit for unit in json.loads(shown.out)["units"]}


async def until_clients(address: str, wanted: dict[str, int]) -> None:
    """Waits until an operator is shown these clients."""
    end = time.monotonic() + WAIT_S
    while True:
        units = await asyncio.to_thread(units_of, address)
        counts = {name: units[name]["clients"] for name in wanted}
        if counts == wanted:
            return
        assert time.monotonic() < end, counts
        await asyncio.sleep(0.2)


async def judged(harness: ShardedHarness) -> dict[str, int]:
    """Clients by unit, when every history has been found in order."""
    verdict = await harness.recorder.finish(None, [])
    assert verdict.broken == 0, verdict
    return {unit: count for unit, count in harness.recorder.books.clients.items() if count}


async def test_the_fleet_fills_to_the_last_slot_and_no_further_while_shards_move(tmp_path):
    capacities = {"dublin": 500, "virginia": 700, "singapore": 400, "mumbai": 300}
    async with sharded_harness(tmp_path, clusters=("east", "north", "west")) as harness:
        await harness.serve(2)
        addresses = [server.address for server in harness.on.servers]
        await harness.on.fleet(capacities)
        filling = asyncio.create_task(crowd(addresses, 3_000, sum(capacities.values())))
        done = await harness.command("move-shards", "--from=east", "--to=west", "--count=150")
        assert done.returncode == 0, done.stderr
        answers = await filling
        assert await judged(harness) == capacities
        homes = {c: {home(r) for r in given if home(r)} for c, given in answers.items()}
        assert {c: units for c, units in homes.items() if len(units) > 1} == {}
        lived = sum(len(one.homes) for one in harness.recorder.books.clusters.values())
        assert lived == sum(capacities.values())
        refusals = {r.error.code for given in answers.values() for r in given if not home(r)}
        assert refusals == {"RESOURCE_EXHAUSTED"}


@pytest.mark.slow
async def test_capacity_lowered_by_an_operator_holds_in_every_cluster(tmp_path):
    async with sharded_harness(tmp_path) as harness:
        await harness.serve(2)
        first, second = (server.address for server in harness.on.servers)
        await harness.on.fleet({"dublin": 400})
        clients = [(f"c{n:04}", "81.2.69.142") for n in range(150)]
        await ask(first, clients, {})
        await servers.apply(second, servers.units(dublin=160))  # acknowledged: it holds
        answers: dict = {}
        more = [(f"d{n:04}", "81.2.69.142") for n in range(60)]
        end = time.monotonic() + WAIT_S
        while sum(any(home(r) for r in given) for given in answers.values()) < 10:
            assert time.monotonic() < end, "the last slots are not to be had"
            await ask(first, more, answers)
            await ask(second, more, answers)
        assert await judged(harness) == {"dublin": 160}


async def test_a_unit_is_drained_and_removed(tmp_path):
    async with sharded_harness(tmp_path) as harness:
        await harness.serve(2)
        address = harness.on.servers[0].address
        await harness.on.fleet({"dublin": 500, "virginia": 900})
        await ask(address, [(f"c{n:04}", "81.2.69.142") for n in range(300)], {})
        await until_clients(address, {"dublin": 300})
        refused = await asyncio.to_thread(
            run_here, "units", "remove", "dublin", "--server", address
        )
        assert refused.code == 4, refused.err
        drained = await asyncio.to_thread(run_here, "units", "drain", "dublin", "--server", address)
        assert drained.code == 0, drained.err
        await until_clients(address, {"dublin": 0, "virginia": 300})
        end = time.monotonic() + WAIT_S
        while True:
            gone = await asyncio.to_thread(
                run_here, "units", "remove", "dublin", "--server", address
            )
            if gone.code == 0:
                break
            assert time.monotonic() < end, gone.err
            await asyncio.sleep(0.5)
        await servers.apply(address, servers.units(dublin=50))  # made anew, and counted anew
        answers: dict = {}
        end = time.monotonic() + WAIT_S
        while sum(any(home(r) == "dublin" for r in given) for given in answers.values()) < 50:
            assert time.monotonic() < end, "the new unit does not fill"
            # Those who came before this server heard of it have another home already.
            number = len(answers)
            await ask(address, [(f"n{number + n:04}", "81.2.69.142") for n in range(20)], answers)
        counts = await judged(harness)
        assert counts["dublin"] == 50


@pytest.mark.slow
async def test_the_grants_of_a_killed_server_come_back_from_every_cluster(tmp_path):
    async with sharded_harness(tmp_path) as harness:
        await harness.serve(1)
        armed = {faultpoints.VARIABLE: "ledger.commit.after:6"}
        await harness.serve(1, environment=armed)
        survivor, victim = harness.on.servers
        await harness.on.fleet({"dublin": 600})
        clients = [(f"c{n:04}", "81.2.69.142") for n in range(500)]
        answers: dict = {}
        while victim.process.poll() is None:
            try:
                await ask(victim.address, clients[:100], answers)
                clients = clients[100:] or clients
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.1)  # it dies under the call
        assert victim.process.returncode == -signal.SIGKILL
        rest: dict = {}
        end = time.monotonic() + LEASE_S + 5.0 + WAIT_S
        while sum(any(home(r) for r in given) for given in rest.values()) < 600:
            assert time.monotonic() < end, "slots stay with the dead"
            await ask(survivor.address, [(f"c{n:04}", "81.2.69.142") for n in range(620)], rest)
        kept = {c: home(given[-1]) for c, given in answers.items() if home(given[-1])}
        assert {c: home(rest[c][0]) for c in kept} == kept
        assert await judged(harness) == {"dublin": 600}


@pytest.mark.slow
async def test_where_one_store_is_away_the_others_serve(tmp_path):
    """The store: clients are placed within the grants that are held. A cluster: the clients
    of the others are."""
    async with sharded_harness(tmp_path) as harness:
        await harness.serve(1)
        address = harness.on.servers[0].address
        await harness.on.fleet({"dublin": 4_000})
        answers: dict = {}
        await ask(address, [(f"c{n:04}", "81.2.69.142") for n in range(200)], answers)
        harness.on.cluster.kill()
        await ask(address, [(f"d{n:04}", "81.2.69.142") for n in range(20)], answers)
        without_store = {c: home(given[-1]) for c, given in answers.items()}
        assert set(without_store.values()) == {"dublin"}
        harness.clusters["west"].kill()
        owner = harness.recorder.books.maps[-1].owners
        names = [f"e{n:04}" for n in range(40)]
        await ask(address, [(name, "81.2.69.142") for name in names], answers)
        for name in names:
            there = owner[shard_of(f"default/{name}")]
            outcome = home(answers[name][-1]) or answers[name][-1].error.code
            assert (there, outcome) in {("east", "dublin"), ("west", "UNAVAILABLE")}


async def test_one_store_becomes_several_clusters(own_etcd, tmp_path):
    """What stands in the store stays where it is, until its shards are moved."""
    control, west = own_etcd(), own_etcd()
    stores_flag = f"--assignment-stores=home={control.url};west={west.url}"
    clients = [(f"c{n:04}", "81.2.69.142") for n in range(400)]
    before: dict = {}
    with servers.Server(tmp_path, "alone", control.url) as server:
        await servers.apply(server.address, servers.units(dublin=450))
        await asyncio.sleep(0.5)
        await ask(server.address, clients, before)
    with servers.Server(tmp_path, "sharded", control.url, stores_flag) as server:
        moved = await asyncio.to_thread(
            run_process,
            "store", "move-shards", "--to=west", f"--store={control.url}", stores_flag,
            "-o", "json",
        )  # fmt: skip
        assert moved.code == 0, moved.err
        assert json.loads(moved.out)["shards"] == 512
        after: dict = {}
        await ask(server.address, clients, after)
        assert {c: home(given[-1]) for c, given in after.items()} == {
            c: home(given[-1]) for c, given in before.items()
        }
        more: dict = {}
        end = time.monotonic() + WAIT_S
        while sum(any(home(r) for r in given) for given in more.values()) < 50:
            assert time.monotonic() < end, "the last slots are not to be had"
            await ask(server.address, [(f"d{n:04}", "81.2.69.142") for n in range(60)], more)
        assert units_of(server.address)["dublin"]["clients"] == 450
    alone = servers.Server(tmp_path, "again", control.url)
    assert alone.process.wait(30) == 1
    assert "--assignment-stores" in alone.log()


async def test_a_move_that_not_every_server_could_follow_is_refused(tmp_path):
    async with sharded_harness(tmp_path, clusters=("east", "west", "north")) as harness:
        without_north = harness.stores_flag.rpartition(";")[0]
        await harness.on.serve(1, without_north)
        refused = await harness.command("move-shards", "--to=north")
        assert refused.returncode == 4, refused.stderr
        assert "has no session in cluster north" in refused.stderr


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        pytest.param(["--to=nowhere"], 3, 'no assignment cluster "nowhere"', id="to-nowhere"),
        pytest.param(["--from=east"], 2, "--to CLUSTER", id="to-where"),
        pytest.param(["--to=west", "--from=west"], 4, "to itself", id="to-itself"),
        pytest.param(["--to=west", "--resume"], 2, "leave the others out", id="resume-and-more"),
        pytest.param(["--to=west", "--count=9999"], 2, "1,024", id="more-than-there-are"),
    ],
)
async def test_a_wrong_order_is_refused_and_nothing_moves(sharded, words, code, complaint):
    done = await sharded.command("move-shards", *words)
    assert done.returncode == code, done.stderr
    assert complaint in done.stderr


@pytest.fixture
async def sharded(tmp_path):
    async with sharded_harness(tmp_path) as harness:
        await harness.serve(1)
        yield harness


async def test_the_map_and_a_dry_run_say_what_is_where(sharded):
    address = sharded.on.servers[0].address
    await sharded.on.fleet({"dublin": 500})
    await ask(address, [(f"c{n:04}", "81.2.69.142") for n in range(200)], {})
    would = json.loads((await sharded.command("move-shards", "--to=west", "--count=9",
                                             "--dry-run")).stdout)  # fmt: skip
    assert (would["shards"], would["dry_run"], would["clients"]) == (9, True, 0)
    status = json.loads((await sharded.command("status")).stdout)
    assert [one["shards"] for one in status["clusters"]] == [512, 512]
    assert sum(one["clients"] for one in status["clusters"]) == 200
    assert [one["servers"] for one in status["clusters"]] == [1, 1]
    table = await asyncio.to_thread(run_here, "store", "map", *sharded.stores)
    assert "east" in table.out
    assert "512" in table.out


@pytest.mark.slow
async def test_held_places_and_releases_follow_their_shard(tmp_path):
    """A hold is copied with its assignment, so nobody loses the place while it moves, and
    everybody who never comes loses it after."""
    async with sharded_harness(tmp_path) as harness:
        await harness.serve(1)
        address = harness.on.servers[0].address
        await harness.on.fleet({"dublin": 500})
        applied = await asyncio.to_thread(
            run_here, "tenants", "apply", "default", "--hold", "6", "--server", address
        )
        assert applied.code == 0, applied.err
        names = [f"h{n:04}" for n in range(120)]
        answers: dict = {}
        await asyncio.sleep(0.5)
        await ask(address, [(name, "81.2.69.142") for name in names], answers)
        moved = await harness.command("move-shards", "--from=east", "--to=west", "--count=512")
        assert moved.returncode == 0, moved.stderr
        west = harness.recorder._stores["west"]
        held = {
            pair.key[len(keys.HOLDS) :].decode()
            for pair in (await range_all(west, keys.HOLDS)).items
        }
        assert held == {f"default/{name}" for name in names}
        await until_clients(address, {"dublin": 0})
        assert (await range_all(west, keys.HOLDS)).items == []
        assert await judged(harness) == {}
        assert len({shard_of(f"default/{name}") for name in names}) > 60


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        pytest.param({}, "say where the assignment clusters are", id="no-clusters"),
        pytest.param(
            {"HOMEPORT_ASSIGNMENT_STORES": "east", "HOMEPORT_STORE": "etcd://127.0.0.1:1"},
            "lacks a name",
            id="no-name",
        ),
        pytest.param(
            {"HOMEPORT_ASSIGNMENT_STORES": "east=etcd://127.0.0.1:1"},
            "must be etcd",
            id="an-embedded-store",
        ),
        pytest.param({"HOMEPORT_CONFIG": "/nowhere.toml"}, "no settings file", id="no-file"),
    ],
)
def test_settings_that_do_not_fit_are_refused(environment, complaint):
    """Read as for servers, environment included."""
    done = run_here("store", "map", **environment)
    assert done.code == 2, done.err
    assert complaint in done.err

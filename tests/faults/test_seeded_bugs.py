"""Each mechanism that a promise stands on, taken out of a real server: the judge must see it.

Without these a run without violations would prove nothing."""

from __future__ import annotations

from dataclasses import replace

import grpc
import pytest

from control_plane import keys
from control_plane.compiled_modules import are_compiled
from control_plane.store.port import Delete, Txn
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.fleet.v1 import fleet_pb2_grpc as fleet_grpc
from tests.support import servers
from tests.support.fault_harness import FaultHarness, Outcome, fault_harness

FAST = ("--heartbeat-interval=10", "--election-timeout=100")
ROOM = {"dublin": 900, "virginia": 900}
slow = pytest.mark.faults
# Compiled modules do not see what is put into another module's names.
pytestmark = pytest.mark.skipif(are_compiled(), reason="bugs are seeded in sources: make pure")


async def ordinary(on: FaultHarness) -> None:
    """New, known and leaving clients."""
    on.traffic(processes=1, rate=400)
    await on.flowing(600)


async def crowded(on: FaultHarness) -> None:
    """Capacity is lowered below what is held, and raised again."""
    on.traffic(processes=1, rate=400, timeout_s=1.0)
    await on.flowing(300)
    for capacity in (30, 900):
        await set_capacity(on, capacity)
        await on.flowing(100)


async def set_capacity(on: FaultHarness, capacity: int) -> None:
    specs = [replace(spec, capacity=capacity) for spec in servers.units(**ROOM)]
    await servers.apply(on.servers[0].address, specs)


async def orphaned(on: FaultHarness) -> None:
    """The session goes while its provisioner works."""
    on.traffic(processes=1, rate=400)
    await on.flowing(300)
    assert on.store is not None
    await on.store.commit(Txn(then=[Delete(keys.SESSIONS, prefix=True)]))
    await on.flowing(300)


async def reclaimed(on: FaultHarness) -> None:
    """Another provisioner begins, and settles whom it thinks dead. Few clients, because a batch
    under way is in a settlement's way."""
    on.traffic(processes=1, rate=80)
    await on.flowing(160)
    await on.serve(1, program=on.servers[0].program)
    await on.flowing(240)


async def moved(on: FaultHarness) -> None:
    """A unit is drained while its clients come, ask and go."""
    on.traffic(processes=1, rate=400, timeout_s=1.0)
    await on.flowing(400)
    for unit in ("dublin", "virginia"):
        for method, request in (
            ("DrainUnit", fleet.DrainUnitRequest(unit_id=unit, rate_per_s=400)),
            ("UndrainUnit", fleet.UndrainUnitRequest(unit_id=unit)),
        ):
            async with grpc.aio.insecure_channel(on.servers[0].address) as channel:
                stub = fleet_grpc.FleetServiceStub(channel)
                await getattr(stub, method)(request, timeout=30)
            await on.flowing(400)


CASES = [
    pytest.param("drop_compare_of_absence", ordinary, "P2", "assigned twice", id="absence"),
    pytest.param("skip_release_of_usage", ordinary, "ledger", "the books say", id="release"),
    pytest.param("lose_acknowledged_writes", ordinary, "P1", "never shows", id="ack",
                 marks=slow),
    pytest.param("drop_compare_of_session", orphaned, "ledger", "without session", id="session",
                 marks=slow),
    pytest.param("drop_compare_of_fence", crowded, "ledger", "under a fence", id="fence",
                 marks=slow),
    pytest.param("grant_what_is_not_free", crowded, "ledger", "beyond", id="grant", marks=slow),
    pytest.param("reuse_epoch", moved, "P2", "assigned twice", id="epoch"),
    pytest.param("skip_release_of_source", moved, "ledger", "the books say", id="source"),
    pytest.param("tell_no_unit_of_departures", moved, "P2", "is not told so", id="departure",
                 marks=slow),
    pytest.param("move_whoever_stands_there", moved, "ledger", "the books say", id="client",
                 marks=slow),
    pytest.param("reclaim_live_sessions", reclaimed, "ledger", "lives", id="reclaiming",
                 marks=slow),
]  # fmt: skip


async def run(folder, traffic, *program: str) -> Outcome:
    async with fault_harness(folder, members=1, arguments=FAST) as on:
        await on.serve(1, program=program)
        await on.fleet(ROOM)
        await traffic(on)
        return await on.verdict()


@pytest.mark.parametrize(("bug", "traffic", "promise", "words"), CASES)
@pytest.mark.faults
async def test_the_judge_sees_what_is_missing(tmp_path, bug, traffic, promise, words):
    outcome = await run(tmp_path, traffic, "-m", "tests.faults.broken_server", bug)
    told = outcome.verdict.violations
    assert [v for v in told if v.promise == promise and words in v.what], outcome.verdict


LATE = ("-m", "tests.faults.broken_server", "hear_of_no_operator")


@pytest.mark.parametrize(
    ("traffic", "program"),
    [
        pytest.param(ordinary, ("-m", "provisioner"), id="ordinary"),
        pytest.param(moved, ("-m", "provisioner"), id="moved"),
        pytest.param(crowded, ("-m", "provisioner"), id="crowded", marks=slow),
        pytest.param(crowded, LATE, id="crowded, and late to hear of it", marks=slow),
        pytest.param(orphaned, ("-m", "provisioner"), id="orphaned", marks=slow),
        pytest.param(reclaimed, ("-m", "provisioner"), id="reclaimed", marks=slow),
    ],
)
async def test_with_everything_in_place_it_sees_nothing(tmp_path, traffic, program):
    outcome = await run(tmp_path, traffic, *program)
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.verdict.answers > 300

"""Clients on the move by a policy: the server that moves them is killed (-9) in the middle of the
job, and in the middle of the one that brings them back.

Another server carries each job on: nobody beyond the plan, nobody twice, nobody lost; and who was
moved is where he was once all is taken back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import pytest

from control_plane import faultpoints, keys
from control_plane.store.port import range_all
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.policy.v1 import policy_pb2 as pb
from homeport.api.policy.v1 import policy_pb2_grpc
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment, split_key
from tests.faults.settled_clients import call, settle
from tests.support.fault_harness import FaultHarness, FaultServer, fault_harness

FAST = ("--heartbeat-interval=10", "--election-timeout=100")
HERE = "policy: 1\n"
AWAY = "policy: 1\nrules: [{name: overseas, forbid: {countries: [IE]}}]\n"
CLIENTS, PLANNED = 800, 600
MAY_STAY = 250  # were counted before they went, and had not gone yet
AFTER = 150  # moves that a job makes before it dies
PASSINGS = {"moves.commit.before": AFTER, "moves.commit.after": AFTER}
ENDS_WITHIN_S = 120.0
# What a job of a policy passes: it hands nothing over, for these units have no agents.
LABELS = tuple(label for label in faultpoints.MOVING if "handoff" not in label)


class Policies:
    """The tenant's, applied and moved by at one server."""

    def __init__(self, on: FaultHarness) -> None:
        self._on = on
        self.version = 0

    async def apply(self, document: str) -> int:
        request = pb.ApplyPolicyRequest(document=document, base_version=self.version)
        stub = policy_pb2_grpc.PolicyServiceStub
        applied = await call(self._on.servers[0], "ApplyPolicy", request, stub)
        self.version = applied.policy.version
        return self.version

    async def killed(self, request: pb.MoveByPolicyRequest, label: str) -> fleet.MoveJob:
        """The job, which a server began that died at `label`, once it has ended."""
        survivor = self._on.servers[0]
        armed = {faultpoints.VARIABLE: f"{label}:{PASSINGS.get(label, 1)}"}
        victim = await self._on.serve_one(environment=armed)
        survivor.freeze()  # so that it is the other one that takes the job
        try:
            stub = policy_pb2_grpc.PolicyServiceStub
            job = (await call(victim, "MoveByPolicy", request, stub)).job
            await self._on.until(lambda: victim.process.poll() is not None, f"death at {label}")
        finally:
            survivor.thaw()
        self._on.servers.remove(victim)
        return await ended(survivor, job.job_id)


async def ended(server: FaultServer, job_id: str) -> fleet.MoveJob:
    end = time.monotonic() + ENDS_WITHIN_S
    while time.monotonic() < end:
        request = fleet.ListMoveJobsRequest(with_ended=True)
        jobs = {one.job_id: one for one in (await call(server, "ListMoveJobs", request)).jobs}
        if jobs[job_id].state == fleet.MOVE_JOB_STATE_DONE:
            return jobs[job_id]
        await asyncio.sleep(0.2)
    raise AssertionError(f"job {job_id} did not end within {ENDS_WITHIN_S:.0f} s: {jobs[job_id]}")


async def records(on: FaultHarness) -> Mapping[str, AssignmentRecord]:
    """Of all clients, as of one revision."""
    assert on.store is not None
    page = await range_all(on.store, keys.ASSIGNMENTS)
    return {split_key(pair.key)[1]: decode_assignment(pair.value) for pair in page.items}


def moved_by(found: Mapping[str, AssignmentRecord], job: str) -> set[str]:
    return {name for name, one in found.items() if one.why is not None and one.why.job == job}


async def there_and_back(on: FaultHarness, policies: Policies, label: str, number: int) -> int:
    """How many were moved, and came back."""
    await policies.apply(HERE)
    await settle(on, [f"m{number}-{n}" for n in range(CLIENTS)])
    before = await records(on)
    version = await policies.apply(AWAY)
    way = pb.PolicyWay(from_unit_id="dublin", to_unit_id="virginia", clients=PLANNED)
    there = pb.MoveByPolicyRequest(policy_version=version, plan=[way], rate_per_s=1_500)
    job = await policies.killed(there, label)
    after = await records(on)
    moved = moved_by(after, job.job_id)
    print(label, job.moved, len(moved))
    assert PLANNED - MAY_STAY <= len(moved) <= job.moved <= PLANNED
    settled = {name for name in before if name.startswith("m")}  # others come and go
    for name in moved & settled:
        assert (before[name].unit, after[name].unit) == ("dublin", "virginia")
        assert after[name].epoch == before[name].epoch + 1, f"{name} moved twice"
    assert all(after[name].epoch == before[name].epoch for name in settled - moved)

    await policies.apply(HERE)  # by which they may live where they were
    back = pb.MoveByPolicyRequest(undo_version=version, rate_per_s=1_500)
    undone = await policies.killed(back, label)
    home = await records(on)
    assert not moved_by(home, job.job_id)
    assert undone.kept == 0
    for name in moved & settled:
        assert home[name].unit == "dublin"
        assert home[name].epoch == after[name].epoch + 1, f"{name} moved back twice"
    return len(moved)


async def through(folder, record, fault: str, labels: tuple[str, ...]) -> None:
    room = {"dublin": 20_000, "virginia": 20_000, "singapore": 20_000, "mumbai": 20_000}
    async with fault_harness(folder, members=1, arguments=FAST) as on:
        await on.serve(1)
        await on.fleet(room)
        policies, moved = Policies(on), 0
        on.traffic(processes=1, rate=50)
        for number, label in enumerate(labels):
            moved += await there_and_back(on, policies, label, number)
        outcome = await on.verdict()
    record(fault, outcome, note=f"{outcome.verdict.moves:,} moves, there and back")
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors
    assert outcome.verdict.moves >= 2 * moved


@pytest.mark.faults
@pytest.mark.timeout(900)
async def test_a_server_that_dies_moving_by_a_policy_keeps_to_the_plan(tmp_path, record):
    await through(
        tmp_path, record,
        "provisioner that moves clients by a policy killed (-9) at each fault point", LABELS,
    )  # fmt: skip


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_a_server_that_dies_in_the_middle_of_a_policys_job_keeps_to_the_plan(
    tmp_path, record
):
    """The short form of the same: some have gone, and nothing says how many."""
    await through(
        tmp_path, record,
        "provisioner that moves clients by a policy killed (-9) in the middle of the job",
        ("moves.commit.after",),
    )  # fmt: skip

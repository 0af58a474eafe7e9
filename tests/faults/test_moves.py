"""Clients on the move: a server that moves them is killed (-9) at each labelled point of its
path, and a unit of 100,000 clients is drained under the traffic of others (P7).

Another server carries the job on from its last mark; nobody is lost, doubled or moved twice
at one epoch, and whoever asks is answered.
"""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

import grpc
import pytest

from control_plane import faultpoints
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.fleet.v1 import fleet_pb2_grpc as fleet_grpc
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from homeport.api.tenancy.v1 import tenancy_pb2_grpc as tenancy_grpc
from tests.faults.settled_clients import call, settle
from tests.support import servers
from tests.support.fault_harness import FaultHarness, Outcome, fault_harness

FAST = ("--heartbeat-interval=10", "--election-timeout=100")
RUNNING_S = 120.0
# How often a point is passed before it kills: deep enough in the job to have something to lose.
PASSINGS = {"moves.commit.before": 400, "moves.commit.after": 400, "moves.handoff.before": 5,
            "moves.handoff.after": 5}  # fmt: skip


async def reprovision(on: FaultHarness, server: servers.Server, policy: str) -> None:
    tenant = tenancy.Tenant(
        tenant="default", reprovision=tenancy.Reprovision.Value(f"REPROVISION_{policy}")
    )
    await call(
        server, "ApplyTenant", tenancy.ApplyTenantRequest(tenant=tenant),
        tenancy_grpc.TenantServiceStub,
    )  # fmt: skip


async def drained(server: servers.Server, unit: str, within_s: float = RUNNING_S) -> fleet.MoveJob:
    """The job of the unit's drain, once that is over."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        request = fleet.ListMoveJobsRequest(with_ended=True)
        jobs = (await call(server, "ListMoveJobs", request)).jobs
        for job in jobs:
            if job.unit_id == unit and job.state == fleet.MOVE_JOB_STATE_DONE:
                return job
        await asyncio.sleep(0.2)
    raise AssertionError(f"unit {unit} was not drained within {within_s:.0f} s: {jobs}")


async def die_moving(on: FaultHarness, label: str, unit: str) -> None:
    """A server armed with `label` begins to drain `unit` and dies; a survivor goes on."""
    handing = label.startswith("moves.handoff")
    armed = {faultpoints.VARIABLE: f"{label}:{PASSINGS.get(label, 1)}"}
    survivor = on.servers[0]
    if handing:
        await reprovision(on, survivor, "MOVE_WITH_STATE")
    victim = await on.serve_one(environment=armed)
    survivor.freeze()  # so that it is the other one that takes the job
    try:
        request = fleet.DrainUnitRequest(unit_id=unit, rate_per_s=20 if handing else 1_500)
        await call(victim, "DrainUnit", request)
        await on.until(lambda: victim.process.poll() is not None, f"death at {label}")
    finally:
        survivor.thaw()
    if handing:
        # No agent answers for these units, so no state would ever go.
        await reprovision(on, survivor, "KEEP")
    on.servers.remove(victim)
    job = await drained(survivor, unit)
    assert job.moved <= job.total
    await call(survivor, "UndrainUnit", fleet.UndrainUnitRequest(unit_id=unit))


async def through(folder, record, fault: str, labels: tuple[str, ...]) -> None:
    room = {"dublin": 20_000, "virginia": 20_000, "singapore": 20_000, "mumbai": 20_000}
    async with fault_harness(folder, members=1, arguments=FAST) as on:
        await on.serve(1)
        await on.fleet(room)
        resumed = {}
        on.traffic(processes=1, rate=100)
        for number, label in enumerate(labels):
            await settle(on, [f"m{number}-{n}" for n in range(800)])
            began = time.monotonic()
            await die_moving(on, label, "dublin")
            resumed[label] = round(time.monotonic() - began, 1)
            print(label, resumed[label])
        outcome = await on.verdict()
    record(fault, outcome, note=f"{outcome.verdict.moves:,} moves")
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors
    assert outcome.verdict.moves >= 800 * len(labels)


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_a_server_that_dies_moving_clients_loses_nobody(tmp_path, record):
    await through(
        tmp_path, record, "provisioner that moves clients killed (-9) at each fault point",
        faultpoints.MOVING,
    )  # fmt: skip


@pytest.mark.faults
async def test_a_server_that_dies_after_moving_some_loses_nobody(tmp_path, record):
    """The short form of the same: moves were written, and no mark of them."""
    await through(
        tmp_path, record, "provisioner that moves clients killed (-9) after a move",
        ("moves.commit.after",),
    )  # fmt: skip


# -- P7 ----------------------------------------------------------------------------------

CLIENTS = 100_000
OTHERS = 500.0  # requests a second
WARM_S = 8.0
# The drain is paused again and again: a machine that is slow for a while is so for both.
CALM_S, DRAINING_S = 10.0, 20.0
SETTLING_S = 1.0  # after each of these changes, counted for neither
DRAINED_WITHIN_S = 400.0
RATIO = 2.0
RUSHED = ("-m", "tests.faults.broken_server", "move_in_a_rush")


class Drained(NamedTuple):
    """How it went for everybody else. p99 in ms, of calls begun while clients were moved, and
    while the drain had not begun or was paused."""

    outcome: Outcome
    moved: int
    moving_s: float
    calm_ms: float
    drain_ms: float

    @property
    def note(self) -> str:
        return (
            f"{self.moved:,} moves in {self.moving_s:.0f} s; p99 of others {self.drain_ms:.1f} "
            f"ms, {self.calm_ms:.1f} ms in the pauses"
        )


class Operator:
    """Drains a unit in stretches. `calm` and `draining` are what it has seen, monotonic s."""

    def __init__(self, channel: grpc.aio.Channel, unit: str) -> None:
        self._stub = fleet_grpc.FleetServiceStub(channel)
        self._unit = unit
        self.job = fleet.MoveJob()
        self.calm: list[tuple[float, float]] = []
        self.draining: list[tuple[float, float]] = []

    @property
    def done(self) -> bool:
        return self.job.state == fleet.MOVE_JOB_STATE_DONE

    async def drain(self) -> None:
        """Until the unit is empty, with pauses."""
        await self._stretch(CALM_S, self.calm)
        request = fleet.DrainUnitRequest(unit_id=self._unit)
        self.job = (await self._stub.DrainUnit(request, timeout=30.0)).job
        while not self.done:
            await self._stretch(DRAINING_S, self.draining)
            await self._turn(fleet.MOVE_JOB_STATE_PAUSED)
            await self._stretch(CALM_S, self.calm)
            await self._turn(fleet.MOVE_JOB_STATE_RUNNING)

    async def _stretch(self, length_s: float, into: list[tuple[float, float]]) -> None:
        await asyncio.sleep(SETTLING_S)
        began = time.monotonic()
        while time.monotonic() < began + length_s and not self.done:
            await asyncio.sleep(1.0)
            if into is self.draining:
                await self._look()
        into.append((began, time.monotonic()))

    async def _look(self) -> None:
        request = fleet.ListMoveJobsRequest(with_ended=True)
        jobs = (await self._stub.ListMoveJobs(request, timeout=30.0)).jobs
        (self.job,) = (job for job in jobs if job.job_id == self.job.job_id)

    async def _turn(self, state: fleet.MoveJobState.ValueType) -> None:
        if not self.done:
            request = fleet.ControlMoveJobRequest(job_id=self.job.job_id, state=state)
            try:
                self.job = (await self._stub.ControlMoveJob(request, timeout=30.0)).job
            except grpc.aio.AioRpcError:
                await self._look()
                assert self.done  # it ended in the meantime; anything else is an error


async def drain_among_others(folder, clients: int, program=("-m", "provisioner")) -> Drained:
    """The same clients ask at the same rate while the unit drains and while that is paused, of
    the same two servers; clients of that unit are among them, and are moved when they ask."""
    room = {"dublin": 120_000, "virginia": 120_000, "singapore": 120_000, "mumbai": 120_000}
    async with fault_harness(folder, members=1) as on:
        await on.serve(2, program=program)
        await on.fleet(room)
        names = [f"p7-{n:06d}" for n in range(clients)]
        await settle(on, names)
        asking = tuple(names[:: clients // 2_000])
        on.traffic(processes=1, rate=OTHERS / 2, clients=asking)
        on.traffic(processes=1, rate=OTHERS / 2)
        await asyncio.sleep(WARM_S)
        async with grpc.aio.insecure_channel(on.servers[0].address) as channel:
            operator = Operator(channel, "dublin")
            async with asyncio.timeout(DRAINED_WITHIN_S):
                await operator.drain()
        outcome = await on.verdict()
    told = outcome.measured
    return Drained(
        outcome,
        moved=operator.job.moved,
        moving_s=sum(end - began + SETTLING_S for began, end in operator.draining),
        calm_ms=told.p99_s(operator.calm) * 1e3,
        drain_ms=told.p99_s(operator.draining) * 1e3,
    )


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_draining_a_hundred_thousand_clients_hurts_nobody_else(tmp_path, record):
    """P7."""
    went = await drain_among_others(tmp_path, CLIENTS)
    outcome = went.outcome
    record("100,000 clients drained off a unit under 500 requests/s", outcome, note=went.note,
           p99_calm_ms=round(went.calm_ms, 2), p99_drain_ms=round(went.drain_ms, 2),
           drained_s=round(went.moving_s, 1))  # fmt: skip
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0, outcome.measured.errors
    assert outcome.verdict.moves >= CLIENTS
    assert went.drain_ms <= RATIO * went.calm_ms, went.note


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_without_its_pace_a_drain_is_felt_by_everybody(tmp_path):
    """What P7 stands on, taken out: moves come as fast as they can."""
    went = await drain_among_others(tmp_path, CLIENTS // 2, RUSHED)
    assert went.drain_ms > RATIO * went.calm_ms, went.note

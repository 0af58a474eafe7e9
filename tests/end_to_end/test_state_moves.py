"""Clients that move with their state: two servers over etcd, and the agents of two units as
processes with folders of their own. Where the state cannot go the client stays, and says why."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import grpc

from deployment_units.services.state.folder import FolderState
from deployment_units.services.state.port import read_state, replace_state
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from homeport.api.unit.v1 import unit_pb2, unit_pb2_grpc
from tests.end_to_end.fleet_harness import WAIT_S, FleetHarness, fleet_harness, state_is
from tests.support.agent_processes import unit_agent

CLIENTS = 12
NAMES = [f"client-{n:04d}" for n in range(CLIENTS)]
LARGE = "client-0003"  # has more than the other unit takes
MOST_BYTES = 600_000


async def job_of(on: FleetHarness, good) -> fleet.MoveJob:
    """The drain of dublin, once it is as wanted."""
    async with asyncio.timeout(WAIT_S):
        while True:
            request = fleet.ListMoveJobsRequest(with_ended=True)
            for job in (await on.units.ListMoveJobs(request, timeout=WAIT_S)).jobs:
                if job.unit_id == "dublin" and good(job):
                    return job
            await asyncio.sleep(0.1)


async def kept(state: FolderState) -> dict[str, bytes]:
    """What a unit keeps of the clients."""
    read = {name: await read_state(state, "default", name) for name in NAMES}
    return {name: data for name, data in read.items() if data}


async def admit(endpoint: str, ticket: str) -> unit_pb2.AdmitResponse:
    async with grpc.aio.insecure_channel(endpoint) as channel:
        stub = unit_pb2_grpc.UnitServiceStub(channel)
        return await stub.Admit(unit_pb2.AdmitRequest(ticket=ticket), timeout=WAIT_S)


async def test_a_drained_units_clients_take_their_state_along(own_etcd, tmp_path: Path) -> None:
    states = {
        name: os.urandom(700_000 if name == LARGE else 1 + place * 40_000)
        for place, name in enumerate(NAMES)
    }
    # Made before the agents begin, and only read from then on.
    there, here = (FolderState(tmp_path / "state" / unit) for unit in ("dublin", "virginia"))
    for name, data in states.items():
        await replace_state(there, "default", name, 1, data)
    state = (f"--state-dir={tmp_path / 'state'}",)
    async with fleet_harness(own_etcd().url, tmp_path) as on:
        addresses = [server.address for server in on.running]
        policy = tenancy.Tenant(tenant="default", reprovision=tenancy.REPROVISION_MOVE_WITH_STATE)
        await on.tenants.ApplyTenant(tenancy.ApplyTenantRequest(tenant=policy), timeout=WAIT_S)
        async with unit_agent(tmp_path, *addresses, arguments=state) as dublin:
            await on.until("dublin", state_is(fleet.UNIT_STATE_ACTIVE))
            await on.fill(CLIENTS)
            tickets = {name: (await on.provision(name)).ticket for name in states}
            small = f"--max-state-bytes={MOST_BYTES}"
            async with unit_agent(
                tmp_path, *addresses, unit="virginia", arguments=(*state, small)
            ) as virginia:
                await on.until("virginia", state_is(fleet.UNIT_STATE_ACTIVE))
                await on.units.DrainUnit(fleet.DrainUnitRequest(unit_id="dublin"), timeout=WAIT_S)
                stuck = await job_of(on, lambda job: job.kept and job.moved == CLIENTS - 1)
                assert stuck.kept == 1
                assert "virginia" in stuck.message
                arrived = await kept(here)
                assert arrived == {name: data for name, data in states.items() if name != LARGE}
                async with asyncio.timeout(WAIT_S):
                    while set(await kept(there)) != {LARGE}:  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
                stays = await on.provision(LARGE)
                assert (stays.assignment.unit_id, stays.assignment.epoch) == ("dublin", 1)
                assert (await admit(dublin, stays.ticket)).admitted
                gone = await admit(dublin, tickets["client-0001"])
                assert gone.reason == unit_pb2.ADMIT_REASON_STALE_EPOCH
                assert gone.redirect.unit_id == "virginia"
                moved = await on.provision("client-0001")
                assert (moved.assignment.unit_id, moved.assignment.epoch) == ("virginia", 2)
                assert (await admit(virginia, moved.ticket)).admitted
            async with unit_agent(
                tmp_path, *addresses, unit="virginia", arguments=state
            ):  # takes any size
                await job_of(on, lambda job: job.state == fleet.MOVE_JOB_STATE_DONE)
                assert await kept(here) == states
                last = await on.provision(LARGE)
                assert (last.assignment.unit_id, last.assignment.epoch) == ("virginia", 2)
            await on.until("dublin", lambda unit: unit.clients == 0)
        await on.judged()

"""Clients that move with their state: two servers over etcd, and the agents of two units as
processes with folders of their own. Where the state cannot go the client stays, and says why."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from deployment_units.client_state.folder import FolderState
from deployment_units.client_state.port import content, keep
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from homeport.api.unit.v1 import unit_pb2, unit_pb2_grpc
from tests.end_to_end.test_drain import WAIT_S, Stack, stack, state_is

CLIENTS = 12
NAMES = [f"client-{n:04d}" for n in range(CLIENTS)]
LARGE = "client-0003"  # has more than the other unit takes
MOST_BYTES = 600_000
PLACES = {"dublin": (53.3, -6.3, "IE"), "virginia": (38.9, -77.4, "US")}


@asynccontextmanager
async def agent(folder: Path, unit: str, addresses: list[str], *more: str) -> AsyncIterator[str]:
    """One unit's agent; where it answers."""
    latitude, longitude, country = PLACES[unit]
    file, ready = folder / f"{unit}.yaml", folder / f"{unit}.json"
    file.write_text(
        f"units:\n  - {{id: {unit}, endpoint: '{unit}.example.net:443', "
        f"position: {{latitude: {latitude}, longitude: {longitude}}}, country: {country}, "
        "capacity: 1000}\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deployment_units.agent", f"--units={file}",
        f"--server={','.join(addresses)}", f"--ready-file={ready}", "--ttl-s=3",
        f"--state-dir={folder / 'state'}", *more,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(WAIT_S):
            while not ready.exists():  # noqa: ASYNC110 - the other side is a process
                await asyncio.sleep(0.05)
        yield json.loads(ready.read_text())[unit]
    finally:
        process.terminate()
        await process.wait()


async def job_of(on: Stack, good) -> fleet.MoveJob:
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
    read = {name: await content(state, "default", name) for name in NAMES}
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
    there, here = (FolderState(tmp_path / "state" / unit) for unit in PLACES)
    for name, data in states.items():
        await keep(there, "default", name, 1, data)
    async with stack(own_etcd().url, tmp_path) as on:
        addresses = [server.address for server in on.running]
        policy = tenancy.Tenant(tenant="default", reprovision=tenancy.REPROVISION_MOVE_WITH_STATE)
        await on.tenants.ApplyTenant(tenancy.ApplyTenantRequest(tenant=policy), timeout=WAIT_S)
        async with agent(tmp_path, "dublin", addresses) as dublin:
            await on.until("dublin", state_is(fleet.UNIT_STATE_ACTIVE))
            await on.fill(CLIENTS)
            tickets = {name: (await on.provision(name)).ticket for name in states}
            small = f"--max-state-bytes={MOST_BYTES}"
            async with agent(tmp_path, "virginia", addresses, small) as virginia:
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
            async with agent(tmp_path, "virginia", addresses):  # takes any size
                await job_of(on, lambda job: job.state == fleet.MOVE_JOB_STATE_DONE)
                assert await kept(here) == states
                last = await on.provision(LARGE)
                assert (last.assignment.unit_id, last.assignment.epoch) == ("virginia", 2)
            await on.until("dublin", lambda unit: unit.clients == 0)
        await on.judged()

"""A unit with accounts is drained: they arrive at the other one the same to the byte, also where
is killed (-9) beside its commit, and the unit they left says where they are. Servers over etcd, the
agents of two units as processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from control_plane import faultpoints
from deployment_units.agent.keeping import PARTS, wall_ms
from deployment_units.services.state.accounts import AccountState
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.port import read_state
from homeport.api.communication.v1 import profile_pb2 as pb
from homeport.api.communication.v1 import profile_pb2_grpc
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from tests.end_to_end.fleet_harness import WAIT_S, FleetHarness, fleet_harness, state_is
from tests.support.agent_processes import unit_agent

CLIENTS = 8
NAMES = [f"client-{n:04d}" for n in range(CLIENTS)]


def shown(ticket: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {ticket}"),)


@asynccontextmanager
async def profiles(endpoint: str) -> AsyncIterator[profile_pb2_grpc.ProfileServiceStub]:
    async with grpc.aio.insecure_channel(endpoint) as channel:
        yield profile_pb2_grpc.ProfileServiceStub(channel)


async def furnish(endpoint: str, tickets: dict[str, str]) -> dict[str, pb.Settings]:
    """What each account says of itself."""
    said = {}
    async with profiles(endpoint) as stub:
        for place, (name, ticket) in enumerate(tickets.items()):
            to = {"timeout": WAIT_S, "metadata": shown(ticket)}
            contacts = pb.ChangeContactsRequest(add=[f"{name}-{n}" for n in range(100 * place)])
            await stub.ChangeContacts(contacts, **to)
            mail = pb.AddIdentifierRequest(uri=f"mailto:{name}@talk.example", label="work")
            await stub.AddIdentifier(mail, **to)
            said[name] = await stub.UpdateProfile(pb.UpdateProfileRequest(name=name), **to)
    return said


async def settings(endpoint: str, ticket: str) -> pb.Settings:
    async with profiles(endpoint) as stub:
        request = pb.GetSettingsRequest()
        return await stub.GetSettings(request, timeout=WAIT_S, metadata=shown(ticket))


async def kept(folder: Path) -> dict[str, bytes]:
    """The accounts of a unit whose agent does not run."""
    database = UnitDatabase(folder, PARTS, monotonic=time.monotonic)
    try:
        state = AccountState(database, wall_ms=wall_ms)
        await state.delete_gone()
        read = {name: await read_state(state, "default", name) for name in NAMES}
        return {name: stream for name, stream in read.items() if stream}
    finally:
        await database.close()


async def drained(on: FleetHarness) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            request = fleet.ListMoveJobsRequest(with_ended=True)
            for job in (await on.units.ListMoveJobs(request, timeout=WAIT_S)).jobs:
                if job.unit_id == "dublin" and job.state == fleet.MOVE_JOB_STATE_DONE:
                    return
            await asyncio.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["", *faultpoints.IMPORTING])
async def test_accounts_of_a_drained_unit(own_etcd, tmp_path: Path, point: str) -> None:
    state = (f"--state-dir={tmp_path / 'state'}", "--accounts")
    there, here = (tmp_path / "state" / unit for unit in ("dublin", "virginia"))
    async with fleet_harness(own_etcd().url, tmp_path) as on:
        addresses = [server.address for server in on.running]
        policy = tenancy.Tenant(tenant="default", reprovision=tenancy.REPROVISION_MOVE_WITH_STATE)
        await on.tenants.ApplyTenant(tenancy.ApplyTenantRequest(tenant=policy), timeout=WAIT_S)
        async with unit_agent(tmp_path, *addresses, arguments=state) as dublin:
            await on.until("dublin", state_is(fleet.UNIT_STATE_ACTIVE))
            await on.fill(CLIENTS)
            tickets = {name: (await on.provision(name)).ticket for name in NAMES}
            said = await furnish(dublin, tickets)
        before = await kept(there)  # reading freezes them, as an export does
        assert list(before) == NAMES
        async with unit_agent(tmp_path, *addresses, arguments=state) as dublin:
            await on.until("dublin", state_is(fleet.UNIT_STATE_ACTIVE))
            if point:
                async with unit_agent(
                    tmp_path, *addresses, unit="virginia", arguments=state, fault_point=f"{point}:3"
                ):
                    await on.until("virginia", state_is(fleet.UNIT_STATE_ACTIVE))
                    await on.units.DrainUnit(
                        fleet.DrainUnitRequest(unit_id="dublin"), timeout=WAIT_S
                    )
            async with unit_agent(
                tmp_path, *addresses, unit="virginia", arguments=state
            ) as virginia:
                await on.until("virginia", state_is(fleet.UNIT_STATE_ACTIVE))
                if not point:
                    await on.units.DrainUnit(
                        fleet.DrainUnitRequest(unit_id="dublin"), timeout=WAIT_S
                    )
                await drained(on)
                for name in NAMES:
                    home = await on.provision(name)
                    assert (home.assignment.unit_id, home.assignment.epoch) == ("virginia", 2)
                    assert await settings(virginia, home.ticket) == said[name]
                    with pytest.raises(grpc.aio.AioRpcError) as gone:
                        await settings(dublin, tickets[name])
                    assert gone.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert await kept(there) == {}
        assert await kept(here) == before
        await on.judged()

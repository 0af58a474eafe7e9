"""A unit is drained while its people write and take names, and the unit that they come to dies
around the commit of an import: every message and every name is there once, as without a move."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import grpc
import pytest

from homeport.api.communication.v1 import profile_pb2 as profile
from homeport.api.communication.v1 import profile_pb2_grpc as profile_grpc
from homeport.api.directory.v1 import directory_pb2 as names
from homeport.api.directory.v1 import directory_pb2_grpc as names_grpc
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.fleet.v1 import fleet_pb2_grpc as fleet_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as provisioning
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as provisioning_grpc
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from homeport.api.tenancy.v1 import tenancy_pb2_grpc as tenancy_grpc
from tests.support.account_writers import Writers, message_id, told_where
from tests.support.agent_processes import unit_agent
from tests.support.fault_harness import Outcome, fault_harness
from tests.support.judge.names import history_of

PEOPLE = [f"writer-{n}" for n in range(6)]
MESSAGES = 25
WAIT_S = 120.0
IRISH = "81.2.69.142"
FAST = ("--heartbeat-interval=10", "--election-timeout=100")
WHAT = {
    "": "a unit drained while its people write and take names",
    "import.flip.before": "the same; the unit they come to killed (-9) before an import counts",
    "import.flip.after": "the same; killed (-9) after it counts, and nobody was told",
}


class Fleet:
    """What the test asks of the control plane."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._units = fleet_grpc.FleetServiceStub(channel)
        self._clients = provisioning_grpc.ProvisioningServiceStub(channel)
        self._tenants = tenancy_grpc.TenantServiceStub(channel)

    async def move_with_state(self) -> None:
        policy = tenancy.Tenant(tenant="default", reprovision=tenancy.REPROVISION_MOVE_WITH_STATE)
        await self._tenants.ApplyTenant(tenancy.ApplyTenantRequest(tenant=policy), timeout=30)

    async def provision(self, client_id: str) -> provisioning.ProvisionResponse:
        request = provisioning.ProvisionRequest(client_id=client_id, address=IRISH)
        return await self._clients.Provision(request, timeout=30)

    async def drain(self) -> None:
        await self._units.DrainUnit(fleet.DrainUnitRequest(unit_id="dublin"), timeout=30)

    async def active(self, unit: str) -> None:
        async def looked() -> bool:
            asked = fleet.GetUnitRequest(unit_id=unit)
            return (await self._units.GetUnit(asked, timeout=30)).state == fleet.UNIT_STATE_ACTIVE

        await until(looked)

    async def drained(self) -> None:
        async def looked() -> bool:
            asked = fleet.ListMoveJobsRequest(with_ended=True)
            jobs = (await self._units.ListMoveJobs(asked, timeout=30)).jobs
            return fleet.MOVE_JOB_STATE_DONE in {
                one.state for one in jobs if one.unit_id == "dublin"
            }

        await until(looked)


async def until(looked: Callable[[], Awaitable[bool]]) -> None:
    """Waits for what others do; a store that is slow is asked again."""
    async with asyncio.timeout(WAIT_S):
        while True:
            with suppress(grpc.aio.AioRpcError):
                if await looked():
                    return
            await asyncio.sleep(0.1)


@pytest.mark.faults
@pytest.mark.timeout(400)
@pytest.mark.parametrize("point", list(WHAT))
async def test_people_who_are_moved_lose_nothing_and_have_nothing_twice(tmp_path, record, point):
    state = (f"--state-dir={tmp_path / 'state'}", "--accounts")
    async with fault_harness(tmp_path, members=1, arguments=FAST) as on, AsyncExitStack() as agents:
        servers = [server.address for server in await on.serve(2)]
        fleet_of = Fleet(await agents.enter_async_context(grpc.aio.insecure_channel(servers[0])))
        await fleet_of.move_with_state()
        endpoints = {
            "dublin": await agents.enter_async_context(
                unit_agent(tmp_path, *servers, arguments=state)
            )
        }
        await fleet_of.active("dublin")
        writers = Writers(endpoints, fleet_of.provision, servers[1], PEOPLE)
        async with asyncio.timeout(WAIT_S):
            while True:  # the servers have to hear of the unit
                try:
                    await writers.settle()
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.2)
                else:
                    break
        old = {name: home.ticket for name, home in writers.homes.items()}
        over = asyncio.Event()
        writing = asyncio.create_task(writers.write(over.is_set, MESSAGES))
        async with asyncio.timeout(WAIT_S):
            while min(writers.sent[one] for one in PEOPLE) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        if point:
            async with unit_agent(
                tmp_path, *servers, unit="virginia", arguments=state, fault_point=f"{point}:3"
            ) as endpoints["virginia"]:
                await fleet_of.active("virginia")
                await fleet_of.drain()
        endpoints["virginia"] = await agents.enter_async_context(
            unit_agent(tmp_path, *servers, unit="virginia", arguments=state)
        )
        await fleet_of.active("virginia")
        if not point:
            await fleet_of.drain()
        await fleet_of.drained()
        over.set()
        await writing
        wrong = await miscounted(writers)
        gone = await asyncio.gather(*(where_to(endpoints["dublin"], old[name]) for name in PEOPLE))
        homes = (await on.verdict()).verdict
        assert on.store is not None
        found = await history_of(on.store)
    found.verdict.violations += homes.violations
    found.verdict.counts += homes.counts
    found.verdict.revisions = max(found.verdict.revisions, homes.revisions)
    total = sum(writers.sent.values())
    record(
        WHAT[point], Outcome(verdict=found.verdict, measured=writers.measured),
        note=f"{total:,} messages and {found.counts('writer-').held} handles counted",
    )  # fmt: skip
    assert wrong == []
    assert found.verdict.broken == 0, found.verdict
    assert writers.measured.failed == 0, writers.measured.errors
    assert set(gone) == {("STALE_EPOCH", "virginia", "2")}
    assert found.counts("writer-").held == len(PEOPLE)


async def miscounted(writers: Writers) -> list[str]:
    """Where what is kept is not what was written: each account's own messages, once each and in
    their order; others' messages to it, none twice; its profile and its handle."""
    wrong = []
    async with grpc.aio.insecure_channel(writers.directory) as channel:
        directory = names_grpc.DirectoryServiceStub(channel)
        for place, name in enumerate(PEOPLE):
            mine = [one.id for one in await writers.kept(name, place)]
            if mine != [message_id(place, one) for one in range(writers.sent[name])]:
                wrong.append(f"{name} wrote {writers.sent[name]} and has {len(mine)}")
            before = (place - 1) % len(PEOPLE)
            theirs = [one.id for one in await writers.kept(name, before)]
            if len(set(theirs)) != len(theirs):
                wrong.append(f"{name} has a message of another twice")
            said = await writers.ask(
                name, profile_grpc.ProfileServiceStub, "GetSettings", profile.GetSettingsRequest()
            )
            if said.name != f"{name} of old":
                wrong.append(f"{name} is called {said.name!r}")
            asked = names.GetAccountRequest(account=name)
            has = await directory.GetAccount(asked, timeout=30)
            if [one.handle for one in has.handles] != [writers.renamed[name]]:
                wrong.append(f"{name} has {has.handles}, not {writers.renamed[name]}")
            if writers.homes[name].assignment.unit_id != "virginia":
                wrong.append(f"{name} is at {writers.homes[name].assignment.unit_id}")
    return wrong


async def where_to(endpoint: str, ticket: str) -> tuple[str, str, str]:
    """What the unit that an account has left says: the reason, and where it is at home now."""
    async with grpc.aio.insecure_channel(endpoint) as channel:
        stub = profile_grpc.ProfileServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetSettings(
                profile.GetSettingsRequest(), timeout=30,
                metadata=(("authorization", f"Bearer {ticket}"),),
            )  # fmt: skip
    reason, told = told_where(refused.value)
    return reason, told.get("unit_id", ""), told.get("epoch", "")

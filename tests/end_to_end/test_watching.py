"""Moves are heard everywhere: two servers over etcd, agents of two units, and a client that is
drained away, sent on by its former unit, released and given a new home."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, aclosing, asynccontextmanager
from pathlib import Path

import grpc
import pytest

import homeport
from control_plane.store.etcd import EtcdStore
from homeport import AdmitReason, AssignmentChange, AssignmentChangeKind
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.fleet.v1 import fleet_pb2_grpc as fleet_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support import servers
from tests.support.etcd import store_of

WAIT_S = 60.0
FLEET = """
units:
  - id: dublin
    endpoint: dublin.example.net:443
    position: {latitude: 53.3, longitude: -6.3}
    country: IE
    capacity: 1000
  - id: virginia
    endpoint: virginia.example.net:443
    position: {latitude: 38.9, longitude: -77.4}
    country: US
    capacity: 1000
"""
IN_IRELAND = (53.3, -6.3)


@asynccontextmanager
async def agents(folder: Path, *addresses: str) -> AsyncIterator[dict[str, str]]:
    """Both units' agents in one program; where each answers."""
    units, ready = folder / "fleet.yaml", folder / "agents.json"
    units.write_text(FLEET)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deployment_units.agent", f"--units={units}",
        f"--server={','.join(addresses)}", f"--ready-file={ready}", "--ttl-s=3",
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(WAIT_S):
            while not ready.exists():  # noqa: ASYNC110 - the other side is a process
                await asyncio.sleep(0.05)
        yield json.loads(ready.read_text())["units"]
    finally:
        process.terminate()
        await process.wait()


async def soon(watch: homeport.AsyncAssignmentWatch) -> AssignmentChange:
    async with asyncio.timeout(WAIT_S):
        return await anext(watch)


@pytest.mark.parametrize("transport", ["native", pytest.param("grpcio", marks=pytest.mark.slow)])
async def test_a_client_is_followed_from_unit_to_unit(own_etcd, tmp_path: Path, transport) -> None:
    url = own_etcd().url
    async with AsyncExitStack() as stack:
        processes = stack.enter_context(ExitStack())
        one, two = servers.start(processes, tmp_path, url, 2, f"--transport={transport}")
        endpoints = await stack.enter_async_context(agents(tmp_path, two.address, one.address))
        asking = await stack.enter_async_context(homeport.AsyncClient(one.address))
        watching = await stack.enter_async_context(homeport.AsyncClient(two.address))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(one.address))
        store = await stack.enter_async_context(store_of(url))
        operator = fleet_grpc.FleetServiceStub(channel)

        home = await provision(asking, "alice", "dublin")
        await provision(asking, "bob", "dublin")
        watch = await stack.enter_async_context(watching.watch("alice"))
        first = await soon(watch)
        assert first.kind is AssignmentChangeKind.HOME
        assert (first.assignment.unit_id, first.assignment.epoch) == ("dublin", 1)
        begun = asyncio.Event()
        states = asyncio.create_task(
            states_of(two.address, "dublin", fleet.UNIT_STATE_DRAINED, begun)
        )
        async with asyncio.timeout(WAIT_S):
            await begun.wait()

        await operator.DrainUnit(fleet.DrainUnitRequest(unit_id="dublin"), timeout=WAIT_S)
        moved = await soon(watch)
        assert (moved.kind, moved.cause) == (AssignmentChangeKind.MOVED, "drained")
        new = moved.assignment
        assert (new.unit_id, new.endpoint, new.epoch) == ("virginia", endpoints["virginia"], 2)

        # The old unit sends the old ticket on, the new one takes the ticket that the watch told.
        async with (
            homeport.AsyncUnit(endpoints["dublin"]) as old_door,
            homeport.AsyncUnit(endpoints["virginia"]) as new_door,
        ):
            sent_on = await refused(old_door, home.ticket)
            assert sent_on.redirect == homeport.Redirect(
                unit_id="virginia", endpoint=endpoints["virginia"], epoch=2
            )
            assert (await new_door.admit(new.ticket)).admitted
        async with asyncio.timeout(WAIT_S):
            seen = await states
        assert seen[0] in (fleet.UNIT_STATE_JOINING, fleet.UNIT_STATE_ACTIVE)

        assert await asking.release("alice")
        assert (await soon(watch)).kind is AssignmentChangeKind.RELEASED
        again = await provision(asking, "alice", "virginia")
        assigned = await soon(watch)
        assert assigned.kind is AssignmentChangeKind.ASSIGNED
        assert (assigned.assignment.unit_id, assigned.assignment.epoch) == ("virginia", again.epoch)

        await refuses_what_is_compacted(watching, two.address, store)


async def provision(client: homeport.AsyncClient, name: str, unit: str) -> homeport.Assignment:
    """Once the servers have heard of the unit's agent."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                home = await client.provision(name, position=IN_IRELAND)
            except homeport.Refused:
                await asyncio.sleep(0.05)
                continue
            if home.unit_id == unit:
                return home
            await client.release(name)
            await asyncio.sleep(0.05)


async def refused(door: homeport.AsyncUnit, ticket: str) -> homeport.Admission:
    """The unit's answer once it has heard that the client left."""
    async with asyncio.timeout(WAIT_S):
        while (answer := await door.admit(ticket)).admitted:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert answer.reason is AdmitReason.STALE_EPOCH
    return answer


async def states_of(address: str, unit_id: str, until: int, begun: asyncio.Event) -> list[int]:
    """The states that a watcher of the fleet sees a unit go through; `begun`: it has seen one."""
    seen: list[int] = []
    async with grpc.aio.insecure_channel(address) as channel:
        call = fleet_grpc.FleetServiceStub(channel).WatchFleet(fleet.WatchFleetRequest())
        async for message in call:
            seen += [unit.state for unit in message.units if unit.spec.unit_id == unit_id]
            if seen:
                begun.set()
            if seen and seen[-1] == until:
                break
        call.cancel()
    return seen


async def refuses_what_is_compacted(
    client: homeport.AsyncClient, address: str, store: EtcdStore
) -> None:
    """Raw watches from a compacted revision are refused; a watch of the library goes on."""
    async with aclosing(client.watch("bob")) as watch:
        assert (await soon(watch)).kind is AssignmentChangeKind.HOME
    await store.compact((await store.range(b"/", limit=1)).revision)
    async with grpc.aio.insecure_channel(address) as channel:
        for call in (
            pb_grpc.ProvisioningServiceStub(channel).WatchAssignment(
                pb.WatchAssignmentRequest(client_id="bob", known_epoch=2, revision=2),
                timeout=WAIT_S,
            ),
            fleet_grpc.FleetServiceStub(channel).WatchFleet(
                fleet.WatchFleetRequest(revision=2), timeout=WAIT_S
            ),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as told:
                await call.read()
            assert told.value.code() is grpc.StatusCode.OUT_OF_RANGE
            assert "watch again without a revision" in told.value.details()

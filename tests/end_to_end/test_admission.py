"""What a unit lets in while it hears the control plane: nobody who left, and as many as it has
places for. Real servers, a real agent."""

from __future__ import annotations

import asyncio

import grpc
import pytest

import homeport
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.fleet.v1 import fleet_pb2_grpc as fleet_grpc
from tests.support import servers
from tests.support.agent_processes import unit_agent

WAIT_S = 30.0
CLIENTS = 100


async def provisioned(client: homeport.AsyncClient, *names: str) -> dict[str, homeport.Assignment]:
    """Homes, asked for until the server has heard of the unit."""
    homes: dict[str, homeport.Assignment] = {}
    async with asyncio.timeout(WAIT_S):
        for name in names:
            while name not in homes:
                try:
                    homes[name] = await client.provision(name)
                except (homeport.Refused, homeport.Unavailable):
                    await asyncio.sleep(0.05)
    return homes


async def until_refused(door: homeport.AsyncUnit, ticket: str) -> homeport.Admission:
    async with asyncio.timeout(WAIT_S):
        while (answer := await door.admit(ticket)).admitted:  # noqa: ASYNC110 - told by a server
            await asyncio.sleep(0.005)
    return answer


@pytest.mark.parametrize("transport", ["native", pytest.param("grpcio", marks=pytest.mark.slow)])
async def test_a_released_clients_ticket_is_refused_and_a_new_one_of_it_is_not(tmp_path, transport):
    store = f"embedded:{tmp_path / 'store.db'}"
    arguments = (f"--transport={transport}", "--drain-s=0")
    with servers.Server(tmp_path, "server", store, *arguments) as server:
        async with (
            unit_agent(tmp_path, server.address) as endpoint,
            homeport.AsyncClient(server.address) as client,
            homeport.AsyncUnit(endpoint) as door,
        ):
            home = (await provisioned(client, "alice"))["alice"]
            assert (await door.admit(home.ticket)).admitted
            assert await client.release("alice")
            refused = await until_refused(door, home.ticket)
            assert refused.reason is homeport.AdmitReason.STALE_EPOCH
            assert refused.redirect is not None
            assert not refused.redirect.unit_id
            # At once: its next life is another one, whatever the clocks say.
            again = await client.provision("alice")
            assert (await door.admit(again.ticket)).admitted
            assert not (await door.admit(home.ticket)).admitted


async def test_a_unit_refuses_above_its_capacity_and_says_so(tmp_path):
    store = f"embedded:{tmp_path / 'store.db'}"
    with servers.Server(tmp_path, "server", store, "--drain-s=0") as server:
        async with (
            unit_agent(
                tmp_path, server.address, capacity=CLIENTS, arguments=["--capacity-margin=0"]
            ) as endpoint,
            homeport.AsyncClient(server.address) as client,
            homeport.AsyncUnit(endpoint) as door,
            grpc.aio.insecure_channel(server.address) as channel,
        ):
            names = [f"c{n}" for n in range(CLIENTS)]
            homes = await provisioned(client, *names)
            waiting = iter(names[1:])
            assert (await door.admit(homes["c0"].ticket)).admitted
            operator = fleet_grpc.FleetServiceStub(channel)
            request = fleet.GetUnitRequest(unit_id="dublin")
            unit = await operator.GetUnit(request, timeout=WAIT_S)
            smaller = fleet.ApplyUnitRequest(spec=unit.spec)
            smaller.spec.capacity = 1
            smaller.update_mask.paths.append("capacity")
            await operator.ApplyUnit(smaller, timeout=WAIT_S)
            # The agent hears of its capacity with a heartbeat, a second apart.
            while (late := await door.admit(homes[next(waiting)].ticket)).admitted:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            assert late.reason is homeport.AdmitReason.UNIT_FULL
            assert "takes no more" in late.message
            assert (await door.admit(homes["c0"].ticket)).admitted, "who is in stays in"

            async with asyncio.timeout(WAIT_S):
                while not (await operator.GetUnit(request, timeout=WAIT_S)).status.refused_full:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)

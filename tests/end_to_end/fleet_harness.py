"""The harness of fleets: real servers over one etcd, stubs at the first of them, and the judge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.fleet.v1 import fleet_pb2_grpc as fleet_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from homeport.api.tenancy.v1 import tenancy_pb2_grpc as tenancy_grpc
from tests.support import servers
from tests.support.crowd import ask
from tests.support.etcd import store_of
from tests.support.judge.recorder import replay

WAIT_S = 60.0
IRISH = "81.2.69.142"


@dataclass(frozen=True, slots=True)
class FleetHarness:
    """Servers over one etcd, and stubs at the first."""

    url: str
    running: list[servers.Server]
    units: fleet_grpc.FleetServiceStub
    clients: pb_grpc.ProvisioningServiceStub
    tenants: tenancy_grpc.TenantServiceStub

    async def unit(self, unit_id: str) -> fleet.Unit:
        return await self.units.GetUnit(fleet.GetUnitRequest(unit_id=unit_id), timeout=WAIT_S)

    async def provision(self, client_id: str, **more: Any) -> pb.ProvisionResponse:
        request = pb.ProvisionRequest(client_id=client_id, address=IRISH, **more)
        return await self.clients.Provision(request, timeout=WAIT_S)

    async def until(self, unit_id: str, good: Callable[[fleet.Unit], bool]) -> fleet.Unit:
        async with asyncio.timeout(WAIT_S):
            while not good(unit := await self.unit(unit_id)):  # noqa: ASYNC110 - others write
                await asyncio.sleep(0.05)
        return unit

    async def fill(self, count: int, unit: str = "dublin") -> list[str]:
        """New clients near Dublin, all at this unit: asked for until the servers know it."""
        names = [f"client-{n:04d}" for n in range(count)]
        homes: dict[str, str] = {}
        async with asyncio.timeout(WAIT_S):
            while len(homes) < count:
                answers: dict[str, list[pb.ProvisionResult]] = {}
                asking = [(name, IRISH) for name in names if name not in homes]
                await ask(self.running[0].address, asking, answers)
                for name, results in answers.items():
                    if results[-1].WhichOneof("outcome") == "provisioned":
                        homes[name] = results[-1].provisioned.assignment.unit_id
        assert set(homes.values()) == {unit}
        return names

    async def judged(self) -> Any:
        async with store_of(self.url) as store:
            history = await replay(store)
        assert history.verdict.broken == 0, history.verdict
        return history


@asynccontextmanager
async def fleet_harness(
    url: str, folder: Path, *arguments: str, count: int = 2, **room: int
) -> AsyncIterator[FleetHarness]:
    """Starts `count` servers and applies units, where there are any, by name and capacity."""
    with ExitStack() as started:
        running = servers.start(started, folder, url, count, *arguments)
        if room:
            await servers.apply(running[0].address, servers.units(**room))
        async with grpc.aio.insecure_channel(running[0].address) as channel:
            yield FleetHarness(
                url,
                running,
                fleet_grpc.FleetServiceStub(channel),
                pb_grpc.ProvisioningServiceStub(channel),
                tenancy_grpc.TenantServiceStub(channel),
            )


def state_is(state: int) -> Callable[[fleet.Unit], bool]:
    return lambda unit: unit.state == state

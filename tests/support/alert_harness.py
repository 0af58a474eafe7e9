"""What scenarios of alerts share: a stack that Prometheus scrapes, and clients that ask it all the
while."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support.command_line import run_process
from tests.support.fault_harness import FaultHarness, fault_harness
from tests.support.prometheus import Prometheus

UNIT, STEADY = "dublin", "virginia"
ROOM = {UNIT: 1_000, STEADY: 1_000}
DEADLINE_S = 5.0
MOST_UNDER_WAY = 500


@asynccontextmanager
async def watched(
    folder: Path, *arguments: str, faster: int = 1, room: dict[str, int] = ROOM
) -> AsyncIterator[tuple[FaultHarness, Prometheus]]:
    """One server with a fleet, and a Prometheus that scrapes it. faster: as Prometheus."""
    async with fault_harness(folder, members=1) as on:
        (server,) = await on.serve(1, *arguments)
        await on.fleet(room)
        targets = {"homeport": [server.metrics]}
        with Prometheus(folder / "prometheus", targets, faster=faster) as prometheus:
            yield on, prometheus


@asynccontextmanager
async def asking(
    address: str, request_of: Callable[[int], pb.ProvisionRequest], *, rate: float
) -> AsyncIterator[Counter[str]]:
    """Calls a server `rate` times a second, until left, with the requests of 0, 1, 2, …; those
    that would be too many at once are left out. What became of calls, by the name of the status."""
    told: Counter[str] = Counter()

    async def one(stub: pb_grpc.ProvisioningServiceStub, number: int) -> None:
        try:
            await stub.Provision(request_of(number), timeout=DEADLINE_S)
            told["OK"] += 1
        except grpc.aio.AioRpcError as error:
            told[error.code().name] += 1

    async def all_the_while() -> None:
        began, number, under_way = time.monotonic(), 0, set[asyncio.Task[None]]()
        async with (
            grpc.aio.insecure_channel(address) as channel,
            asyncio.TaskGroup() as group,
        ):
            stub = pb_grpc.ProvisioningServiceStub(channel)
            while True:
                if len(under_way) < MOST_UNDER_WAY:
                    task = group.create_task(one(stub, number))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                number += 1
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))

    asks = asyncio.create_task(all_the_while())
    try:
        yield told
    finally:
        asks.cancel()
        await asyncio.gather(asks, return_exceptions=True)


def new_clients(name: str, tenant: str = "") -> Callable[[int], pb.ProvisionRequest]:
    """Another client each time."""
    return lambda number: pb.ProvisionRequest(tenant=tenant, client_id=f"{name}-{number}")


async def operate(on: FaultHarness, *words: str) -> str:
    """`homeport …` at the first server, as operators type it; it has to end well. What it said."""
    server = on.servers[0].address
    ran = await asyncio.to_thread(run_process, *words, "--server", server)
    assert ran.code == 0, ran.out + ran.err
    return ran.out

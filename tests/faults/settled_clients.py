"""Clients that have a home before something befalls them, and calls at one server."""

from __future__ import annotations

import time
from typing import Any

import grpc

from homeport.api.fleet.v1 import fleet_pb2_grpc as fleet_grpc
from tests.support import servers
from tests.support.crowd import ask
from tests.support.fault_harness import FaultHarness

IRISH = "81.2.69.142"


async def settle(on: FaultHarness, names: list[str], *, at: int = 0) -> None:
    """New clients near Dublin, answered by one server."""
    asking = [(name, IRISH) for name in names]
    end = time.monotonic() + 60.0
    while asking:
        assert time.monotonic() < end, f"{len(asking)} clients found no home"
        answers: dict[str, list] = {}
        await ask(on.servers[at].address, asking, answers)
        asking = [one for one in asking if not answers[one[0]][-1].provisioned.assignment.unit_id]


async def call(
    server: servers.Server, method: str, request: Any, stub: Any = fleet_grpc.FleetServiceStub
) -> Any:
    """The answer of one server."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        return await getattr(stub(channel), method)(request, timeout=30.0)

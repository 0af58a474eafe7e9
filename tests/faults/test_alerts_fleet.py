"""Alerts of the fleet's room, and of the rush for it: each is made to happen, and what its runbook
says ends it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support.alert_harness import UNIT, asking, new_clients, operate, watched
from tests.support.prometheus import PROGRAM, ends, fires

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(400),
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed (Debian: prometheus)"),
]

FASTER = 60  # an hour is a minute
LARGE = 1_000_000
STREAMS = 8  # of four thousand clients at a time
BATCH = 1_000
RUSHING = "rush"
LARGER = f"""
units:
  - id: {UNIT}
    endpoint: {UNIT}.example.net:443
    position: {{latitude: 53.3, longitude: -6.3}}
    country: IE
    capacity: {LARGE}
"""


@pytest.mark.fires("HomeportUnitFullSoon")
async def test_a_unit_that_fills_up_is_told_until_its_capacity_is_raised(tmp_path: Path) -> None:
    alert = "HomeportUnitFullSoon"
    fleet = tmp_path / "fleet.yaml"
    async with watched(tmp_path, faster=FASTER, room={UNIT: 2_000}) as (on, prometheus):
        assert alert not in prometheus.firing()
        async with asking(on.servers[0].address, new_clients("new"), rate=40.0) as told:
            await fires(prometheus, alert)
            fleet.write_text(LARGER)
            await operate(on, "units", "apply", str(fleet))
            await ends(prometheus, alert)
            assert told.keys() == {"OK"}


@pytest.mark.fires("HomeportLoadShedding")
async def test_new_clients_that_are_turned_away_are_told_until_their_tenant_asks_for_less(
    tmp_path: Path,
) -> None:
    alert = "HomeportLoadShedding"
    async with watched(tmp_path, faster=FASTER, room={UNIT: 100 * LARGE}) as (on, prometheus):
        await operate(on, "tenants", "apply", RUSHING)
        assert alert not in prometheus.firing()
        async with asyncio.TaskGroup() as group:
            rushing = [
                group.create_task(rush(on.servers[0].address, number)) for number in range(STREAMS)
            ]
            await fires(prometheus, alert)
            await operate(on, "tenants", "apply", RUSHING, "--quota", "batched-clients=1000")
            await ends(prometheus, alert)
            for task in rushing:
                task.cancel()


async def rush(address: str, stream: int) -> None:
    """New clients of a tenant in batches, for ever; one stream after another."""
    numbers = itertools.count()

    async def batches() -> AsyncIterator[pb.ProvisionManyRequest]:
        while True:
            clients = [pb.ClientOrigin(client_id=f"{stream}-{next(numbers)}") for _ in range(BATCH)]
            yield pb.ProvisionManyRequest(tenant=RUSHING, without_tickets=True, clients=clients)

    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        while True:
            try:
                async for _ in stub.ProvisionMany(batches()):
                    pass
            except grpc.aio.AioRpcError:  # over its quota
                await asyncio.sleep(0.2)

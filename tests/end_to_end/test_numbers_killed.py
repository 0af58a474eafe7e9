"""A server that is killed (-9) while it assigns a number: the same asked again comes to one number.
In short, without processes: the race of tests/provisioner/numbers/test_pools.py."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from control_plane import faultpoints
from homeport.api.directory.v1 import number_pb2 as pb
from homeport.api.directory.v1 import number_pb2_grpc as pb_grpc
from homeport.api.provisioning.v1 import provisioning_pb2, provisioning_pb2_grpc
from tests.support import servers

NUMBERS = ["+442079460001", "+442079460002", "+442079460003"]


def server(folder: Path, name: str, label: str = "") -> servers.Server:
    """Over the one store; killed at a fault point."""
    return servers.Server(
        folder, name, f"embedded:{folder / 'store.db'}",
        environment={faultpoints.VARIABLE: label} if label else None,
    )  # fmt: skip


async def ask(address: str, method: str, request):
    async with grpc.aio.insecure_channel(address) as channel:
        return await getattr(pb_grpc.NumberServiceStub(channel), method)(request, timeout=20)


@pytest.mark.slow
@pytest.mark.parametrize("label", faultpoints.NUMBERING)
async def test_a_number_is_assigned_once_though_its_server_died(tmp_path: Path, label: str) -> None:
    first = server(tmp_path, "first", label)
    await asyncio.to_thread(first.__enter__)
    await servers.apply(first.address, servers.units(dublin=10))
    async with grpc.aio.insecure_channel(first.address) as channel:
        clients = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
        await clients.Provision(
            provisioning_pb2.ProvisionRequest(client_id="anna"), timeout=20, wait_for_ready=True
        )
    add = pb.AddNumbersRequest(pool="people", kind=pb.NUMBER_KIND_VIRTUAL, numbers=NUMBERS)
    await ask(first.address, "AddNumbers", add)
    assign = pb.AssignNumberRequest(account="anna", pool="people")
    with pytest.raises(grpc.aio.AioRpcError):
        await ask(first.address, "AssignNumber", assign)
    await asyncio.to_thread(first.__exit__, None, None, None)
    second = server(tmp_path, "second")
    await asyncio.to_thread(second.__enter__)
    try:
        number = (await ask(second.address, "AssignNumber", assign)).number
        found = (await ask(second.address, "ListNumbers", pb.ListNumbersRequest())).numbers
        assert [(one.number, one.account) for one in found if one.account] == [(number, "anna")]
        free = [one.number for one in found if one.state == pb.NUMBER_STATE_FREE]
        assert sorted([number, *free]) == NUMBERS
    finally:
        await asyncio.to_thread(second.__exit__, None, None, None)

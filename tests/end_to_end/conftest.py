"""A server for each transport, on the embedded store, for a whole module that asks for one."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import grpc
import pytest

from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support import servers


@pytest.fixture(scope="module", params=["native", "grpcio"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        (one,) = servers.start(
            stack, folder, f"embedded:{folder / 'store.db'}", 1, f"--transport={request.param}",
            "--trusted-proxies=[\"198.51.100.0/24\"]",
        )  # fmt: skip
        asyncio.run(
            servers.apply(one.address, servers.units(dublin=1_000, virginia=1_000, mumbai=1_000))
        )
        yield one


@pytest.fixture
async def channel(server):
    async with grpc.aio.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture
def stub(channel):
    return pb_grpc.ProvisioningServiceStub(channel)

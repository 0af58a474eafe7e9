"""A data-sharing server on each transport, once for all files, and a tenant of each test's own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import grpc
import pytest

from homeport.api.datasharing.v1 import feed_pb2_grpc, registry_pb2_grpc
from tests.support.data_sharing_server import SharingServer, submission
from tests.support.submissions import text, traffic


@pytest.fixture(scope="package")
def server_on(tmp_path_factory) -> Iterator[Callable[[str], SharingServer]]:
    """`server_on(transport)` is the server of the package, begun when it is asked for first."""
    with ExitStack() as begun:

        @cache
        def on(transport: str) -> SharingServer:
            folder = tmp_path_factory.mktemp(transport)
            return begun.enter_context(SharingServer(folder, f"--transport={transport}"))

        yield on


@pytest.fixture(scope="module", params=["native", "grpcio"])
def server(request, server_on) -> SharingServer:
    return server_on(request.param)


@pytest.fixture
async def channel(server):
    async with grpc.aio.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture
def feeds(channel):
    return feed_pb2_grpc.FeedServiceStub(channel)


@pytest.fixture
def registry(channel):
    return registry_pb2_grpc.ApplicationRegistryStub(channel)


@pytest.fixture
async def tenant(registry):
    """A tenant of the test's own, with the producer."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    answer = await registry.SubmitApplication(submission(text(traffic()), tenant=name), timeout=30)
    assert answer.WhichOneof("result") == "accepted", answer
    return name

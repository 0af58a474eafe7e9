"""A data-sharing server on each transport, and a tenant of each test's own."""

from __future__ import annotations

import uuid

import grpc
import pytest

from homeport.api.datasharing.v1 import feed_pb2_grpc, registry_pb2_grpc
from tests.support.data_sharing_server import SharingServer, submission
from tests.support.submissions import text, traffic


@pytest.fixture(scope="module", params=["native", "grpcio"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with SharingServer(folder, f"--transport={request.param}") as one:
        yield one


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

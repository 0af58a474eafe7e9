"""Fixtures of the SDK's tests: a served fake, and a way to open either client on it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.sdk.client_harness import QUICK, AsyncClientAdapter, BlockingClientAdapter, ClientAdapter
from tests.support.fakes.provisioning_service import FakeProvisioning
from tests.support.fakes.server import Served, serving


@pytest.fixture
def service() -> FakeProvisioning:
    """The provisioning service behind `server`."""
    return FakeProvisioning()


@pytest.fixture
def server(service: FakeProvisioning) -> Iterator[Served]:
    """A server on loopback."""
    with serving(service) as served:
        yield served


@pytest.fixture
def dead_server() -> Iterator[str]:
    """An address where connecting is refused: the port is held, but nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(params=[AsyncClientAdapter, BlockingClientAdapter], ids=["async", "blocking"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., ClientAdapter]]:
    """Opens the client under test; every one opened is closed at the end."""
    opened: list[ClientAdapter] = []

    def connect(servers: str | list[str], **how: Any) -> ClientAdapter:
        client: ClientAdapter = request.param(servers, **{"retry": QUICK, **how})
        opened.append(client)
        return client

    yield connect
    for client in opened:
        await client.close()

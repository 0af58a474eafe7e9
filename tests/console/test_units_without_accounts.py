"""Commands for accounts, at a unit that keeps none: what it lacks, and what to start it with."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from console.cli.calls.accounts import AccountCalls
from console.cli.calls.devices import DeviceCalls
from console.cli.failure import CommandFailed, ExitCode
from console.cli.profile import Target


@pytest.fixture
def unit() -> Iterator[Target]:
    """One that serves no service of accounts."""
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield Target(servers=(f"127.0.0.1:{port}",), tenant="default", token="ticket")
        server.stop(0).wait()


def test_it_is_told_which_service_is_not_there(unit: Target) -> None:
    with AccountCalls(unit) as accounts, pytest.raises(CommandFailed) as failed:
        accounts.settings()
    assert "has no ProfileService: it keeps no accounts" in failed.value.message
    assert "--accounts and --state-dir" in failed.value.message
    assert failed.value.code is ExitCode.REFUSED
    with DeviceCalls(unit) as devices, pytest.raises(CommandFailed, match="no DeviceService"):
        devices.map()

"""What `homeport tenants apply` says once the clients are counted that a first bound waits for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from console.cli.commands import tenants
from console.cli.failure import CommandFailed, ExitCode
from homeport.api.tenancy.v1 import tenancy_pb2 as pb

COUNTING = pb.Tenant(
    tenant="shop",
    max_clients=5,
    client_use=pb.ClientUse(state=pb.CLIENT_BOUND_STATE_COUNTING, counted_clients=2),
)
IN_FORCE = pb.Tenant(
    tenant="shop",
    max_clients=5,
    client_use=pb.ClientUse(state=pb.CLIENT_BOUND_STATE_IN_FORCE, clients=3),
)
TOO_MANY = pb.Tenant(
    tenant="shop", client_use=pb.ClientUse(state=pb.CLIENT_BOUND_STATE_UNBOUNDED, clients=7)
)
TAKEN_OFF = pb.Tenant(tenant="shop")


class Server:
    """Answers in turn."""

    def __init__(self, *answers: pb.Tenant) -> None:
        self._answers: Iterator[pb.Tenant] = iter(answers)

    def get_tenant(self, tenant_id: str) -> pb.Tenant:
        return next(self._answers)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenants, "COUNT_EVERY_S", 0.0)


def when_counted(*answers: pb.Tenant) -> pb.Tenant:
    server: Any = Server(*answers)
    return tenants._when_counted(server, "shop")


def test_the_tenant_as_it_is_once_the_bound_is_in_force() -> None:
    assert when_counted(COUNTING, COUNTING, IN_FORCE) == IN_FORCE


@pytest.mark.parametrize(
    ("last", "said", "code"),
    [
        pytest.param(TOO_MANY, "has 7 clients, more than the bound", ExitCode.REFUSED, id="more"),
        pytest.param(TAKEN_OFF, "it was taken off while", ExitCode.FAILED, id="taken off"),
    ],
)
def test_why_there_is_no_bound(last: pb.Tenant, said: str, code: ExitCode) -> None:
    with pytest.raises(CommandFailed, match=said) as failed:
        when_counted(COUNTING, last)
    assert failed.value.code == code

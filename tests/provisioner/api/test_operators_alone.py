"""What operators alone may call: neither a stranger nor somebody of one tenant gets to it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from control_plane.auth.tokens import Tokens
from control_plane.errors import PermissionDenied
from control_plane.serving.peers import Proxies
from homeport.api.fleet.v1 import fleet_pb2
from homeport.api.tenancy.v1 import tenancy_pb2
from provisioner.api.callers import Callers
from provisioner.api.fleet_service import FleetService
from provisioner.api.tenant_service import TenantService

OF_ONE_TENANT = "of the city"


class Context:
    """A call with this token, or with none."""

    def __init__(self, token: str) -> None:
        self._metadata = [("authorization", f"Bearer {token}")] if token else None

    def invocation_metadata(self) -> list[tuple[str, str]] | None:
        return self._metadata

    def peer(self) -> str:
        return "ipv4:192.0.2.1:5"


def callers(folder: Path) -> Callers:
    digest = hashlib.sha256(OF_ONE_TENANT.encode()).hexdigest()
    (folder / "tokens.toml").write_text(
        f'[[token]]\nname = "c"\nrights = ["operate"]\ntenant = "city"\nsha256 = "{digest}"\n'
    )
    return Callers(Proxies(), Tokens.read(folder / "tokens.toml"))


@pytest.mark.parametrize("token", ["", OF_ONE_TENANT], ids=["stranger", "of-one-tenant"])
@pytest.mark.parametrize(
    ("service", "method", "request_"),
    [
        (TenantService, "GetTenant", tenancy_pb2.GetTenantRequest(tenant="bank")),
        (TenantService, "RemoveTenant", tenancy_pb2.RemoveTenantRequest(tenant="bank")),
        (TenantService, "ListTicketKeys", tenancy_pb2.ListTicketKeysRequest()),
        (TenantService, "RotateTicketKeys", tenancy_pb2.RotateTicketKeysRequest(replacing=1)),
        (FleetService, "ListUnitClients", fleet_pb2.ListUnitClientsRequest(unit_id="dublin")),
    ],
)
async def test_nobody_else_is_answered(
    tmp_path: Path, service: Any, method: str, request_: Any, token: str
) -> None:
    # Made without anything to answer from: whoever got past the check would fail otherwise.
    made = object.__new__(service)
    made._callers = callers(tmp_path)
    with pytest.raises(PermissionDenied):
        await getattr(made, method)(request_, Context(token))

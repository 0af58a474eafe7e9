"""The tenant that a call about one client is about."""

from __future__ import annotations

from control_plane.auth.callers import STRANGER, Caller
from control_plane.errors import InvalidInput
from control_plane.fleet.unit import DEFAULT_TENANT, TenantId, TenantSpec
from control_plane.identity.names import check_slug
from provisioner.fleet_view import FleetView
from provisioner.provisioning.client_proof import client_denied


def client_tenant(fleet_view: FleetView, name: str, caller: Caller) -> TenantSpec:
    """To whoever shows nothing, one that is not there is as one without clients: the same is looked
    up and the same is answered. Raises NotFound; PermissionDenied for what can be no tenant."""
    found = fleet_view.tenant(name or DEFAULT_TENANT.id)
    if found is not None or caller is not STRANGER:
        return found or fleet_view.tenant_or_raise(name)
    try:
        return TenantSpec(id=TenantId(check_slug(name, "tenant")))
    except InvalidInput:
        raise client_denied() from None

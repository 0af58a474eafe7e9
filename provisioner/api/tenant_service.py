"""TenantService: which organisations there are, and the keys that verify their tickets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from grpc import aio

from control_plane.errors import InvalidInput, Refused
from control_plane.fleet.tenant_registry import TenantRegistry
from control_plane.fleet.tenant_removal import TenantRemover
from control_plane.fleet.unit import TenantMemory, TenantSpec
from control_plane.fleet.validation import check_tenant
from control_plane.identity.bootstrap_tokens import BootstrapTokens
from control_plane.identity.enrolment_groups import EnrolmentGroups
from control_plane.identity.key_rotation import EpochView, KeyRotation
from control_plane.identity.names import check_slug
from control_plane.identity.tickets import TicketIssuer
from control_plane.quotas.quotas import Quotas
from control_plane.quotas.tenant_limits import check_quotas, check_raises_none
from control_plane.quotas.tenant_memory import check_memory, check_memory_not_raised
from control_plane.serving.server import Service
from homeport.api.tenancy.v1 import tenancy_pb2 as pb
from homeport.api.tenancy.v1 import tenancy_pb2_grpc as pb_grpc
from provisioner.api import mapping
from provisioner.api.callers import Callers
from provisioner.api.enrolment_mapping import check_keys, given_attributes
from provisioner.api.tenant_bounds import TenantBounds
from provisioner.fleet_view import FleetView
from provisioner.ledger.client_use import ClientUse

NAME = "homeport.api.tenancy.v1.TenantService"
BOOTSTRAP_TTL_S = 86_400.0


class TenantService(pb_grpc.TenantServiceServicer):
    """Servicer of homeport.api.tenancy.v1."""

    def __init__(
        self,
        registry: TenantRegistry,
        remover: TenantRemover,
        fleet_view: FleetView,
        issuer: TicketIssuer,
        key_rotation: KeyRotation,
        groups: EnrolmentGroups,
        bootstrap: BootstrapTokens | None,
        quotas: Quotas,
        bounds: TenantBounds,
        callers: Callers,
    ) -> None:
        """bootstrap None: assignments are spread over several clusters, and there are none."""
        self._registry = registry
        self._remover = remover
        self._fleet_view = fleet_view
        self._issuer = issuer
        self._key_rotation = key_rotation
        self._groups = groups
        self._bootstrap = bootstrap
        self._quotas = quotas
        self._bounds = bounds
        self._callers = callers

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=pb_grpc.add_TenantServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def ApplyTenant(
        self, request: pb.ApplyTenantRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Tenant:
        tenant = check_tenant(mapping.tenant_from_proto(request.tenant))
        check_keys(tenant.issuers)
        check_quotas(tenant.quotas)
        check_memory(tenant.memory)
        most_s = self._fleet_view.ticket_limit_s
        if tenant.ticket_ttl_s > most_s and request.tenant.HasField("ticket_ttl"):
            raise InvalidInput(
                "tenant.ticket_ttl",
                f"tenant.ticket_ttl is {tenant.ticket_ttl_s:g} s; this server's longest_ticket_s "
                f"allows {most_s:g} s",
            )
        fields = mapping.tenant_fields(request.update_mask)
        of_one = self._callers.of_context(context).tenant
        change = self._bounds.change(request, may_raise=not of_one)

        def check(before: TenantSpec | None, after: TenantSpec) -> None:
            if of_one:
                had = before.quotas if before is not None else ()
                check_raises_none(
                    self._quotas.in_force_anywhere(after.id, had),
                    self._quotas.in_force_anywhere(after.id, after.quotas),
                )
                check_memory_not_raised(
                    before.memory if before is not None else TenantMemory(), after.memory
                )

        if change is None:
            applied, revision = await self._registry.apply(tenant, fields, check=check)
        else:
            applied, revision = await self._registry.apply(
                tenant, fields, check=check, change=change
            )
        await self._fleet_view.wait_for_tenants(revision)
        if change is not None:
            applied = await self._bounds.in_force(applied)
        return await self._to_proto(applied)

    async def GetTenant(
        self, request: pb.GetTenantRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Tenant:
        name = check_slug(request.tenant, "tenant")
        return await self._to_proto(self._fleet_view.tenant_or_raise(name))

    async def _to_proto(
        self, tenant: TenantSpec, uses: Mapping[str, ClientUse] | None = None
    ) -> pb.Tenant:
        held = self._quotas.in_force(tenant.id, tenant.quotas)
        return mapping.tenant_to_proto(tenant, held, await self._bounds.use(tenant, uses))

    async def RemoveTenant(
        self, request: pb.RemoveTenantRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.RemoveTenantResponse:
        name = check_slug(request.tenant, "tenant")
        if request.with_clients:
            step = await self._remover.remove_with_clients(name)
        else:
            step = await self._remover.remove(name)
        await self._fleet_view.wait_for_tenants(step.revision)
        return pb.RemoveTenantResponse(
            clients_left=not step.revision, released_clients=step.released
        )

    async def ListTenants(
        self, request: pb.ListTenantsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListTenantsResponse:
        default = self._fleet_view.default_tenant
        tenants = {default.id: default, **self._fleet_view.tenants}
        uses = await self._bounds.uses()
        return pb.ListTenantsResponse(
            tenants=[await self._to_proto(tenants[name], uses) for name in sorted(tenants)]
        )

    async def GetJwks(
        self, request: pb.GetJwksRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.GetJwksResponse:
        return pb.GetJwksResponse(jwks=json.dumps(self._issuer.jwks()))

    async def ListTicketKeys(
        self, request: pb.ListTicketKeysRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListTicketKeysResponse:
        return pb.ListTicketKeysResponse(
            epochs=map(_epoch_to_proto, await self._key_rotation.epochs()),
            from_file=self._key_rotation.from_file,
        )

    async def RotateTicketKeys(
        self, request: pb.RotateTicketKeysRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.RotateTicketKeysResponse:
        done = await self._key_rotation.rotate(
            request.replacing,
            sign_after_s=mapping.given_seconds(request, "sign_after"),
            accept_s=mapping.given_seconds(request, "accept_ttl"),
        )
        return pb.RotateTicketKeysResponse(
            epochs=map(_epoch_to_proto, done.epochs), rotated=done.rotated
        )

    async def AddEnrolmentGroup(
        self, request: pb.AddEnrolmentGroupRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.AddEnrolmentGroupResponse:
        tenant = self._fleet_view.tenant_or_raise(request.tenant)
        group = check_slug(request.group, "group")
        given = given_attributes(request.attributes)
        return pb.AddEnrolmentGroupResponse(key=await self._groups.add(tenant.id, group, given))

    async def ListEnrolmentGroups(
        self, request: pb.ListEnrolmentGroupsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListEnrolmentGroupsResponse:
        tenant = self._fleet_view.tenant_or_raise(request.tenant)
        found = await self._groups.list(tenant.id)
        return pb.ListEnrolmentGroupsResponse(
            groups=[
                pb.EnrolmentGroup(
                    group=one.name,
                    create_time=mapping.timestamp(one.created_at),
                    attributes=one.attributes,
                )
                for one in found
            ]
        )

    async def RemoveEnrolmentGroup(
        self, request: pb.RemoveEnrolmentGroupRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.RemoveEnrolmentGroupResponse:
        tenant = self._fleet_view.tenant_or_raise(request.tenant)
        group = check_slug(request.group, "group")
        removed = await self._groups.remove(tenant.id, group)
        return pb.RemoveEnrolmentGroupResponse(removed=removed)

    async def IssueBootstrapTokens(
        self, request: pb.IssueBootstrapTokensRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.IssueBootstrapTokensResponse:
        tenant = self._fleet_view.tenant_or_raise(request.tenant)
        ttl_s = mapping.given_seconds(request, "ttl")
        issued = await self._bootstrap_tokens().issue(
            tenant.id,
            request.count,
            BOOTSTRAP_TTL_S if ttl_s is None else ttl_s,
            given_attributes(request.attributes),
        )
        return pb.IssueBootstrapTokensResponse(tokens=issued)

    async def RevokeBootstrapTokens(
        self, request: pb.RevokeBootstrapTokensRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.RevokeBootstrapTokensResponse:
        tenant = self._fleet_view.tenant_or_raise(request.tenant)
        await self._bootstrap_tokens().revoke(tenant.id)
        return pb.RevokeBootstrapTokensResponse()

    def _bootstrap_tokens(self) -> BootstrapTokens:
        if self._bootstrap is None:
            raise Refused(
                "assignments are spread over several clusters, and a bootstrap token has to be "
                "used up where its client is made; let clients enrol by tokens or certificates"
            )
        return self._bootstrap


def _epoch_to_proto(view: EpochView) -> pb.TicketKeyEpoch:
    return pb.TicketKeyEpoch(
        epoch=view.epoch,
        state=pb.TicketKeyState.Value(f"TICKET_KEY_STATE_{view.state.upper()}"),
        create_time=mapping.timestamp(view.created_at),
        sign_time=mapping.timestamp(view.signs_from),
        expire_time=None if view.expires_at is None else mapping.timestamp(view.expires_at),
    )

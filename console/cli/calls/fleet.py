"""Calls to the fleet and tenant services that the client library, made for clients, leaves
out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import grpc

from console.cli.calls.channel import Calls
from console.cli.calls.responses import responses
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.fleet.v1 import fleet_pb2_grpc as fleet_grpc
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from homeport.api.tenancy.v1 import tenancy_pb2_grpc as tenancy_grpc
from homeport.errors import error_of
from homeport.status_details import failure_of

PLAN_S = 600.0  # who would move where: each client is looked at, and there may be millions


class FleetCalls(Calls):
    """The provisioning side: fleet and tenants."""

    def list_units(self) -> list[fleet.Unit]:
        """All units, by id."""
        return list(self.list_fleet().units)

    def list_fleet(self) -> fleet.ListUnitsResponse:
        """All units, by id, and whether the store said so."""
        request = fleet.ListUnitsRequest()
        listed: fleet.ListUnitsResponse
        listed = self._call(fleet_grpc.FleetServiceStub, "ListUnits", request)
        return listed

    def get_unit(self, unit_id: str) -> fleet.Unit:
        request = fleet.GetUnitRequest(unit_id=unit_id)
        unit: fleet.Unit = self._call(fleet_grpc.FleetServiceStub, "GetUnit", request)
        return unit

    def apply_unit(
        self, spec: fleet.UnitSpec, *, fields: Iterable[str] = (), dry_run: bool = False
    ) -> fleet.Unit:
        """fields: those to write where the unit is there; none: all."""
        request = fleet.ApplyUnitRequest(spec=spec, dry_run=dry_run)
        request.update_mask.paths.extend(fields)
        unit: fleet.Unit = self._call(fleet_grpc.FleetServiceStub, "ApplyUnit", request)
        return unit

    def unit_clients(self, unit_id: str) -> Iterator[fleet.UnitClient]:
        """All clients of a unit, by tenant and id."""
        request = fleet.ListUnitClientsRequest(unit_id=unit_id, page_size=1_000)
        while True:
            page = self._call(fleet_grpc.FleetServiceStub, "ListUnitClients", request)
            yield from page.clients
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def remove_unit(self, unit_id: str, *, dry_run: bool = False, revision: int = 0) -> None:
        request = fleet.RemoveUnitRequest(unit_id=unit_id, dry_run=dry_run, revision=revision)
        self._call(fleet_grpc.FleetServiceStub, "RemoveUnit", request)

    def cordon_unit(self, unit_id: str, *, dry_run: bool, revision: int) -> fleet.Unit:
        request = fleet.CordonUnitRequest(unit_id=unit_id, dry_run=dry_run, revision=revision)
        unit: fleet.Unit = self._call(fleet_grpc.FleetServiceStub, "CordonUnit", request).unit
        return unit

    def undrain_unit(self, unit_id: str, *, dry_run: bool, revision: int) -> fleet.Unit:
        request = fleet.UndrainUnitRequest(unit_id=unit_id, dry_run=dry_run, revision=revision)
        unit: fleet.Unit = self._call(fleet_grpc.FleetServiceStub, "UndrainUnit", request).unit
        return unit

    def plan_drain(self, unit_id: str, *, revision: int) -> fleet.MovePlan:
        """Where the unit's clients would go."""
        request = fleet.DrainUnitRequest(unit_id=unit_id, dry_run=True, revision=revision)
        return self._plan("DrainUnit", request)

    def drain_unit(self, unit_id: str, *, revision: int, rate_per_s: float) -> fleet.MoveJob:
        """The job that drains it."""
        request = fleet.DrainUnitRequest(unit_id=unit_id, revision=revision, rate_per_s=rate_per_s)
        job: fleet.MoveJob = self._call(fleet_grpc.FleetServiceStub, "DrainUnit", request).job
        return job

    def plan_rebalance(self, *, max_moves: int) -> fleet.MovePlan:
        """Who would move where."""
        request = fleet.RebalanceRequest(dry_run=True, max_moves=max_moves)
        return self._plan("Rebalance", request)

    def _plan(self, method: str, request: Any) -> fleet.MovePlan:
        plan: fleet.MovePlan = self._call(fleet_grpc.FleetServiceStub, method, request, PLAN_S).plan
        return plan

    def rebalance(self, *, max_moves: int, rate_per_s: float) -> fleet.MoveJob:
        """The job that rebalances."""
        request = fleet.RebalanceRequest(max_moves=max_moves, rate_per_s=rate_per_s)
        job: fleet.MoveJob = self._call(fleet_grpc.FleetServiceStub, "Rebalance", request).job
        return job

    def list_move_jobs(self, *, with_ended: bool) -> list[fleet.MoveJob]:
        """Newest first."""
        request = fleet.ListMoveJobsRequest(with_ended=with_ended)
        return list(self._call(fleet_grpc.FleetServiceStub, "ListMoveJobs", request).jobs)

    def control_move_job(
        self,
        job_id: str,
        *,
        state: fleet.MoveJobState.ValueType,
        rate_per_s: float,
        policy_version: int = 0,
    ) -> fleet.MoveJob:
        """The job as it is now."""
        request = fleet.ControlMoveJobRequest(
            job_id=job_id, state=state, rate_per_s=rate_per_s, policy_version=policy_version
        )
        job: fleet.MoveJob = self._call(fleet_grpc.FleetServiceStub, "ControlMoveJob", request).job
        return job

    def watch_fleet(self, revision: int) -> Iterator[fleet.WatchFleetResponse]:
        """All units, or what changed since `revision`; then every change. Of several servers
        the next one is taken when this one ends."""
        server = self._servers[0]
        stub = fleet_grpc.FleetServiceStub(self._channel)
        request = fleet.WatchFleetRequest(revision=revision)
        try:
            yield from responses(lambda: stub.WatchFleet(request, metadata=self._metadata))
        except grpc.RpcError as error:
            self._servers.append(self._servers.pop(0))
            self._channel.close()
            self._connect()
            raise error_of(failure_of(error), servers=[server], attempts=1) from error

    def list_tenants(self) -> list[tenancy.Tenant]:
        """All tenants, by id."""
        request = tenancy.ListTenantsRequest()
        return list(self._call(tenancy_grpc.TenantServiceStub, "ListTenants", request).tenants)

    def get_tenant(self, tenant_id: str) -> tenancy.Tenant:
        request = tenancy.GetTenantRequest(tenant=tenant_id)
        found: tenancy.Tenant
        found = self._call(tenancy_grpc.TenantServiceStub, "GetTenant", request)
        return found

    def remove_tenant(
        self, tenant_id: str, *, with_clients: bool = False
    ) -> tenancy.RemoveTenantResponse:
        """with_clients: to be called again while it answers clients_left."""
        request = tenancy.RemoveTenantRequest(tenant=tenant_id, with_clients=with_clients)
        step: tenancy.RemoveTenantResponse
        step = self._call(tenancy_grpc.TenantServiceStub, "RemoveTenant", request)
        return step

    def apply_tenant(
        self, tenant: tenancy.Tenant, *, fields: Iterable[str], accept_excess: bool = False
    ) -> tenancy.Tenant:
        """fields: those to write where the tenant is there. accept_excess: though it has more
        clients than it may have then."""
        request = tenancy.ApplyTenantRequest(tenant=tenant, accept_excess=accept_excess)
        request.update_mask.paths.extend(fields)
        applied: tenancy.Tenant
        applied = self._call(tenancy_grpc.TenantServiceStub, "ApplyTenant", request)
        return applied

    def list_ticket_keys(self) -> tenancy.ListTicketKeysResponse:
        """The epochs of the ticket keys, and where they come from."""
        request = tenancy.ListTicketKeysRequest()
        found: tenancy.ListTicketKeysResponse
        found = self._call(tenancy_grpc.TenantServiceStub, "ListTicketKeys", request)
        return found

    def rotate_ticket_keys(
        self, replacing: int, *, sign_after_s: float | None, accept_s: float | None
    ) -> tenancy.RotateTicketKeysResponse:
        """Adds an epoch where `replacing` is the newest; None: as the server finds right."""
        request = tenancy.RotateTicketKeysRequest(replacing=replacing)
        for field, seconds in (("sign_after", sign_after_s), ("accept_ttl", accept_s)):
            if seconds is not None:
                getattr(request, field).FromNanoseconds(round(seconds * 1e9))
        done: tenancy.RotateTicketKeysResponse
        done = self._call(tenancy_grpc.TenantServiceStub, "RotateTicketKeys", request)
        return done

    def add_enrolment_group(self, tenant: str, group: str, attributes: Mapping[str, str]) -> str:
        """The group's key."""
        request = tenancy.AddEnrolmentGroupRequest(
            tenant=tenant, group=group, attributes=attributes
        )
        key: str = self._call(tenancy_grpc.TenantServiceStub, "AddEnrolmentGroup", request).key
        return key

    def list_enrolment_groups(self, tenant: str) -> list[tenancy.EnrolmentGroup]:
        """By name."""
        request = tenancy.ListEnrolmentGroupsRequest(tenant=tenant)
        found = self._call(tenancy_grpc.TenantServiceStub, "ListEnrolmentGroups", request)
        return list(found.groups)

    def remove_enrolment_group(self, tenant: str, group: str) -> bool:
        """Whether there was one."""
        request = tenancy.RemoveEnrolmentGroupRequest(tenant=tenant, group=group)
        found = self._call(tenancy_grpc.TenantServiceStub, "RemoveEnrolmentGroup", request)
        return bool(found.removed)

    def issue_bootstrap_tokens(
        self, tenant: str, count: int, ttl_s: float, attributes: Mapping[str, str]
    ) -> list[str]:
        """New tokens, each for one client."""
        request = tenancy.IssueBootstrapTokensRequest(
            tenant=tenant, count=count, attributes=attributes
        )
        request.ttl.FromNanoseconds(round(ttl_s * 1e9))
        found = self._call(tenancy_grpc.TenantServiceStub, "IssueBootstrapTokens", request)
        return list(found.tokens)

    def revoke_bootstrap_tokens(self, tenant: str) -> None:
        request = tenancy.RevokeBootstrapTokensRequest(tenant=tenant)
        self._call(tenancy_grpc.TenantServiceStub, "RevokeBootstrapTokens", request)

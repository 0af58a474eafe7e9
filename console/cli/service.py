"""Calls to the fleet and tenant services that the client library, made for clients, leaves out.

One open channel for the length of a command; every call has a deadline. A call that fails
raises what the library's calls raise, homeport.errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import grpc

from console.cli.profile import Target
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.fleet.v1 import fleet_pb2_grpc as fleet_grpc
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from homeport.api.tenancy.v1 import tenancy_pb2_grpc as tenancy_grpc
from homeport.errors import error_of
from homeport.failure import Code
from homeport.status_details import failure_of

DEADLINE_S = 10.0
_OPTIONS = [
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.keepalive_time_ms", 30_000),  # so that a watch notices a server that is gone
    ("grpc.keepalive_timeout_ms", 10_000),
]


class Calls:
    """A context manager: inside it, channels are open. Of several servers the first that
    answers is used; a server that cannot be reached has done nothing."""

    def __init__(self, target: Target, *, deadline_s: float = DEADLINE_S) -> None:
        self._servers = list(target.servers)
        self._credentials = (
            grpc.ssl_channel_credentials(target.root_certificates()) if target.ca else None
        )
        self._deadline_s = deadline_s
        self._metadata = [("authorization", f"Bearer {target.token}")] if target.token else []
        self._connect()

    def _connect(self) -> None:
        server, credentials = self._servers[0], self._credentials
        self._channel = (
            grpc.insecure_channel(server, options=_OPTIONS)
            if credentials is None
            else grpc.secure_channel(server, credentials, options=_OPTIONS)
        )

    def _call(self, stub: Any, method: str, request: Any, deadline_s: float | None = None) -> Any:
        asked: list[str] = []
        while True:
            asked.append(self._servers[0])
            try:
                call = getattr(stub(self._channel), method)
                # Where requests come in a stream, every attempt needs a new one.
                asked_for = request() if callable(request) else request
                return call(
                    asked_for, timeout=deadline_s or self._deadline_s, metadata=self._metadata
                )
            except grpc.RpcError as error:
                failure = failure_of(error)
                nobody_there = failure.code is Code.UNAVAILABLE and not failure.from_homeport
                if not nobody_there or len(self._servers) == 1:
                    raise error_of(failure, servers=asked, attempts=len(asked)) from error
                self._channel.close()
                del self._servers[0]
                self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()


class Service(Calls):
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

    def apply_unit(self, spec: fleet.UnitSpec) -> fleet.Unit:
        request = fleet.ApplyUnitRequest(spec=spec)
        unit: fleet.Unit = self._call(fleet_grpc.FleetServiceStub, "ApplyUnit", request)
        return unit

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
        plan: fleet.MovePlan = self._call(fleet_grpc.FleetServiceStub, "DrainUnit", request).plan
        return plan

    def drain_unit(self, unit_id: str, *, revision: int, rate_per_s: float) -> fleet.MoveJob:
        """The job that drains it."""
        request = fleet.DrainUnitRequest(unit_id=unit_id, revision=revision, rate_per_s=rate_per_s)
        job: fleet.MoveJob = self._call(fleet_grpc.FleetServiceStub, "DrainUnit", request).job
        return job

    def plan_rebalance(self, *, max_moves: int) -> fleet.MovePlan:
        """Who would move where."""
        request = fleet.RebalanceRequest(dry_run=True, max_moves=max_moves)
        plan: fleet.MovePlan = self._call(fleet_grpc.FleetServiceStub, "Rebalance", request).plan
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
        self, job_id: str, *, state: fleet.MoveJobState.ValueType, rate_per_s: float
    ) -> fleet.MoveJob:
        """The job as it is now."""
        request = fleet.ControlMoveJobRequest(job_id=job_id, state=state, rate_per_s=rate_per_s)
        job: fleet.MoveJob = self._call(fleet_grpc.FleetServiceStub, "ControlMoveJob", request).job
        return job

    def watch_fleet(self, revision: int) -> Iterator[fleet.WatchFleetResponse]:
        """All units, or what changed since `revision`; then every change. Of several servers
        the next one is taken when this one ends."""
        server = self._servers[0]
        stub = fleet_grpc.FleetServiceStub(self._channel)
        call = stub.WatchFleet(fleet.WatchFleetRequest(revision=revision), metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as error:
            self._servers.append(self._servers.pop(0))
            self._channel.close()
            self._connect()
            raise error_of(failure_of(error), servers=[server], attempts=1) from error
        finally:
            call.cancel()

    def list_tenants(self) -> list[tenancy.Tenant]:
        """All tenants, by id."""
        request = tenancy.ListTenantsRequest()
        return list(self._call(tenancy_grpc.TenantServiceStub, "ListTenants", request).tenants)

    def apply_tenant(self, tenant: tenancy.Tenant) -> tenancy.Tenant:
        request = tenancy.ApplyTenantRequest(tenant=tenant)
        applied: tenancy.Tenant
        applied = self._call(tenancy_grpc.TenantServiceStub, "ApplyTenant", request)
        return applied

"""LatencyService: clients say how long round trips to units take, and operators what is known."""

from __future__ import annotations

import asyncio
from typing import Any

from grpc import aio

from control_plane import keys
from control_plane.errors import Exhausted, InvalidInput
from control_plane.identity.names import check_client_id
from control_plane.quotas.limits import Quota
from control_plane.serving.server import Service
from control_plane.serving.status import duration
from control_plane.store.port import StoreUnavailable
from homeport.api.policy.v1 import latency_pb2 as pb
from homeport.api.policy.v1 import latency_pb2_grpc as pb_grpc
from provisioner.api.callers import Callers
from provisioner.api.client_proofs import ClientProofs, checked_record
from provisioner.api.client_tenant import client_tenant
from provisioner.fleet_view import FleetView
from provisioner.geo.location import Location
from provisioner.latencies.keeper import REPORT_AFTER_S, LatencyKeeper
from provisioner.latencies.plausible import network_of
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.placement.attributes import with_attributes
from provisioner.placement.fleet import PlacementUnit
from provisioner.placement.hook_candidates import HookCandidates
from provisioner.provisioning.assignments import Assignments
from provisioner.provisioning.provisioner import Provisioner

NAME = "homeport.api.policy.v1.LatencyService"
QUOTAS = {f"/{NAME}/ReportLatencies": Quota.LOOKUPS}
MOST_OFFERED = 8
STORE_S = 5.0
LISTED, MOST_LISTED = 100, 1_000


class LatencyService(pb_grpc.LatencyServiceServicer):
    """Servicer of homeport.api.policy.v1.LatencyService."""

    def __init__(
        self,
        keeper: LatencyKeeper,
        provisioner: Provisioner,
        assignments: Assignments,
        fleet_view: FleetView,
        callers: Callers,
        proofs: ClientProofs,
    ) -> None:
        self._keeper = keeper
        self._provisioner = provisioner
        self._assignments = assignments
        self._fleet_view = fleet_view
        self._callers = callers
        self._proofs = proofs
        self._candidates: HookCandidates | None = None

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=pb_grpc.add_LatencyServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def ReportLatencies(
        self, request: pb.ReportLatenciesRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ReportLatenciesResponse:
        caller = self._callers.of_context(context)
        tenant = client_tenant(self._fleet_view, request.tenant, caller)
        client_id = check_client_id(request.client_id)
        measured = _measured(request)
        proof = self._proofs.of_context(context, tenant, client_id, request.ticket)
        try:
            async with asyncio.timeout(STORE_S):
                found = await self._assignments.find(tenant.id, client_id)
        except TimeoutError:
            raise StoreUnavailable("the store did not answer in time; report again later") from None
        record = checked_record(proof, found)
        address = self._callers.peer_of_context(context)
        location, _ = self._provisioner.locator.explain(address, None, tenant.default_position)
        offered = self._offered(tenant.id, client_id, location, record)
        refused: dict[str, str] = {}
        if measured:
            network = network_of(address) if address is not None else ""
            client = f"{tenant.id}/{client_id}"
            if wait_s := self._keeper.wait_s(client, network):
                raise Exhausted(
                    "latencies were reported a moment ago; report again later",
                    retry_after_s=wait_s,
                )
            refused = self._keeper.report(location, network, client, measured, offered)
        return pb.ReportLatenciesResponse(
            accepted=len(measured) - len(refused),
            refused=[pb.RefusedLatency(unit_id=one, reason=why) for one, why in refused.items()],
            candidates=[
                pb.LatencyCandidate(unit_id=one, endpoint=self._fleet_view.endpoint_of(one))
                for one in offered
            ],
            report_after=duration(REPORT_AFTER_S),
        )

    async def ListLatencies(
        self, request: pb.ListLatenciesRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListLatenciesResponse:
        if not 0 <= request.limit <= MOST_LISTED:
            raise InvalidInput("limit", f"limit is at most {MOST_LISTED:,}")
        found = [
            (cell, unit, one)
            for cell, units in self._keeper.believed.estimates.items()
            if cell.startswith(request.cell_prefix)
            for unit, one in units.items()
            if not request.unit_id or unit == request.unit_id
        ]
        found.sort(key=lambda entry: (entry[2].age_s, entry[0], entry[1]))
        return pb.ListLatenciesResponse(
            total=len(found),
            estimates=[
                pb.LatencyEstimate(
                    cell=cell,
                    unit_id=unit,
                    round_trip=duration(one.ms / 1_000.0),
                    reports=one.reports,
                    networks=one.networks,
                    age=duration(one.age_s),
                )
                for cell, unit, one in found[: request.limit or LISTED]
            ],
        )

    def _offered(
        self, tenant: str, client_id: str, location: Location, record: AssignmentRecord | None
    ) -> dict[str, PlacementUnit]:
        """The units that a client may measure, as they are to be tried for it."""
        placer = self._provisioner.placer
        kept = record.attributes if record is not None else None
        key = with_attributes(keys.assignment(tenant, client_id), kept or {})
        policy = placer.policies.of(tenant, location, key)
        if self._candidates is None or not self._candidates.is_of(placer.fleet):
            self._candidates = HookCandidates(placer.fleet, placer.occupancy)
        found = self._candidates.of(policy, location, tenant, most=MOST_OFFERED)
        units = placer.fleet.units
        return {one.unit: units[placer.fleet.index_of(one.unit)] for one in found}


def _measured(request: pb.ReportLatenciesRequest) -> dict[str, float]:
    """ms by unit. Raises InvalidInput."""
    if len(request.measured) > MOST_OFFERED:
        raise InvalidInput("measured", f"measured has at most {MOST_OFFERED} entries")
    found = {}
    for at, one in enumerate(request.measured):
        if one.unit_id in found:
            raise InvalidInput(f"measured[{at}]", "a unit is measured twice; send one figure")
        took = one.round_trip
        found[one.unit_id] = took.seconds * 1_000.0 + took.nanos / 1e6
    return found

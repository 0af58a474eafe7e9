"""PinService: clients pinned to units, listed, and let go again."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from control_plane import keys
from control_plane.errors import InvalidInput, NotFound, Refused
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.identity.names import check_client_id
from control_plane.serving.server import Service
from homeport.api.policy.v1 import pin_pb2 as pb
from homeport.api.policy.v1 import pin_pb2_grpc as pb_grpc
from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.applied_policies.pin_record import MOST_REASON, PinRecord
from provisioner.applied_policies.pin_registry import PinRegistry
from provisioner.fleet_view import FleetView
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment
from provisioner.ledger.client_keys import ClientKeys
from provisioner.placement.filters import PlacementPolicy, why_forbidden, why_not_here
from provisioner.placement.fleet import PlacementFleet, PlacementUnit

NAME = "homeport.api.policy.v1.PinService"
PAGE, MOST_PAGE = 100, 1_000
FOLLOWED_S = 1.0  # that an answer waits for this server to have heard of the change


class PinService(pb_grpc.PinServiceServicer):
    """Servicer of homeport.api.policy.v1.PinService."""

    def __init__(
        self,
        registry: PinRegistry,
        followed: FollowedPolicies,
        fleet_view: FleetView,
        clients: ClientKeys,
    ) -> None:
        self._registry = registry
        self._followed = followed
        self._fleet_view = fleet_view
        self._clients = clients

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=pb_grpc.add_PinServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def PinClient(
        self, request: pb.PinClientRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.PinClientResponse:
        tenant, client_id = self._tenant(request.tenant), check_client_id(request.client_id)
        until_ms = 0
        if request.HasField("until_time"):
            until_ms = request.until_time.ToMilliseconds()
            if until_ms <= self._now_ms():
                raise InvalidInput("until_time", "until_time is over already")
        reason = request.reason
        if len(reason) > MOST_REASON or not (reason.isprintable() or not reason):
            raise InvalidInput(
                "reason", f"reason has at most {MOST_REASON} characters, and no line breaks"
            )
        warnings = await self._check(tenant, client_id, request.unit_id)
        pin, revision = await self._registry.pin(
            tenant, client_id, request.unit_id, reason=reason, until_ms=until_ms
        )
        await self._heard(revision)
        return pb.PinClientResponse(pin=self._to_proto(client_id, pin), warnings=warnings)

    async def UnpinClient(
        self, request: pb.UnpinClientRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.UnpinClientResponse:
        tenant, client_id = self._tenant(request.tenant), check_client_id(request.client_id)
        revision = await self._registry.unpin(tenant, client_id)
        if revision is not None:
            await self._heard(revision)
        return pb.UnpinClientResponse(unpinned=revision is not None)

    async def GetPin(
        self, request: pb.GetPinRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Pin:
        tenant, client_id = self._tenant(request.tenant), check_client_id(request.client_id)
        pin = await self._registry.read(tenant, client_id)
        if pin is None:
            raise NotFound(f"client {client_id} is not pinned")
        return self._to_proto(client_id, pin)

    async def ListPins(
        self, request: pb.ListPinsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListPinsResponse:
        size = request.page_size or PAGE
        if size > MOST_PAGE:
            raise InvalidInput("page_size", f"page_size is at most {MOST_PAGE:,}")
        after = check_client_id(request.page_token, "page_token") if request.page_token else ""
        page = await self._registry.page(self._tenant(request.tenant), after, size)
        return pb.ListPinsResponse(
            pins=[self._to_proto(client_id, pin) for client_id, pin in page.pins],
            next_page_token=page.after,
        )

    async def _check(self, tenant: str, client_id: str, unit_id: str) -> list[str]:
        """What cannot be known yet. Raises NotFound; Refused where the client could not live
        there."""
        fleet = self._fleet_view.fleet
        unit = next((one for one in fleet.units if one.id == unit_id), None)
        if unit is None:
            raise NotFound(f"there is no unit {unit_id}")
        if unit.tenants and tenant not in unit.tenants:
            raise Refused(f"unit {unit_id} does not serve tenant {tenant}")
        record = await self._record(tenant, client_id)
        if record is None:
            return [
                f"client {client_id} has no home yet: whether the policy lets it live in "
                f"{unit_id} is decided when it comes"
            ]
        compiled = self._followed.compiled(tenant)
        policy = self._followed.default
        if compiled is not None:
            policy = compiled.of(record.location, record.placed_by(_key(tenant, client_id)))
        why_not = _why_not(unit, policy, fleet) or why_not_here(unit, record.location, tenant)
        if why_not:
            raise Refused(
                f"client {client_id} may not live in {unit_id}: "
                f"{why_not if policy.denied else f'it {why_not}'}; a pin does not go before the "
                "policy, so change that, or pin it elsewhere"
            )
        return []

    async def _record(self, tenant: str, client_id: str) -> AssignmentRecord | None:
        found = await self._clients.get(_key(tenant, client_id))
        return None if found is None else decode_assignment(found.value)

    async def _heard(self, revision: int) -> None:
        await self._followed.replica.wait_for_revision(revision, timeout_s=FOLLOWED_S)

    def _tenant(self, name: str) -> str:
        return self._fleet_view.tenant_or_raise(name or DEFAULT_TENANT.id).id

    def _now_ms(self) -> float:
        return self._followed.wall() * 1000

    def _to_proto(self, client_id: str, pin: PinRecord) -> pb.Pin:
        made = pb.Pin(
            client_id=client_id,
            unit_id=pin.unit,
            reason=pin.reason,
            over=not pin.holds(self._now_ms()),
        )
        for field, at_ms in ((made.pin_time, pin.at_ms), (made.until_time, pin.until_ms)):
            if at_ms:
                time = Timestamp()
                time.FromMilliseconds(at_ms)
                field.CopyFrom(time)
        return made


def _key(tenant: str, client_id: str) -> bytes:
    return keys.assignment(tenant, client_id)


def _why_not(unit: PlacementUnit, policy: PlacementPolicy, fleet: PlacementFleet) -> str:
    """Why a policy, and all that it spills over to, keeps its clients off the unit; empty: it does
    not."""
    why_not = why_forbidden(unit, policy, fleet)
    if not why_not:
        return ""
    return why_not if policy.spillover is None else _why_not(unit, policy.spillover, fleet)

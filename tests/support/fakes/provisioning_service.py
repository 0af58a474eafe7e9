"""FakeProvisioning: the provisioning service in memory, with faults on order.

Speaks real gRPC over loopback, so that clients are tested against the wire and not against
a stand-in for it. Clients go to the units in turn; everything else is as the contract says.
Faults are ordered before the call that meets them. Nothing here sleeps: a call that hangs
waits until its caller gives up or the server stops.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, message

from homeport.api.geo.v1 import geo_pb2
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from homeport.api.status.v1 import status_pb2

LIMIT_S = 30.0  # nothing waits longer, so that a broken test ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one call ends instead of being answered. `hangs`: not before the server stops or
    the caller gives up."""

    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    message: str = "the store is away; try again"
    reason: str = "UNAVAILABLE"  # empty: the words are gRPC's, there are no details
    retry_after_s: float | None = None
    violations: Sequence[tuple[str, str]] = ()
    hangs: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request that arrived."""

    method: str
    request: Any
    metadata: dict[str, str | bytes] = field(default_factory=dict)
    time_left_s: float | None = None


def _packed(name: str, detail: message.Message) -> any_pb2.Any:
    url = f"type.googleapis.com/google.rpc.{name}"
    return any_pb2.Any(type_url=url, value=detail.SerializeToString())


def abort(context: grpc.ServicerContext, fault: Fault) -> NoReturn:
    """Ends the call with the fault's status and details."""
    if fault.reason:
        details = [
            _packed("ErrorInfo", status_pb2.ErrorInfo(reason=fault.reason, domain="homeport"))
        ]
        if fault.violations:
            bad = status_pb2.BadRequest()
            for name, description in fault.violations:
                bad.field_violations.add(field=name, description=description)
            details.append(_packed("BadRequest", bad))
        if fault.retry_after_s is not None:
            info = status_pb2.RetryInfo()
            info.retry_delay.FromMilliseconds(round(fault.retry_after_s * 1000))
            details.append(_packed("RetryInfo", info))
        status = status_pb2.Status(code=fault.code.value[0], message=fault.message, details=details)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(fault.code, fault.message)
    raise AssertionError("abort returns never")


class FakeProvisioning(pb_grpc.ProvisioningServiceServicer):
    """See the module. Several servers may share one `homes`, as provisioners share a store."""

    def __init__(
        self,
        *,
        unit_endpoint: str = "unit.example.net:443",
        ticket_ttl_s: float = 3600.0,
        homes: dict[tuple[str, str], pb.Assignment] | None = None,
    ) -> None:
        self.unit_endpoint = unit_endpoint
        self.ticket_ttl_s = ticket_ttl_s
        self.homes = {} if homes is None else homes
        self.decisions: dict[str, pb.Decision] = {}  # by client id: how it came to its home
        self.full: set[str] = set()  # clients that find no room
        self.seen: list[Seen] = []
        self.faults: deque[Fault] = deque()
        self.drop_stream_after: int | None = None  # batches answered before the stream breaks
        self.answers_held_until = 0  # batches that must have come before the first is answered
        self.called = threading.Event()  # some call has arrived
        self.given_up = threading.Event()  # a caller went away before its answer
        self._lock = threading.Lock()
        self._moving = threading.Condition()
        self._breaks = 0
        self._signs = 0
        self.break_with = Fault()
        self.since: dict[tuple[str, str], int] = {}  # the revision that wrote a home
        self.revision = 10
        self.compacted = 0  # what is watched from before is refused
        self.cause = ""

    def fail(self, times: int = 1, **fault: Any) -> None:
        """The next `times` calls, of whatever method, end with this Fault."""
        self.faults.extend([Fault(**fault)] * times)

    def hang(self, times: int = 1) -> None:
        """The next `times` calls are not answered."""
        self.fail(times, hangs=True)

    def methods(self) -> list[str]:
        """The names of the methods called, in order."""
        return [seen.method for seen in self.seen]

    def batches(self) -> list[list[str]]:
        """The client ids of every batch that arrived, in order."""
        return [
            [client.client_id for client in seen.request.clients]
            for seen in self.seen
            if seen.method == "ProvisionMany"
        ]

    # -- the service -------------------------------------------------------------------

    def Provision(
        self, request: pb.ProvisionRequest, context: grpc.ServicerContext
    ) -> pb.ProvisionResponse:
        self._arrived("Provision", request, context)
        if request.client_id in self.full:
            abort(context, NO_ROOM)
        return self._provision(
            request.tenant, request.client_id, request.WhichOneof("origin"), request.without_ticket
        )

    def ProvisionMany(
        self, request_iterator: Iterator[pb.ProvisionManyRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ProvisionManyResponse]:
        context.add_callback(self.given_up.set)
        held: list[pb.ProvisionManyRequest] = []
        answered = 0
        for request in request_iterator:
            self._arrived("ProvisionMany", request, context)
            held.append(request)
            if len(held) < self.answers_held_until:
                continue
            for batch in held:
                if answered == self.drop_stream_after:
                    self.drop_stream_after = None
                    abort(context, Fault(reason="", message="connection reset"))
                yield self._batch(batch)
                answered += 1
            held.clear()

    def GetAssignment(
        self, request: pb.GetAssignmentRequest, context: grpc.ServicerContext
    ) -> pb.GetAssignmentResponse:
        self._arrived("GetAssignment", request, context)
        home = self.homes.get((request.tenant, request.client_id))
        if home is None:
            abort(context, NO_ASSIGNMENT)
        response = pb.GetAssignmentResponse(
            assignment=home, ticket=self.ticket(home), decision=self.decisions.get(home.client_id)
        )
        response.ticket_ttl.FromMilliseconds(round(self.ticket_ttl_s * 1000))
        return response

    def ReleaseAssignment(
        self, request: pb.ReleaseAssignmentRequest, context: grpc.ServicerContext
    ) -> pb.ReleaseAssignmentResponse:
        self._arrived("ReleaseAssignment", request, context)
        gone = self.homes.pop((request.tenant, request.client_id), None)
        return pb.ReleaseAssignmentResponse(released=gone is not None)

    def ExplainPlacement(
        self, request: pb.ExplainPlacementRequest, context: grpc.ServicerContext
    ) -> pb.ExplainPlacementResponse:
        self._arrived("ExplainPlacement", request, context)
        response = pb.ExplainPlacementResponse(
            location=_DUBLIN,
            location_reason="found in the geo database",
            rule="nearest",
            current=self.homes.get((request.tenant, request.client_id)),
            current_decision=self.decisions.get(request.client_id),
        )
        response.units.add(
            unit_id="unit-0", verdict=pb.PLACEMENT_VERDICT_CHOSEN, reason="nearest",
            distance_km=12.5, load=0.25, rank=1,
        )  # fmt: skip
        response.units.add(
            unit_id="unit-1", verdict=pb.PLACEMENT_VERDICT_EXCLUDED, reason="is full",
            distance_km=-1.0, load=1.0,
        )  # fmt: skip
        return response

    def WatchAssignment(
        self, request: pb.WatchAssignmentRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchAssignmentResponse]:
        """Tells each state of `homes` that differs from the one told before; what is asked for
        by revision counts as in the contract."""
        context.add_callback(self._changed_or_gone)
        context.add_callback(self.given_up.set)
        self._arrived("WatchAssignment", request, context)
        key, breaks = (request.tenant, request.client_id), self._breaks
        with self._moving:
            if 0 < request.revision < self.compacted:
                abort(context, COMPACTED)
            if self.homes.get(key) is None and not request.known_epoch:
                abort(context, NO_ASSIGNMENT)
            told = self._state_seen(request)
        while context.is_active() and breaks == self._breaks:
            with self._moving:
                home = self.homes.get(key)
                if home == told and not self._signs:
                    self._moving.wait(LIMIT_S)
                    continue
                response = pb.WatchAssignmentResponse(revision=self.revision)
                if home == told:
                    self._signs -= 1
                elif home is None:
                    response.released, response.cause = True, self.cause
                else:
                    response.assignment.CopyFrom(home)
                    response.ticket, response.cause = self.ticket(home), self.cause
                    response.ticket_ttl.FromMilliseconds(round(self.ticket_ttl_s * 1000))
                told = home
            yield response
        if breaks != self._breaks:
            abort(context, self.break_with)

    def move(self, tenant: str, client_id: str, unit_id: str, *, cause: str = "drained") -> None:
        """The client lives at another unit from now on."""
        with self._moving:
            home = pb.Assignment()
            home.CopyFrom(self.homes[tenant, client_id])
            home.unit_id, home.epoch = unit_id, home.epoch + 1
            self._set((tenant, client_id), home, cause)

    def set_home(self, tenant: str, client_id: str, unit_id: str, *, epoch: int = 1) -> None:
        """The client has this home from now on; an empty unit: none."""
        with self._moving:
            home = pb.Assignment(
                tenant=tenant, client_id=client_id, unit_id=unit_id, epoch=epoch,
                endpoint=self.unit_endpoint,
            )  # fmt: skip
            home.assign_time.FromNanoseconds(time.time_ns())
            self._set((tenant, client_id), home if unit_id else None, "")

    def show_life(self) -> None:
        """One watch shows a sign of life."""
        with self._moving:
            self._signs += 1
            self._moving.notify_all()

    def break_watches(self, **fault: Any) -> None:
        """Every watch that stands ends with this Fault."""
        with self._moving:
            self.break_with = Fault(**fault)
            self._breaks += 1
            self._moving.notify_all()

    def _set(self, key: tuple[str, str], home: pb.Assignment | None, cause: str) -> None:
        self.revision += 1
        self.cause = cause
        if home is None:
            self.homes.pop(key, None)
        else:
            self.homes[key] = home
            self.since[key] = self.revision
        self._moving.notify_all()

    def _state_seen(self, request: pb.WatchAssignmentRequest) -> pb.Assignment | None:
        """The home that the caller of a watch has seen, if it is the one that stands."""
        key = (request.tenant, request.client_id)
        home = self.homes.get(key)
        if home is None:
            return pb.Assignment(epoch=request.known_epoch)  # it knew one that is gone
        known = home.epoch == request.known_epoch and (
            not request.revision or self.since.get(key, 0) <= request.revision
        )
        return home if known else None

    def _changed_or_gone(self) -> None:
        with self._moving:
            self._moving.notify_all()

    # -- behind it ---------------------------------------------------------------------

    @staticmethod
    def ticket(home: pb.Assignment) -> str:
        """What FakeUnit accepts."""
        return f"ticket:{home.tenant}:{home.client_id}:{home.unit_id}:{home.epoch}"

    def _arrived(self, method: str, request: Any, context: grpc.ServicerContext) -> None:
        """Takes note of a call, and lets it meet its fault."""
        with self._lock:
            self.seen.append(
                Seen(
                    method=method,
                    request=request,
                    metadata=dict(context.invocation_metadata()),
                    time_left_s=context.time_remaining(),
                )
            )
            fault = self.faults.popleft() if self.faults else None
        self.called.set()
        if fault is None:
            return
        if fault.hangs:
            gone = threading.Event()
            if context.add_callback(gone.set):
                gone.wait(LIMIT_S)
            self.given_up.set()
        abort(context, fault)

    def _provision(
        self, tenant: str, client_id: str, origin: str | None, without_ticket: bool
    ) -> pb.ProvisionResponse:
        with self._lock:
            home = self.homes.get((tenant, client_id))
            existing = home is not None
            if home is None:
                home = pb.Assignment(
                    tenant=tenant,
                    client_id=client_id,
                    unit_id=f"unit-{len(self.homes) % 2}",
                    endpoint=self.unit_endpoint,
                    epoch=1,
                )
                home.assign_time.FromMilliseconds(round(time.time() * 1000))
                self.homes[tenant, client_id] = home
        response = pb.ProvisionResponse(assignment=home, existing=existing)
        if not without_ticket:
            response.ticket = self.ticket(home)
            response.ticket_ttl.FromMilliseconds(round(self.ticket_ttl_s * 1000))
        response.decision.rule = "existing" if existing else "nearest"
        if origin is None:
            response.decision.location.source = geo_pb2.LOCATION_SOURCE_NOWHERE
            response.decision.distance_km = -1.0
        else:
            response.decision.location.CopyFrom(_DUBLIN)
            response.decision.distance_km = 12.5
        return response

    def _batch(self, request: pb.ProvisionManyRequest) -> pb.ProvisionManyResponse:
        response = pb.ProvisionManyResponse()
        for client in request.clients:
            result = response.results.add(client_id=client.client_id)
            if client.client_id in self.full:
                result.error.code = NO_ROOM.code.name
                result.error.message = NO_ROOM.message
                result.error.retry_after.FromMilliseconds(2_000)
            elif client.address == "nonsense":
                result.error.code = "INVALID_ARGUMENT"
                result.error.message = 'address "nonsense" is not an IPv4 or IPv6 address'
                result.error.field = "address"
            else:
                result.provisioned.CopyFrom(
                    self._provision(
                        request.tenant,
                        client.client_id,
                        client.WhichOneof("origin"),
                        request.without_tickets,
                    )
                )
        return response


NO_ROOM = Fault(
    code=grpc.StatusCode.RESOURCE_EXHAUSTED,
    message="all units that may take this client are full; try again later, or add capacity",
    reason="EXHAUSTED",
    retry_after_s=120.0,
)
NO_ASSIGNMENT = Fault(
    code=grpc.StatusCode.NOT_FOUND,
    message="the client has no assignment; provision it first",
    reason="NOT_FOUND",
)
COMPACTED = Fault(
    code=grpc.StatusCode.OUT_OF_RANGE,
    message="history is compacted; watch again without a revision",
    reason="HISTORY_GONE",
)
_DUBLIN = geo_pb2.Location(
    source=geo_pb2.LOCATION_SOURCE_DATABASE,
    country="IE",
    continent="EU",
    position=geo_pb2.Position(latitude=53.34, longitude=-6.26),
    uncertainty_km=20.0,
)

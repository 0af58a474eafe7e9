"""The client library's functional core: every unary operation, as steps for a client to perform.

Decides which server to ask and how long to wait, when the cache may answer, and what is
returned to the caller. Does no I/O and never sleeps; clocks and jitter are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.message import Message

from homeport.api.policy.v1 import latency_pb2
from homeport.api.policy.v1.latency_pb2_grpc import LatencyServiceStub
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1.provisioning_pb2_grpc import ProvisioningServiceStub
from homeport.api.unit.v1 import unit_pb2
from homeport.api.unit.v1.unit_pb2_grpc import UnitServiceStub
from homeport.endpoints import Endpoints
from homeport.errors import DeadlineExceeded, Unavailable
from homeport.failure import Failure
from homeport.messages import (
    admission_of,
    assignment_of,
    checked_id,
    checked_origin,
    explanation_of,
    found_assignment_of,
)
from homeport.retrying import Attempts, RetryPolicy
from homeport.steps import (
    CacheDelete,
    CacheGet,
    CachePut,
    Connect,
    MeasuringSteps,
    Method,
    Steps,
    Try,
    Wait,
)
from homeport.values import Admission, Assignment, Explanation, LatencyReport
from homeport.waiting import WaitingClients

PROVISION = Method(ProvisioningServiceStub, "Provision")
PROVISION_MANY = Method(ProvisioningServiceStub, "ProvisionMany")
GET = Method(ProvisioningServiceStub, "GetAssignment")
RELEASE = Method(ProvisioningServiceStub, "ReleaseAssignment")
EXPLAIN = Method(ProvisioningServiceStub, "ExplainPlacement")
REPORT = Method(LatencyServiceStub, "ReportLatencies")
ADMIT = Method(UnitServiceStub, "Admit")

FRESH_MARGIN_S = 60.0  # a cached ticket with less time left counts as expired
MAX_STALE_S = 7 * 86_400.0  # how long after its ticket expired a cached assignment may be returned


class Core:
    """One per client. clock: monotonic seconds; wall: Unix seconds; jitter: 0.0 to 1.0, a new
    random number at each call. uses_cache: whether steps of the cache may be yielded."""

    def __init__(
        self,
        endpoints: Endpoints,
        policy: RetryPolicy,
        *,
        tenant: str,
        timeout_s: float,
        uses_cache: bool,
        clock: Callable[[], float],
        wall: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self.endpoints = endpoints
        self.policy = policy
        self.tenant = tenant
        self.timeout_s = checked_timeout_s(timeout_s)
        self.wall = wall
        self.uses_cache = uses_cache
        self.clock = clock
        self.jitter = jitter
        self.waiting = WaitingClients()

    def attempts(self, timeout_s: float) -> Attempts:
        """The tries of one call that begins now."""
        return Attempts(
            self.policy,
            self.endpoints,
            timeout_s=timeout_s,
            clock=self.clock,
            jitter=self.jitter,
        )

    def call(
        self, method: Method, request: Message, timeout_s: float | None, client_id: str = ""
    ) -> Steps[Any]:
        """The response to one unary call, retries included. client_id: of the client it is about,
        which proves itself; empty: none. Raises HomeportError."""
        policy, endpoints = self.policy, self.endpoints
        attempts = self.attempts(
            self.timeout_s if timeout_s is None else checked_timeout_s(timeout_s)
        )
        while True:
            server = endpoints.current
            limit_s = attempts.try_timeout_s(policy.attempt_timeout_s)
            outcome = yield Try(server, method, request, limit_s, client_id)
            if not isinstance(outcome, Failure):
                return outcome
            if outcome.waiting is not None and isinstance(request, pb.ProvisionRequest):
                request.waiting_token = outcome.waiting.token
                self.waiting.waits(client_id, outcome.waiting.token)
            wait_s = attempts.wait_after(outcome, server)
            if wait_s > 0.0:
                yield Wait(wait_s)

    def provision(
        self,
        client_id: str,
        *,
        address: str | None,
        position: tuple[float, float] | None,
        with_ticket: bool,
        with_network: bool = False,
        prefer_cache: bool,
        timeout_s: float | None,
        attributes: Mapping[str, str] | None = None,
    ) -> Steps[Assignment]:
        """The client's home, from a server, or from the cache where that is allowed."""
        request = pb.ProvisionRequest(
            tenant=self.tenant,
            client_id=checked_id(client_id),
            **checked_origin(address, position),
            without_ticket=not with_ticket,
            with_network=with_network,
            attributes=attributes,
            waiting_token=self.waiting.token(client_id),
        )
        uses_cache = self.uses_cache and with_ticket
        known: Assignment | None
        if uses_cache:
            known = yield CacheGet(self.tenant, client_id)
            if known is not None:
                fresh_enough = prefer_cache and not attributes
                if fresh_enough and known.is_fresh(self.wall(), margin_s=FRESH_MARGIN_S):
                    return replace(known, from_cache=True)
                # With it a server can answer while its store is away.
                request.ticket = known.ticket
        sent_at = self.wall()
        try:
            response = yield from self.call(PROVISION, request, timeout_s, client_id)
        except (Unavailable, DeadlineExceeded):
            if uses_cache:
                known = yield CacheGet(self.tenant, client_id)
                if known is not None and self._is_servable(known):
                    return replace(known, stale=True, from_cache=True)
            raise
        self.waiting.has_home(client_id)
        assignment = assignment_of(response, sent_at)
        if uses_cache and assignment.ticket:
            yield CachePut(assignment)
        return assignment

    def cached(self, client_id: str) -> Steps[Assignment | None]:
        """The cached assignment, `stale` when its ticket has expired; None: there is none."""
        if not self.uses_cache:
            return None
        known: Assignment | None = yield CacheGet(self.tenant, checked_id(client_id))
        if known is None or not self._is_servable(known):
            return None
        return replace(known, from_cache=True, stale=not known.is_fresh(self.wall()))

    def last_ticket(self, client_id: str) -> Steps[str]:
        """The last ticket that the client was given, by which it proves itself; empty: none."""
        if not self.uses_cache:
            return ""
        known: Assignment | None = yield CacheGet(self.tenant, client_id)
        return known.ticket if known is not None else ""

    def _is_servable(self, known: Assignment) -> bool:
        return known.is_fresh(self.wall() - MAX_STALE_S)

    def get(self, client_id: str, timeout_s: float | None) -> Steps[Assignment]:
        """The assignment that the client has, with a fresh ticket."""
        request = pb.GetAssignmentRequest(tenant=self.tenant, client_id=checked_id(client_id))
        request.ticket = yield from self.last_ticket(client_id)
        sent_at = self.wall()
        response = yield from self.call(GET, request, timeout_s, client_id)
        return found_assignment_of(response, sent_at)

    def release(self, client_id: str, timeout_s: float | None) -> Steps[bool]:
        """Whether the client had an assignment."""
        request = pb.ReleaseAssignmentRequest(tenant=self.tenant, client_id=checked_id(client_id))
        request.ticket = yield from self.last_ticket(client_id)
        if self.uses_cache:
            # Before the call: its outcome may stay unknown, and a released assignment must
            # not be returned from the cache.
            yield CacheDelete(self.tenant, client_id)
        response = yield from self.call(RELEASE, request, timeout_s, client_id)
        return bool(response.released)

    def explain(
        self,
        client_id: str,
        *,
        address: str | None,
        position: tuple[float, float] | None,
        timeout_s: float | None,
        attributes: Mapping[str, str] | None = None,
        waited_s: float | None = None,
    ) -> Steps[Explanation]:
        """Where the client would go and why."""
        request = pb.ExplainPlacementRequest(
            tenant=self.tenant,
            client_id=checked_id(client_id),
            **checked_origin(address, position),
            attributes=attributes,
            waiting_token=self.waiting.token(client_id),
        )
        if waited_s is not None:
            request.waited.FromMilliseconds(round(waited_s * 1_000))
        request.ticket = yield from self.last_ticket(client_id)
        response = yield from self.call(EXPLAIN, request, timeout_s, client_id)
        return explanation_of(response)

    def report_latencies(
        self, client_id: str, *, connect_timeout_s: float, timeout_s: float | None
    ) -> MeasuringSteps[LatencyReport]:
        """What connects to the units that the client may measure took, and what became of it."""
        request = latency_pb2.ReportLatenciesRequest(
            tenant=self.tenant, client_id=checked_id(client_id)
        )
        request.ticket = yield from self.last_ticket(client_id)
        offered = yield from self.call(REPORT, request, timeout_s, client_id)
        endpoints = {one.unit_id: one.endpoint for one in offered.candidates}
        found = yield Connect(endpoints, checked_timeout_s(connect_timeout_s))
        measured: dict[str, float] = found
        for unit, ms in measured.items():
            request.measured.add(unit_id=unit).round_trip.FromMicroseconds(round(ms * 1_000))
        response = offered
        if measured:
            response = yield from self.call(REPORT, request, timeout_s, client_id)
        return LatencyReport(
            measured_ms=measured,
            accepted=response.accepted,
            refused={one.unit_id: one.reason for one in response.refused},
            report_after_s=response.report_after.ToNanoseconds() / 1e9,
        )

    def admit(self, ticket: str, timeout_s: float | None) -> Steps[Admission]:
        """A unit's answer to a ticket; the endpoints are the unit's."""
        response = yield from self.call(ADMIT, unit_pb2.AdmitRequest(ticket=ticket), timeout_s)
        return admission_of(response)


def checked_timeout_s(timeout_s: float) -> float:
    """The timeout, when it is one. Raises ValueError: every call has a deadline."""
    if not 0.0 < timeout_s < float("inf"):
        raise ValueError(f"timeout_s is {timeout_s}; give a number of seconds greater than 0")
    return timeout_s

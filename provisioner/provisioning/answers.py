"""Answers: what a provisioned client is told, its assignment, its ticket and how it was decided.

The one place where answers about assignments are built: to single calls and batches, from
the store or from a client's last ticket, for new clients and known ones. On the hot path
they are bytes (`response_encoding`), elsewhere messages.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from control_plane.errors import InvalidInput, ServiceError
from control_plane.fleet.unit import TenantSpec
from control_plane.serving.status import code_of, duration
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.fleet_view import FleetView
from provisioner.geo.location import Location, LocationSource
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.geodesy import distance_km
from provisioner.provisioning import response_encoding
from provisioner.provisioning.known_clients import KnownClients
from provisioner.provisioning.pending import AnyPending
from provisioner.provisioning.response_encoding import NewResults
from provisioner.provisioning.room_awaited import TOKEN
from provisioner.provisioning.single import Sink
from provisioner.provisioning.ticket_signer import TicketSigner

MAX_CACHED_DECISIONS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketedAssignment:
    """An assignment as messages, with a ticket for it."""

    assignment: pb.Assignment
    ticket: str
    ticket_ttl: Duration


class Answers:
    """One per server; use from its event loop. Follows `fleet_view` from the beginning."""

    def __init__(self, fleet_view: FleetView, tickets: TicketSigner) -> None:
        self._fleet_view = fleet_view
        self._tickets = tickets
        self.known = KnownClients()  # who was told of its home
        self._decisions: dict[tuple[int, str, str], tuple[Location, bytes]] = {}
        self._follow(fleet_view.fleet)
        fleet_view.subscribe(self._follow)

    def _follow(self, fleet: PlacementFleet) -> None:
        """From now on names the units' endpoints of this snapshot."""
        self._units = {
            unit_id: response_encoding.unit_bytes(unit_id, self._fleet_view.endpoint_of(unit_id))
            for unit_id in self._fleet_view.units
        }

    # -- to those who wait in the use case ---------------------------------------------

    def send(
        self,
        pending: AnyPending,
        unit_id: str,
        epoch: int,
        at_ms: int,
        first_ms: int,
        rule: str,
        existing: bool,
    ) -> None:
        """Answers everybody who asked for this client, and may be told. rule: how its unit was
        chosen; existing: it had the assignment before it asked."""
        tenant, client_id = pending.tenant, pending.client_id
        self.known.note(tenant.id, client_id)
        decision = self.decision(pending.location, unit_id, rule)
        assignment = self.assignment(tenant.id, client_id, unit_id, epoch, at_ms)
        self._reply(pending, pending.with_ticket, tenant, client_id, unit_id, epoch,
                    assignment, decision, existing, first_ms)  # fmt: skip
        for other in pending.joined or ():
            self._reply(other, other.with_ticket, tenant, client_id, unit_id, epoch,
                        assignment, decision, True, first_ms)  # fmt: skip

    def send_stale(
        self,
        sink: Sink,
        with_ticket: bool,
        tenant: TenantSpec,
        client_id: str,
        unit_id: str,
        epoch: int,
        known_at: float,
        first_ms: int,
    ) -> None:
        """A stale answer: for one who showed that this was its assignment at `known_at`, Unix
        seconds."""
        assignment = self.assignment(tenant.id, client_id, unit_id, epoch, 0)
        self._reply(sink, with_ticket, tenant, client_id, unit_id, epoch, assignment, b"", True,
                    first_ms, known_at)  # fmt: skip

    def new_result(self, results: NewResults, pending: AnyPending) -> bytes:
        """The entry of a batch for a client that is new and wants no ticket."""
        self.known.note(pending.tenant.id, pending.client_id)
        unit_id = pending.account.unit
        unit = self._units.get(unit_id)
        if unit is None:
            unit = response_encoding.unit_bytes(unit_id, "")
        decision = self.decision(pending.location, unit_id, pending.choice.rule)
        return results.entry(pending.client_id.encode(), unit, decision)

    def _reply(
        self,
        sink: Sink,
        with_ticket: bool,
        tenant: TenantSpec,
        client_id: str,
        unit_id: str,
        epoch: int,
        assignment: bytes,
        decision: bytes,
        existing: bool,
        first_ms: int,
        known_at: float | None = None,
    ) -> None:
        """known_at: None: now, from the store."""
        stale = known_at is not None
        if not with_ticket:
            sink.reply(
                response_encoding.response_bytes(assignment, "", b"", decision, existing, stale)
            )
            return
        ttl = response_encoding.ttl_bytes(tenant.ticket_ttl_s)
        ticket = self._tickets.issue_now(tenant, unit_id, client_id, epoch, known_at, first_ms)
        if ticket is not None:
            sink.reply(
                response_encoding.response_bytes(assignment, ticket, ttl, decision, existing, stale)
            )
            return

        def signed(ticket: str | ServiceError) -> None:
            if isinstance(ticket, ServiceError):
                sink.fail(ticket)
            else:
                sink.reply(
                    response_encoding.response_bytes(
                        assignment, ticket, ttl, decision, existing, stale
                    )
                )

        self._tickets.issue_later(tenant, unit_id, client_id, epoch, signed, known_at, first_ms)

    # -- to those who await a message --------------------------------------------------

    async def ticketed(
        self,
        tenant: TenantSpec,
        client_id: str,
        unit_id: str,
        epoch: int,
        at_ms: int,
        *,
        known_at: float | None = None,
        first_ms: int = 0,
    ) -> TicketedAssignment:
        """An assignment and a ticket for it. at_ms: 0: not known when it was made; known_at:
        when it was known to be so, if that was before now, Unix seconds; first_ms: as the record
        has it. Raises Unavailable."""
        ticket = await self._tickets.issue(tenant, unit_id, client_id, epoch, known_at, first_ms)
        return TicketedAssignment(
            assignment=self.message(tenant.id, client_id, unit_id, epoch, at_ms),
            ticket=ticket,
            ticket_ttl=duration(tenant.ticket_ttl_s),
        )

    def message(
        self, tenant_id: str, client_id: str, unit_id: str, epoch: int, at_ms: int
    ) -> pb.Assignment:
        """An assignment."""
        return pb.Assignment.FromString(
            self.assignment(tenant_id, client_id, unit_id, epoch, at_ms)
        )

    # -- their parts -------------------------------------------------------------------

    def assignment(
        self, tenant_id: str, client_id: str, unit_id: str, epoch: int, at_ms: int
    ) -> bytes:
        """An Assignment message's content. at_ms: 0: not known, left out."""
        unit = self._units.get(unit_id)
        return response_encoding.assignment_bytes(
            response_encoding.tenant_bytes(tenant_id),
            client_id.encode(),
            unit if unit is not None else response_encoding.unit_bytes(unit_id, ""),
            epoch,
            response_encoding.time_bytes(at_ms) if at_ms else b"",
        )

    def decision(self, location: Location, unit_id: str, rule: str) -> bytes:
        """The decision's bytes; cached by identity for locations that the database shares."""
        if location.source is not LocationSource.DATABASE:
            return response_encoding.decision_bytes(
                location, self._distance_km(location, unit_id), rule
            )
        key = (id(location), unit_id, rule)
        cached = self._decisions.get(key)
        if cached is not None and cached[0] is location:
            return cached[1]
        if len(self._decisions) >= MAX_CACHED_DECISIONS:
            self._decisions.clear()
        made = response_encoding.decision_bytes(
            location, self._distance_km(location, unit_id), rule
        )
        self._decisions[key] = (location, made)
        return made

    def _distance_km(self, location: Location, unit_id: str) -> float:
        """From the client to the unit; -1 where either's position is not known."""
        unit = self._fleet_view.seen(unit_id)
        if unit is None or location.latitude is None or location.longitude is None:
            return -1.0
        there = unit.position
        return distance_km(location.latitude, location.longitude, there.latitude, there.longitude)


def failed_result(client_id: str, error: ServiceError) -> bytes:
    """The entry of a batch for a client that got no assignment."""
    result = pb.ProvisionResult(client_id=client_id)
    result.error.code = code_of(error).name
    result.error.message = error.message
    if isinstance(error, InvalidInput):
        result.error.field = error.field
    if error.retry_after_s is not None:
        result.error.retry_after.CopyFrom(duration(error.retry_after_s))
    result.error.waiting_token = error.metadata.get(TOKEN, "")
    return pb.ProvisionManyResponse(results=[result]).SerializeToString()

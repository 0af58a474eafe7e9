"""TicketFallback: known clients are answered while the store is away.

A client that shows the last ticket it was given is known without asking anybody: the ticket
is signed and names its unit and epoch. The store is asked all the same; only where it fails,
or says nothing for a moment, is the client answered from its ticket, marked as stale. What
the store says first always counts. The fresh ticket is no younger than the one shown: a unit
that the client has left since refuses both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from grpc import StatusCode

from control_plane.errors import ServiceError, Unavailable
from control_plane.fleet.unit import TenantSpec
from control_plane.identity.admission import MAX_TICKET_BYTES, AdmissionReason, TicketVerifier
from control_plane.identity.jws import from_base64url
from control_plane.identity.names import is_slug
from control_plane.identity.tickets import ISSUER, TicketIssuer
from control_plane.serving.status import code_of
from control_plane.serving.traced_calls import span_of
from control_plane.store.port import Health, OutcomeUnknown, StoreUnavailable
from control_plane.tracing.tracer import Span
from provisioner.fleet_view import FleetView
from provisioner.provisioning.admission_control import Overloaded
from provisioner.provisioning.answers import Answers, TicketedAssignment
from provisioner.provisioning.client_proof import ShownTicket
from provisioner.provisioning.single import Sink

STORE_SILENT_S = 0.8  # a known client waits this long for a store that seems to be there
STORE_AWAY_S = 0.1  # and this long for one that did not answer last time
LET_DOWN = (StatusCode.UNAVAILABLE, StatusCode.INTERNAL, StatusCode.DATA_LOSS)
"""Statuses by which a known client goes without for no fault of its own."""


class _Claims(msgspec.Struct):
    """What a last ticket is read for; strict, as a unit reads it."""

    iss: str
    aud: str
    sub: str
    tenant: str
    epoch: int
    iat: int
    exp: int
    first: int = 0


_read_claims = msgspec.json.Decoder(_Claims).decode
_UNREADABLE = (ValueError, RecursionError)


class TicketFallback:
    """One per server. `grace_s`: how long after its end a ticket still shows who its client
    is, s; wall: Unix seconds. `answered` counts the clients it answered;
    `unanswered` those who showed a ticket and were let down: by the store, by a server that is
    overrun or ends, or by a fault of ours."""

    def __init__(
        self,
        fleet_view: FleetView,
        issuer: TicketIssuer,
        answers: Answers,
        health: Health,
        *,
        grace_s: float,
        wall: Callable[[], float],
    ) -> None:
        self.answered = 0
        self.unanswered = 0
        self._fleet_view = fleet_view
        self._issuer = issuer
        self._answers = answers
        self._health = health
        self._grace_s = grace_s
        self._wall = wall
        self._verifiers: dict[str, TicketVerifier] = {}  # of units in the fleet: bounded by it
        self._generation = -1

    def silence_s(self) -> float:
        """How long a known client waits for the store before it is answered without."""
        return STORE_SILENT_S if self._health.connected else STORE_AWAY_S

    def covers(self, error: ServiceError) -> bool:
        """Whether a failure means that the store is away or overrun, not that it said no."""
        if isinstance(error, StoreUnavailable | OutcomeUnknown | Overloaded):
            return True
        return isinstance(error, Unavailable) and not self._health.connected

    def read(
        self, tenant_id: str, client_id: str, ticket: str, *, of_any_unit: bool = False
    ) -> ShownTicket | None:
        """None where a last ticket shows nothing: forged, of another client or tenant, too
        old, or for a unit that is not in the fleet, unless it may be `of_any_unit`: who a client
        is, its ticket shows as well when its unit is gone."""
        if not ticket.isascii() or not 0 < len(ticket) <= MAX_TICKET_BYTES:
            return None
        try:
            unit_id = _read_claims(from_base64url(ticket.split(".")[1])).aud
        except (*_UNREADABLE, IndexError):
            return None
        now = self._wall()
        if self._fleet_view.seen(unit_id) is not None:
            verifier = self._verifier(unit_id, now)
        elif of_any_unit and is_slug(unit_id):
            verifier = TicketVerifier(unit_id, self._issuer.keys_for(unit_id, now))
        else:
            return None
        opened = verifier.open(ticket, now)
        if isinstance(opened, AdmissionReason):
            return None
        try:
            claims = _read_claims(opened[1])
        except _UNREADABLE:
            return None
        if (claims.iss, claims.tenant, claims.sub) != (ISSUER, tenant_id, client_id):
            return None
        if claims.epoch < 1 or now > claims.exp + self._grace_s:
            return None
        return ShownTicket(claims.aud, claims.epoch, claims.iat, claims.first)

    async def assignment(
        self, tenant: TenantSpec, client_id: str, ticket: str
    ) -> TicketedAssignment | None:
        """The assignment that a last ticket shows, and a fresh ticket for it."""
        shown = self.read(tenant.id, client_id, ticket)
        if shown is None:
            return None
        unit_id, epoch, known_at, first_ms = shown
        home = await self._answers.ticketed(
            tenant, client_id, unit_id, epoch, 0, known_at=known_at, first_ms=first_ms
        )
        self.answered += 1
        return home

    def answer(
        self,
        tenant: TenantSpec,
        client_id: str,
        shown: ShownTicket,
        with_ticket: bool,
        sink: Sink,
    ) -> None:
        """Answers `sink` with what the last ticket showed."""
        self.answered += 1
        unit_id, epoch, known_at, first_ms = shown
        self._answers.send_stale(
            sink, with_ticket, tenant, client_id, unit_id, epoch, known_at, first_ms
        )

    def _verifier(self, unit_id: str, now: float) -> TicketVerifier:
        issuer = self._issuer
        if issuer.generation != self._generation or len(self._verifiers) > 2 * len(
            self._fleet_view.units
        ):
            self._verifiers.clear()
            self._generation = issuer.generation
        found = self._verifiers.get(unit_id)
        if found is None:
            found = self._verifiers[unit_id] = TicketVerifier(
                unit_id, issuer.keys_for(unit_id, now)
            )
        return found


class FallbackResponder:
    """The sink of a client that showed a ticket, before the sink of its call: whatever comes
    first, what the store says or its silence, is passed on, and nothing after it."""

    __slots__ = ("_client_id", "_fallback", "_sink", "_tenant", "_ticket", "_timer", "_with_ticket")

    shows_ticket = True  # see PendingProvision

    def __init__(
        self,
        fallback: TicketFallback,
        tenant: TenantSpec,
        client_id: str,
        ticket: str,
        with_ticket: bool,
        sink: Sink,
    ) -> None:
        self._fallback = fallback
        self._tenant = tenant
        self._client_id = client_id
        self._ticket = ticket
        self._with_ticket = with_ticket
        self._sink: Sink | None = sink
        self._timer = asyncio.get_running_loop().call_later(
            fallback.silence_s(), self._answer_from_ticket
        )

    @property
    def span(self) -> Span | None:
        """What is traced of its call."""
        return span_of(self._sink)

    def reply(self, response: bytes) -> None:
        """What the store knows."""
        sink = self._first()
        if sink is not None:
            sink.reply(response)

    def fail(self, error: ServiceError) -> None:
        """A refusal is passed on; for the store's absence the ticket answers."""
        if self._fallback.covers(error) and self._answer_from_ticket():
            return
        sink = self._first()
        if sink is not None:
            if code_of(error) in LET_DOWN:
                self._fallback.unanswered += 1
            sink.fail(error)

    def _answer_from_ticket(self) -> bool:
        """Answers from the ticket; False where it shows nothing."""
        if self._sink is None:
            return True
        shown = self._fallback.read(self._tenant.id, self._client_id, self._ticket)
        if shown is None:
            return False
        sink = self._first()
        if sink is not None:
            self._fallback.answer(self._tenant, self._client_id, shown, self._with_ticket, sink)
        return True

    def _first(self) -> Sink | None:
        """The sink, for whoever answers first; None afterwards."""
        self._timer.cancel()
        sink, self._sink = self._sink, None
        return sink

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
from typing import NamedTuple

import msgspec

from control_plane.errors import ServiceError, Unavailable
from control_plane.fleet.unit import TenantSpec
from control_plane.identity.admission import MAX_TICKET_BYTES, Reason, TicketVerifier
from control_plane.identity.tickets import ISSUER, from_base64url
from control_plane.store.port import Health, OutcomeUnknown, StoreUnavailable
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.provisioning import response_encoding
from provisioner.provisioning.admission_control import Overloaded
from provisioner.provisioning.pending import Sink
from provisioner.provisioning.provisioner import Provisioner
from provisioner.provisioning.ticket_signer import TicketSigner

STORE_SILENT_S = 0.8  # a known client waits this long for a store that seems to be there
STORE_AWAY_S = 0.1  # and this long for one that did not answer last time
_STALE = b"\x30\x01"  # field 6 of a ProvisionResponse


class _Claims(msgspec.Struct):
    """What a last ticket is read for; strict, as a unit reads it."""

    iss: str
    aud: str
    sub: str
    tenant: str
    epoch: int
    iat: int
    exp: int


class Shown(NamedTuple):
    """What a last ticket shows."""

    unit_id: str
    epoch: int
    known_at: int  # when this was so, Unix seconds


_read_claims = msgspec.json.Decoder(_Claims).decode
_UNREADABLE = (ValueError, RecursionError)


class TicketFallback:
    """One per server. `grace_s`: how long after its end a ticket still shows who its client
    is, s; wall: Unix seconds. `given` counts the answers."""

    def __init__(
        self,
        provisioner: Provisioner,
        tickets: TicketSigner,
        health: Health,
        *,
        grace_s: float,
        wall: Callable[[], float],
    ) -> None:
        self.provisioner = provisioner
        self.health = health
        self.given = 0
        self._tickets = tickets
        self._grace_s = grace_s
        self._wall = wall
        self._verifiers: dict[str, TicketVerifier] = {}  # of units in the fleet: bounded by it
        self._generation = -1

    def silence_s(self) -> float:
        """How long a known client waits for the store before it is answered without."""
        return STORE_SILENT_S if self.health.connected else STORE_AWAY_S

    def covers(self, error: ServiceError) -> bool:
        """Whether a failure means that the store is away or overrun, not that it said no."""
        if isinstance(error, StoreUnavailable | OutcomeUnknown | Overloaded):
            return True
        return isinstance(error, Unavailable) and not self.health.connected

    def read(self, tenant_id: str, client_id: str, ticket: str) -> Shown | None:
        """None where a last ticket shows nothing: forged, of another client or tenant, too
        old, or for a unit that is not in the fleet."""
        if not ticket.isascii() or not 0 < len(ticket) <= MAX_TICKET_BYTES:
            return None
        try:
            unit_id = _read_claims(from_base64url(ticket.split(".")[1])).aud
        except (*_UNREADABLE, IndexError):
            return None
        if self.provisioner.fleet_view.seen(unit_id) is None:
            return None
        now = self._wall()
        opened = self._verifier(unit_id, now).open(ticket, now)
        if isinstance(opened, Reason):
            return None
        try:
            claims = _read_claims(opened[1])
        except _UNREADABLE:
            return None
        if (claims.iss, claims.tenant, claims.sub) != (ISSUER, tenant_id, client_id):
            return None
        if claims.epoch < 1 or now > claims.exp + self._grace_s:
            return None
        return Shown(claims.aud, claims.epoch, claims.iat)

    async def assignment(
        self, tenant: TenantSpec, client_id: str, ticket: str
    ) -> tuple[pb.Assignment, str] | None:
        """The assignment a last ticket shows and a fresh ticket for it."""
        shown = self.read(tenant.id, client_id, ticket)
        if shown is None:
            return None
        fresh = await self._tickets.issue(
            tenant, shown.unit_id, client_id, shown.epoch, shown.known_at
        )
        self.given += 1
        return pb.Assignment.FromString(self._assignment(tenant.id, client_id, shown)), fresh

    def answer(
        self,
        tenant: TenantSpec,
        client_id: str,
        shown: Shown,
        with_ticket: bool,
        sink: Sink,
    ) -> None:
        """Answers `sink` with what the last ticket showed."""
        self.given += 1
        assignment = self._assignment(tenant.id, client_id, shown)
        ttl = response_encoding.ttl_bytes(tenant.ticket_ttl_s)

        def signed(ticket: str | ServiceError) -> None:
            if isinstance(ticket, ServiceError):
                sink.fail(ticket)
                return
            sink.reply(
                response_encoding.response_bytes(assignment, ticket, ttl, b"", True) + _STALE
            )

        unit_id, epoch, known_at = shown
        fresh = self._tickets.issue_now(tenant, unit_id, client_id, epoch, known_at)
        if not with_ticket:
            signed("")
        elif fresh is not None:
            signed(fresh)
        else:
            self._tickets.issue_later(tenant, unit_id, client_id, epoch, signed, known_at)

    def _assignment(self, tenant_id: str, client_id: str, shown: Shown) -> bytes:
        unit = self.provisioner.fleet_view.seen(shown.unit_id)
        return response_encoding.assignment_bytes(
            response_encoding.tenant_bytes(tenant_id),
            client_id.encode(),
            response_encoding.unit_bytes(shown.unit_id, unit.endpoint if unit is not None else ""),
            shown.epoch,
            b"",  # when it was assigned, the ticket does not say
        )

    def _verifier(self, unit_id: str, now: float) -> TicketVerifier:
        issuer = self._tickets.issuer
        if issuer.generation != self._generation or len(self._verifiers) > 2 * len(
            self.provisioner.fleet_view.units
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
    """Stands before the sink of a client that showed a ticket: whoever answers first, the
    store or its silence, answers; the other is not heard."""

    __slots__ = ("_answers", "_client_id", "_sink", "_tenant", "_ticket", "_timer", "_with_ticket")

    def __init__(
        self,
        answers: TicketFallback,
        tenant: TenantSpec,
        client_id: str,
        ticket: str,
        with_ticket: bool,
        sink: Sink,
    ) -> None:
        self._answers = answers
        self._tenant = tenant
        self._client_id = client_id
        self._ticket = ticket
        self._with_ticket = with_ticket
        self._sink: Sink | None = sink
        self._timer = asyncio.get_running_loop().call_later(answers.silence_s(), self._silent)

    def reply(self, response: bytes) -> None:
        """What the store knows."""
        sink = self._take()
        if sink is not None:
            sink.reply(response)

    def fail(self, error: ServiceError) -> None:
        """A refusal, or the store's absence, which the ticket makes good."""
        if self._answers.covers(error) and self._silent():
            return
        sink = self._take()
        if sink is not None:
            sink.fail(error)

    def _silent(self) -> bool:
        """Answers from the ticket; False where it shows nothing."""
        if self._sink is None:
            return True
        shown = self._answers.read(self._tenant.id, self._client_id, self._ticket)
        if shown is None:
            return False
        sink = self._take()
        if sink is not None:
            self._answers.answer(self._tenant, self._client_id, shown, self._with_ticket, sink)
        return True

    def _take(self) -> Sink | None:
        self._timer.cancel()
        sink, self._sink = self._sink, None
        return sink

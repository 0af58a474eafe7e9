"""TicketViewers: who looks at a page, by the ticket that they show.

The ticket is that of the viewer's own unit. It counts as it does there: signed, not over, and of an
assignment that still stands.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from control_plane.errors import NotFound, Refused, Unauthenticated
from control_plane.identity import jws
from control_plane.identity.admission import MAX_TICKET_BYTES, TicketVerifier
from control_plane.identity.jws import UNREADABLE
from control_plane.identity.names import is_slug
from control_plane.identity.tickets import TicketIssuer
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.resolving import Resolver


class _Audience(msgspec.Struct):
    aud: str


_read_audience = msgspec.json.Decoder(_Audience).decode


class TicketViewers:
    """wall: Unix seconds."""

    def __init__(
        self, issuer: TicketIssuer, resolver: Resolver, *, wall: Callable[[], float]
    ) -> None:
        self._issuer = issuer
        self._resolver = resolver
        self._wall = wall

    async def viewer(self, tenant: str, ticket: str) -> str:
        """The account of the tenant whose ticket it is. Raises Unauthenticated; Unavailable."""
        now, unit_id = self._wall(), _audience(ticket)
        if not unit_id:
            raise _no_ticket()
        verifier = TicketVerifier(unit_id, self._issuer.keys_for(unit_id, now), tenants=(tenant,))
        found = verifier.verify(ticket, now)
        if not found.admitted:
            raise _no_ticket()
        acting = ActingUnit(unit_id=unit_id, epoch=found.epoch)
        try:
            await self._resolver.check_viewer(tenant, found.client_id, acting)
        except (NotFound, Refused) as error:
            raise _no_ticket() from error
        return found.client_id


def _audience(ticket: str) -> str:
    """For which unit it says to be; empty: it is no ticket."""
    parsed = jws.parse(ticket, max_bytes=MAX_TICKET_BYTES)
    if parsed is None:
        return ""
    try:
        unit_id = _read_audience(parsed[1]).aud
    except UNREADABLE:
        return ""
    return unit_id if is_slug(unit_id) else ""


def _no_ticket() -> Unauthenticated:
    return Unauthenticated("this is no ticket of a client here; leave authorization out")

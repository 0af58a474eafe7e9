"""Ticket callers: clients that show the ticket of their unit to a service that is no unit.

Such a service has no unit's key, so it takes tickets that are signed with EdDSA alone, and checks
them with the fleet's public keys, offline. The type, the issuer and the audience tell a ticket from
all else that these keys sign (RFC 8725, sections 3.9, 3.11 and 3.12). Whether the client has moved
since is not known here: a ticket is good until it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from control_plane.auth.callers import Caller
from control_plane.auth.jwt_verifier import Claims, IssuerPolicy, JwtVerifier, KeySource
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import InvalidInput
from control_plane.identity.admission import LEEWAY_S
from control_plane.identity.jws import EDDSA
from control_plane.identity.names import check_client_id, is_slug
from control_plane.identity.tickets import ISSUER
from control_plane.printable import quoted


def ticket_verifier(
    keys: KeySource, units: Collection[str], *, wall: Callable[[], float]
) -> JwtVerifier[Caller]:
    """keys: the fleet's public ones; units: whose tickets count; none: all. wall: Unix seconds."""
    policy = IssuerPolicy(
        issuer=ISSUER, audiences=None, algorithms=frozenset({EDDSA}), leeway_s=LEEWAY_S
    )
    named = frozenset(units)
    return JwtVerifier(policy, keys, read=lambda claims: client_of(claims, named), wall=wall)


def client_of(claims: Claims, units: Collection[str]) -> Caller:
    """Whose ticket it is, by claims that are signed. Raises ValueError where they are not those of
    a ticket, or of another unit than these."""
    unit, tenant, client_id = claims.get("aud"), claims.get("tenant"), claims.get("sub")
    if not isinstance(unit, str) or not is_slug(unit):
        raise ValueError(f"aud is {quoted(unit)}, no unit")
    if units and unit not in units:
        raise ValueError(f"tickets of unit {unit} do not count here")
    if not isinstance(tenant, str) or not is_slug(tenant) or not isinstance(client_id, str):
        raise ValueError("it names no client of a tenant")
    if type(claims.get("epoch")) is not int or type(claims.get("iat")) is not int:
        raise ValueError("it has no epoch, or does not say when it was issued")
    try:
        check_client_id(client_id)
    except InvalidInput as error:
        raise ValueError(error.message) from error
    return Caller(
        name=f"client {client_id}",
        roles=with_implied({Role.CLIENT}),
        tenant=tenant,
        client_id=client_id,
    )

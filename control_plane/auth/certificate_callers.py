"""CertificateCallers: who a verified certificate makes its bearer, by the path of its SPIFFE ID.

    unit/<unit>                    the agent of that unit
    platform/<tenant>/<name>       that platform
    operator/<name>                the role that the setting gives this name
    client/<tenant>/<client>       that client, proved

Only identities of the trust domain that is set are looked at. Whatever else a certificate says,
it names nobody: its bearer is whoever shows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.auth.callers import Caller
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import InvalidInput
from control_plane.identity.names import check_client_id, check_slug
from control_plane.serving.peer_identity import PeerIdentity


class CertificateCallers:
    """operators: roles by name; those who are not in it are nobody."""

    def __init__(self, trust_domain: str, operators: Mapping[str, Role]) -> None:
        self._trust_domain = trust_domain.lower()
        self._operators = dict(operators)

    def caller(self, identity: PeerIdentity | None) -> Caller | None:
        """Who this is; None: nobody."""
        if identity is None or identity.trust_domain != self._trust_domain:
            return None
        name = str(identity)
        try:
            match identity.path:
                case ("unit", unit):
                    return Caller(
                        name=name,
                        roles=with_implied({Role.UNIT}),
                        units=frozenset({check_slug(unit, "unit")}),
                    )
                case ("platform", tenant, platform):
                    return Caller(
                        name=name,
                        roles=with_implied({Role.PLATFORM}),
                        tenant=check_slug(tenant, "tenant"),
                        platform=check_slug(platform, "platform"),
                    )
                case ("operator", operator) if operator in self._operators:
                    return Caller(name=name, roles=with_implied({self._operators[operator]}))
                case ("client", tenant, client):
                    return Caller(
                        name=name,
                        roles=with_implied({Role.CLIENT}),
                        tenant=check_slug(tenant, "tenant"),
                        client_id=check_client_id(client),
                    )
        except InvalidInput:
            return None
        return None


def is_others(certificate: Caller, bearer: Caller) -> bool:
    """Whether a bearer is shown over a connection that it has no business on: a unit's or a
    platform's own, with the token of anybody else."""
    if certificate.may(Role.UNIT):
        return not (bearer.may(Role.UNIT) and certificate.units <= bearer.units)
    if certificate.may(Role.PLATFORM):
        mine = (certificate.tenant, certificate.platform)
        return not (bearer.may(Role.PLATFORM) and mine == (bearer.tenant, bearer.platform))
    return False

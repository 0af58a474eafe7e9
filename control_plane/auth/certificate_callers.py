"""CertificateCallers: who a verified certificate makes its bearer, by the path of its SPIFFE ID.

    unit/<unit>                    the agent of that unit
    platform/<tenant>/<name>       that platform
    operator/<name>                the role that the setting gives this name
    client/<tenant>/<client>       that client, proved

Only identities of the trust domains that are set are looked at. Whatever else a certificate says,
it names nobody: its bearer is whoever shows nothing. Why it names nobody is for operators.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from control_plane.auth.callers import Caller
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import InvalidInput
from control_plane.identity.names import check_client_id, check_slug
from control_plane.serving.peer_identity import PeerIdentity


class CertificateRefusal(StrEnum):
    """Why a certificate names nobody."""

    WITHOUT_IDENTITY = "certificate-without-identity"  # no SPIFFE ID, or several URIs
    OTHER_DOMAIN = "certificate-of-another-domain"
    UNKNOWN_OPERATOR = "certificate-of-unknown-operator"  # certificate_operators has no such name
    UNKNOWN_KIND = "certificate-of-unknown-kind"  # none of the four, or a name that is none


class CertificateCallers:
    """operators: roles by name, the same in all trust domains; those who are not in it are
    nobody."""

    def __init__(self, trust_domains: Collection[str], operators: Mapping[str, Role]) -> None:
        self._trust_domains = frozenset(one.lower() for one in trust_domains)
        self._operators = dict(operators)

    def caller(self, identity: PeerIdentity | None) -> Caller | None:
        """Who this is; None: nobody."""
        if identity is None or identity.trust_domain not in self._trust_domains:
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

    def why_nobody(self, identity: PeerIdentity | None) -> tuple[CertificateRefusal, str]:
        """Of one of whom `caller` says None: the reason, and a line for the log."""
        if identity is None:
            return (
                CertificateRefusal.WITHOUT_IDENTITY,
                "it has no SPIFFE ID, or more than one URI among its alternative names",
            )
        if identity.trust_domain not in self._trust_domains:
            return (
                CertificateRefusal.OTHER_DOMAIN,
                f"{identity} is not of {', '.join(sorted(self._trust_domains))}",
            )
        if identity.kind == "operator" and len(identity.names) == 1:
            return (
                CertificateRefusal.UNKNOWN_OPERATOR,
                f"certificate_operators gives {identity} no role",
            )
        return (
            CertificateRefusal.UNKNOWN_KIND,
            f"{identity} is of no form that names a unit, platform, operator or client",
        )


def is_others(certificate: Caller, bearer: Caller) -> bool:
    """Whether a bearer is shown over a connection that it has no business on: a unit's or a
    platform's own, with the token of anybody else."""
    if certificate.may(Role.UNIT):
        return not (bearer.may(Role.UNIT) and certificate.units <= bearer.units)
    if certificate.may(Role.PLATFORM):
        mine = (certificate.tenant, certificate.platform)
        return not (bearer.may(Role.PLATFORM) and mine == (bearer.tenant, bearer.platform))
    return False

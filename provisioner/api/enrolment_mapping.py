"""How the ways of enrolment and the issuers of a tenant look on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from control_plane.auth.jwks import parse_jwks
from control_plane.auth.jwks_source import check_url
from control_plane.errors import InvalidInput
from control_plane.fleet.enrolment import SUBJECT, EnrolmentMethod, TrustedIssuer
from homeport.api.tenancy.v1 import tenancy_pb2 as pb
from provisioner.policy.told_attributes import check_told

_METHODS = {
    pb.ENROLMENT_METHOD_OPEN: EnrolmentMethod.OPEN,
    pb.ENROLMENT_METHOD_TOKEN: EnrolmentMethod.TOKEN,
    pb.ENROLMENT_METHOD_X509: EnrolmentMethod.X509,
    pb.ENROLMENT_METHOD_BOOTSTRAP: EnrolmentMethod.BOOTSTRAP,
}
_TO_PROTO = {method: number for number, method in _METHODS.items()}


def methods_from_proto(
    numbers: Iterable[pb.EnrolmentMethod.ValueType],
) -> tuple[EnrolmentMethod, ...]:
    """Raises InvalidInput for one that nobody knows."""
    found = []
    for number in numbers:
        method = _METHODS.get(number)
        if method is None:
            raise InvalidInput(
                "tenant.enrolment", "tenant.enrolment must be OPEN, TOKEN, X509 or BOOTSTRAP"
            )
        found.append(method)
    return tuple(found)


def methods_to_proto(
    methods: Iterable[EnrolmentMethod],
) -> list[pb.EnrolmentMethod.ValueType]:
    """For the wire."""
    return [_TO_PROTO[method] for method in methods]


def given_attributes(said: Mapping[str, str]) -> dict[str, str]:
    """With which clients are made, in the order of their names. Raises InvalidInput."""
    given = check_told({name: said[name] for name in sorted(said)})
    for name, value in given.items():
        if not value:
            raise InvalidInput("attributes", f"the attribute {name} is empty; leave it out")
    return dict(given)


def issuers_from_proto(messages: Iterable[pb.TrustedIssuer]) -> tuple[TrustedIssuer, ...]:
    """Unchecked."""
    return tuple(
        TrustedIssuer(
            issuer=one.issuer,
            audience=one.audience,
            jwks_url=one.jwks_url,
            jwks=one.jwks,
            client_claim=one.client_claim or SUBJECT,
            attribute_claims=dict(one.attribute_claims),
        )
        for one in messages
    )


def issuers_to_proto(issuers: Iterable[TrustedIssuer]) -> list[pb.TrustedIssuer]:
    """For the wire."""
    found = []
    for one in issuers:
        message = pb.TrustedIssuer(
            issuer=one.issuer,
            audience=one.audience,
            client_claim=one.client_claim,
            attribute_claims=one.attribute_claims,
        )
        if one.jwks:
            message.jwks = one.jwks
        else:
            message.jwks_url = one.jwks_url
        found.append(message)
    return found


def check_keys(issuers: Iterable[TrustedIssuer]) -> None:
    """Of issuers that were checked otherwise: whether their keys can be used, or asked for.
    Raises InvalidInput."""
    for place, one in enumerate(issuers):
        where = f"tenant.issuers[{place}]"
        try:
            if one.jwks_url:
                check_url(one.jwks_url, "jwks_url")
            elif not len(parse_jwks(one.jwks.encode())):
                raise InvalidInput("jwks", "it has no key to check signatures with")
        except InvalidInput as error:
            name = "jwks" if one.jwks else "jwks_url"
            raise InvalidInput(f"{where}.{name}", f"{where}.{name}: {error.message}") from error

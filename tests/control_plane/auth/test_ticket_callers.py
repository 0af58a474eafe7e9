"""Clients that show their unit's ticket to another service: which count there, and as whom."""

from __future__ import annotations

import pytest

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.jwks import parse_jwks
from control_plane.auth.jwt_verifier import FixedKeys, JwtRefusal, JwtRefused
from control_plane.auth.roles import Role, with_implied
from control_plane.auth.ticket_callers import ticket_verifier
from control_plane.errors import Unauthenticated
from control_plane.identity.introductions import INTRODUCTION_ISSUER, INTRODUCTION_TYPE
from tests.support.credentials import authenticator_of, bearer, tokens_of
from tests.support.user_tickets import TENANT, UNIT, Fleet

NOW = 1_800_000_000.0
FLEET = Fleet(NOW)
OTHERS = Fleet(NOW)


def verifier(*units: str, now: float = NOW):
    return ticket_verifier(FixedKeys(parse_jwks(FLEET.key_set())), units, wall=lambda: now)


def test_a_ticket_says_whose_it_is_and_nothing_more() -> None:
    assert verifier().verify(FLEET.ticket("anna/b".replace("/", "-"))) == Caller(
        name="client anna-b",
        roles=with_implied({Role.CLIENT}),
        tenant=TENANT,
        client_id="anna-b",
    )


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        pytest.param(OTHERS.ticket("anna"), JwtRefusal.SIGNATURE, id="of-another-fleet"),
        pytest.param(
            FLEET.issuer.issue(UNIT, TENANT, "anna", 1, NOW, 60.0), JwtRefusal.ALGORITHM,
            id="signed-for-its-unit-alone",
        ),
        pytest.param(FLEET.ticket("anna", ttl_s=-10.0), JwtRefusal.EXPIRED, id="that-has-ended"),
        pytest.param(
            FLEET.of_claims(iat=int(NOW) + 60), JwtRefusal.ISSUED_LATER, id="from-the-future"
        ),
        pytest.param(
            FLEET.of_claims(typ=INTRODUCTION_TYPE), JwtRefusal.TYPE, id="of-another-type"
        ),
        pytest.param(
            FLEET.of_claims(iss=INTRODUCTION_ISSUER), JwtRefusal.ISSUER, id="of-another-issuer"
        ),
        pytest.param(FLEET.of_claims(exp=...), JwtRefusal.NO_EXPIRY, id="without-an-end"),
        pytest.param(FLEET.of_claims(aud=...), JwtRefusal.CLAIMS, id="for-no-unit"),
        pytest.param(FLEET.of_claims(aud=[UNIT]), JwtRefusal.CLAIMS, id="for-a-list"),
        pytest.param(FLEET.of_claims(aud="a b"), JwtRefusal.CLAIMS, id="for-what-is-no-unit"),
        pytest.param(FLEET.of_claims(tenant=...), JwtRefusal.CLAIMS, id="of-no-tenant"),
        pytest.param(FLEET.of_claims(tenant="A/B"), JwtRefusal.CLAIMS, id="of-a-wrong-tenant"),
        pytest.param(FLEET.of_claims(sub=""), JwtRefusal.CLAIMS, id="of-nobody"),
        pytest.param(FLEET.of_claims(sub="a/b"), JwtRefusal.CLAIMS, id="of-no-client"),
        pytest.param(FLEET.of_claims(epoch=...), JwtRefusal.CLAIMS, id="without-an-epoch"),
        pytest.param(FLEET.of_claims(epoch=True), JwtRefusal.CLAIMS, id="of-no-epoch"),
    ],
)  # fmt: skip
def test_what_is_no_ticket_here(shown: str, reason: JwtRefusal) -> None:
    with pytest.raises(JwtRefused) as refused:
        verifier().verify(shown)
    assert refused.value.reason is reason


def test_tickets_of_units_that_are_named_count_alone() -> None:
    assert verifier(UNIT).verify(FLEET.ticket("anna")).client_id == "anna"
    with pytest.raises(JwtRefused, match="tickets of unit us-east do not count here"):
        verifier(UNIT).verify(FLEET.ticket("anna", unit="us-east"))


def test_a_ticket_is_looked_at_beside_tokens_and_refused_without_saying_why() -> None:
    ann = Caller(name="ann", roles=with_implied({Role.OPERATOR}))
    found = authenticator_of(tokens_of(token=ann), tickets=verifier())
    control = AccessControl({}, found)
    assert control.caller(bearer("token")) is ann
    assert control.caller(bearer(FLEET.ticket("anna"))).client_id == "anna"
    said = set()
    for shown in (OTHERS.ticket("anna"), FLEET.ticket("anna", ttl_s=-10.0), "ey.ey.ey", "x"):
        with pytest.raises(Unauthenticated) as refused:
            control.caller(bearer(shown))
        said.add(refused.value.message)
    assert len(said) == 1
    with pytest.raises(Unauthenticated):  # where no tickets count
        AccessControl({}, authenticator_of(tokens_of())).caller(bearer(FLEET.ticket("anna")))

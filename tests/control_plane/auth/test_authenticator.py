"""Who makes a call: tokens, JWTs of operators, certificates, and these beside each other."""

from __future__ import annotations

import logging
import secrets

import pytest

from control_plane.auth.authenticator import TokenRefusal
from control_plane.auth.callers import Caller
from control_plane.auth.certificate_callers import CertificateCallers, CertificateRefusal
from control_plane.auth.credentials import new_token
from control_plane.auth.jwks import parse_jwks
from control_plane.auth.jwt_verifier import FixedKeys, IssuerPolicy, JwtRefusal, JwtVerifier
from control_plane.auth.oidc_operators import ClaimRules, caller_of_claims
from control_plane.auth.refusals import PAUSE_S, REFUSED, Refusals
from control_plane.auth.roles import Role, with_implied
from control_plane.auth.tokens import TokenEntry, Tokens, digest_of
from control_plane.errors import Unauthenticated
from control_plane.serving.peer_identity import PeerIdentity
from tests.support.credentials import authenticator_of, bearer, showing, tokens_of
from tests.support.jwt_issuer import AUDIENCE, ISSUER, NOW, document, jwk
from tests.support.jwt_issuer import token as jwt_of

ANN = Caller(name="ann", roles=with_implied({Role.OPERATOR}))
DUBLIN = Caller(name="dublin", roles=with_implied({Role.UNIT}), units=frozenset({"dublin", "cork"}))
P1 = Caller(name="p", roles=with_implied({Role.PLATFORM}), tenant="city", platform="p-1")
CERTIFICATES = CertificateCallers({"example.net"}, {"ben": Role.ADMIN})
RULES = ClaimRules(roles={"ops": Role.OPERATOR})


def identity(path: str, domain: str = "example.net") -> PeerIdentity:
    return PeerIdentity(trust_domain=domain, path=tuple(path.split("/")))


def operators() -> JwtVerifier[Caller]:
    return JwtVerifier(
        IssuerPolicy(issuer=ISSUER, audiences=frozenset({AUDIENCE})),
        FixedKeys(parse_jwks(document(jwk("P-256")))),
        read=lambda claims: caller_of_claims(claims, RULES),
        wall=lambda: NOW,
    )


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def test_a_token_until_it_expires():
    clock = Clock()
    tokens = Tokens({digest_of("t"): TokenEntry(caller=ANN, expires_at=NOW + 1)})
    found = authenticator_of(tokens, wall=clock)
    assert found.caller(showing(bearer("t")), None) is ANN
    clock.now = NOW + 1
    with pytest.raises(Unauthenticated):
        found.caller(showing(bearer("t")), None)


def test_a_jwt_of_an_operator():
    found = authenticator_of(tokens_of(), operators=operators())
    caller = found.caller(showing(bearer(jwt_of(roles=["ops"]))), None)
    assert (caller.name, Role.OPERATOR in caller.roles) == ("oidc:ann", True)


def test_every_refusal_has_a_reason_for_the_log_and_one_text_for_the_caller(caplog):
    refusals = Refusals(clock=lambda: 0.0)
    expired = Tokens({digest_of("old"): TokenEntry(caller=ANN, expires_at=NOW)})
    found = authenticator_of(
        expired,
        refusals=refusals,
        wall=lambda: NOW,
        operators=operators(),
        certificates=CERTIFICATES,
    )
    typed = new_token(secrets.token_bytes(32))
    shown = {
        TokenRefusal.UNKNOWN: "secret-guess",
        TokenRefusal.EXPIRED: "old",
        TokenRefusal.MISTYPED: typed[:-1] + ("a" if typed[-1] != "a" else "b"),
        JwtRefusal.SIGNATURE: jwt_of(number=1),
        JwtRefusal.EXPIRED: jwt_of(exp=NOW - 100),
        JwtRefusal.ISSUER: jwt_of(iss="https://evil.example"),
        JwtRefusal.AUDIENCE: jwt_of(aud="x"),
        JwtRefusal.UNKNOWN_KEY: jwt_of(headers={"kid": "x"}),
        JwtRefusal.CLAIMS: jwt_of(sub=""),
    }
    texts = set()
    with caplog.at_level(logging.WARNING):
        for text in shown.values():
            with pytest.raises(Unauthenticated) as refused:
                found.caller(showing(bearer(text)), None)
            texts.add(refused.value.message)
    assert texts == {REFUSED}
    assert dict(refusals.counts) == dict.fromkeys(shown, 1)
    for reason, text in shown.items():
        assert f"refused, {reason}: " in caplog.text
        assert text not in caplog.text


def test_the_log_has_a_line_for_each_reason_now_and_then(caplog):
    clock = Clock()
    refusals = Refusals(clock=clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            for reason in ("a", "b"):
                with pytest.raises(Unauthenticated):
                    refusals.refuse(reason, "why")
        assert len(caplog.records) == 2
        clock.now += PAUSE_S
        with pytest.raises(Unauthenticated):
            refusals.refuse("a", "why")
    assert "49 more since" in caplog.records[-1].getMessage()
    assert refusals.counts == {"a": 51, "b": 50}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("unit/dublin", {"roles": {Role.UNIT}, "units": {"dublin"}}),
        ("platform/city/p-1", {"roles": {Role.PLATFORM}, "tenant": "city", "platform": "p-1"}),
        ("operator/ben", {"roles": set(Role) - {Role.UNIT, Role.PLATFORM}}),
        ("client/city/c-1", {"roles": {Role.CLIENT}, "tenant": "city", "client_id": "c-1"}),
    ],
)
def test_who_a_certificate_names(path, expected):
    caller = authenticator_of(tokens_of(), certificates=CERTIFICATES).caller(
        showing(), identity(path)
    )
    roles = expected.pop("roles")
    assert caller.roles == roles | {Role.ANYONE}
    fields = {"tenant": "", "platform": "", "client_id": "", "units": frozenset(), **expected}
    assert {name: getattr(caller, name) for name in fields} == fields
    assert caller.name == f"spiffe://example.net/{path}"


@pytest.mark.parametrize(
    "path",
    [
        "", "unit", "unit/a/b", "unit/UPPER", "unit/-a", "platform/city", "platform/city/p/q",
        "platform/City/p", "operator/carl", "operator", "operator/ben/x", "client/city",
        "client/c/" + "x" * 129, "admin/ben", "Unit/dublin",
    ],
)  # fmt: skip
def test_other_paths_name_nobody(path):
    found = authenticator_of(tokens_of(), certificates=CERTIFICATES)
    assert found.caller(showing(), identity(path)) is None


def test_other_trust_domains_name_nobody():
    found = authenticator_of(tokens_of(), certificates=CERTIFICATES)
    for domain in ("evil.example", "example.net.evil.example", "net", ""):
        assert found.caller(showing(), identity("unit/dublin", domain)) is None
    assert authenticator_of(tokens_of()).caller(showing(), identity("unit/dublin")) is None
    several = CertificateCallers(["Example.NET", "b.example"], {})
    for domain in ("example.net", "b.example"):
        assert several.caller(identity("unit/dublin", domain)) is not None
    assert several.caller(identity("unit/dublin", "net")) is None


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        (None, CertificateRefusal.WITHOUT_IDENTITY),
        (identity("unit/dublin", "evil.example"), CertificateRefusal.OTHER_DOMAIN),
        (identity("operator/ben", "evil.example"), CertificateRefusal.OTHER_DOMAIN),
        (identity("operator/carl"), CertificateRefusal.UNKNOWN_OPERATOR),
        (identity("operator/ben/x"), CertificateRefusal.UNKNOWN_KIND),
        (identity("agent"), CertificateRefusal.UNKNOWN_KIND),
        (identity("unit/Not_A_Slug"), CertificateRefusal.UNKNOWN_KIND),
    ],
)
def test_why_a_certificate_names_nobody_is_counted_and_logged(who, reason, caplog):
    refusals = Refusals(clock=lambda: 0.0)
    found = authenticator_of(tokens_of(), refusals=refusals, certificates=CERTIFICATES)
    assert found.caller(showing(), who) is None
    assert refusals.counts == {}, "it may do what everybody may"
    found.note_stranger(showing(), who)
    assert refusals.counts == {reason: 1}
    assert f"refused, {reason}: " in caplog.text


def test_without_trust_domains_or_with_a_bearer_certificates_are_not_to_blame():
    refusals = Refusals(clock=lambda: 0.0)
    authenticator_of(tokens_of(), refusals=refusals).note_stranger(showing(), None)
    found = authenticator_of(tokens_of(), refusals=refusals, certificates=CERTIFICATES)
    found.note_stranger(showing(bearer("x")), None)
    assert refusals.counts == {}


SPOKEN = tokens_of(ann=ANN, dublin=DUBLIN, p1=P1)


@pytest.mark.parametrize(
    ("path", "token", "taken"),
    [
        ("unit/dublin", "dublin", True),
        ("unit/cork", "dublin", True),
        ("unit/virginia", "dublin", False),
        ("unit/dublin", "ann", False),
        ("unit/dublin", "p1", False),
        ("platform/city/p-1", "p1", True),
        ("platform/city/p-2", "p1", False),
        ("platform/bank/p-1", "p1", False),
        ("platform/city/p-1", "ann", False),
        ("operator/ben", "ann", True),
        ("operator/ben", "dublin", True),
        ("operator/nobody", "ann", True),
        ("client/city/c-1", "ann", True),
    ],
)
def test_a_token_over_a_connection_with_a_certificate(path, token, taken):
    refusals = Refusals(clock=lambda: 0.0)
    found = authenticator_of(SPOKEN, refusals=refusals, certificates=CERTIFICATES)
    if taken:
        assert (
            found.caller(showing(bearer(token)), identity(path)).name
            == SPOKEN.find(token).caller.name
        )
    else:
        with pytest.raises(Unauthenticated, match="not known here"):
            found.caller(showing(bearer(token)), identity(path))
        assert refusals.counts == {TokenRefusal.OF_ANOTHER: 1}


def test_a_wrong_token_is_not_mended_by_a_certificate():
    found = authenticator_of(SPOKEN, certificates=CERTIFICATES)
    with pytest.raises(Unauthenticated):
        found.caller(showing(bearer("wrong")), identity("operator/ben"))


LOOKS = {
    "of a group": "hmac.eu.c2VjcmV0",
    "for one use": "boot.abc",
    "a JWT": "eyJhbGciOiJub25lIn0.e30.",
    "a JWT of the operators' issuer": jwt_of(sub=""),
    "any": "s3cret",
}


@pytest.mark.parametrize("clients_enrol", [True, False], ids=["serve", "share"])
@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_token_of_the_file_counts_whatever_it_looks_like(look, clients_enrol):
    tokens = Tokens({digest_of(look): TokenEntry(caller=ANN, expires_at=NOW)})
    clock = Clock()
    clock.now = NOW - 1
    found = authenticator_of(tokens, wall=clock, operators=operators(), clients_enrol=clients_enrol)
    assert found.caller(showing(bearer(look)), None) is ANN
    clock.now = NOW
    with pytest.raises(Unauthenticated):
        found.caller(showing(bearer(look)), None)


@pytest.mark.parametrize("look", ["of a group", "for one use", "a JWT"])
def test_what_clients_enrol_with_leaves_what_their_certificate_says(look):
    found = authenticator_of(tokens_of(), clients_enrol=True, certificates=CERTIFICATES)
    shown = showing(bearer(LOOKS[look]))
    caller = found.caller(shown, identity("client/city/meter-1"))
    assert caller is not None
    assert (caller.tenant, caller.client_id) == ("city", "meter-1")
    assert found.caller(shown, None) is None


@pytest.mark.parametrize("look", ["of a group", "for one use", "a JWT"])
def test_what_clients_enrol_with_names_nobody_where_they_do_and_is_refused_elsewhere(look):
    assert (
        authenticator_of(tokens_of(), clients_enrol=True).caller(showing(bearer(LOOKS[look])), None)
        is None
    )
    with pytest.raises(Unauthenticated):
        authenticator_of(tokens_of()).caller(showing(bearer(LOOKS[look])), None)

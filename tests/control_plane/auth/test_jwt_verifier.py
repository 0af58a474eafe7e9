"""JWTs of an issuer: each way of not being one for us has its own reason."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from control_plane.auth.jwks import parse_jwks
from control_plane.auth.jwt_verifier import (
    MAX_LEEWAY_S,
    ClaimedIssuers,
    FixedKeys,
    IssuerPolicy,
    JwtRefusal,
    JwtRefused,
    JwtVerifier,
    claimed_issuer,
)
from tests.support.jwt_issuer import AUDIENCE, ISSUER, NOW, document, jwk, private_key, token

KINDS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    "ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519",
}  # fmt: skip
POLICY = IssuerPolicy(issuer=ISSUER, audiences=frozenset({AUDIENCE}))


KEPT = token()


class FakeKeys:
    """A source whose keys a test replaces, and that counts who asked anew."""

    def __init__(self, *jwks) -> None:
        self.asked = 0
        self.publish(*jwks)

    def publish(self, *jwks) -> None:
        self.keys = parse_jwks(document(*jwks))

    def current(self):
        return self.keys

    def ask_anew(self) -> None:
        self.asked += 1


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def verifier(keys=None, policy: IssuerPolicy = POLICY, clock=None, read=dict, **more):
    return JwtVerifier(
        policy,
        keys or FixedKeys(parse_jwks(document(jwk("P-256")))),
        read=read,
        wall=clock or Clock(),
        **more,
    )


def refusal(text: str, **more) -> JwtRefusal:
    with pytest.raises(JwtRefused) as refused:
        verifier(**more).verify(text)
    return refused.value.reason


@pytest.mark.parametrize("algorithm", KINDS)
def test_a_token_of_the_issuer_is_taken(algorithm):
    kind = KINDS[algorithm]
    found = verifier(FakeKeys(jwk(kind))).verify(token(algorithm, kind=kind))
    assert found["sub"] == "ann"


def part(value) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def hmac_with_the_public_key(form) -> str:
    """The classic forgery: an HMAC whose secret is the key that everybody may read."""
    public = form(private_key("P-256").public_key())
    signed = f"{part({'alg': 'HS256', 'kid': 'k'})}.{token().split('.')[1]}"
    return f"{signed}.{part(hmac.digest(public, signed.encode(), hashlib.sha256))}"


def unsigned(alg: str) -> str:
    return f"{part({'alg': alg, 'kid': 'k'})}.{token().split('.')[1]}."


def altered() -> str:
    header, _, signature = token().split(".")
    return f"{header}.{token(sub='eve').split('.')[1]}.{signature}"


def claims_as(content: bytes) -> str:
    """Signed as it should be, whatever it says."""
    return jwt.api_jws.encode(
        content, private_key("P-256"), algorithm="ES256", headers={"kid": "k"}
    )


R = JwtRefusal
REFUSED = {
    "forged: altered claims": (altered(), R.SIGNATURE),
    "forged: another's key under the same id": (token(number=1), R.SIGNATURE),
    "forged: no signature": (token().rpartition(".")[0] + ".", R.SIGNATURE),
    "alg=none": (unsigned("none"), R.ALGORITHM),
    "alg=None": (unsigned("None"), R.ALGORITHM),
    "alg empty": (unsigned(""), R.ALGORITHM),
    "key confusion: PEM": (hmac_with_the_public_key(
        lambda key: key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    ), R.ALGORITHM),
    "key confusion: DER": (hmac_with_the_public_key(
        lambda key: key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ), R.ALGORITHM),
    "key confusion: JWK": (
        hmac_with_the_public_key(lambda key: json.dumps(jwk("P-256")).encode()), R.ALGORITHM,
    ),
    "algorithm of another kind": (token("RS256", kind="RSA"), R.ALGORITHM),
    "a logout token": (token(headers={"typ": "logout+jwt"}), R.TYPE),
    "another issuer": (token(iss="https://evil.example"), R.ISSUER),
    "issuer with a slash": (token(iss=ISSUER + "/"), R.ISSUER),
    "no issuer": (token(iss=None), R.ISSUER),
    "a list of issuers": (claims_as(json.dumps({"iss": [ISSUER]}).encode()), R.ISSUER),
    "wrong audience": (token(aud="other"), R.AUDIENCE),
    "wrong audiences": (token(aud=["other", "Homeport"]), R.AUDIENCE),
    "no audience": (token(aud=None), R.AUDIENCE),
    "an audience that is no text": (token(aud=[7, None, ["homeport"]]), R.AUDIENCE),
    "audience as a key": (token(aud={"homeport": 1}), R.AUDIENCE),
    "unknown key": (token(headers={"kid": "other"}), R.UNKNOWN_KEY),
    "expired": (token(exp=NOW - 61), R.EXPIRED),
    "expired to the second": (token(exp=NOW - 60), R.EXPIRED),
    "no expiry": (token(exp=None), R.NO_EXPIRY),
    "expiry as text": (token(exp="2099"), R.MALFORMED),
    "expiry true": (token(exp=True), R.MALFORMED),
    "expiry null": (claims_as(b'{"iss":"%s","aud":"homeport","exp":null}' % ISSUER.encode()),
                    R.MALFORMED),
    "expiry beyond numbers": (claims_as(
        b'{"iss":"%s","aud":"homeport","exp":1%s}' % (ISSUER.encode(), b"0" * 400)
    ), R.MALFORMED),
    "not yet valid": (token(nbf=NOW + 61), R.NOT_YET_VALID),
    "issued later": (token(iat=NOW + 61), R.ISSUED_LATER),
    "issued at a word": (token(iat="now"), R.MALFORMED),
    "clock five minutes behind": (token(iat=NOW + 300), R.ISSUED_LATER),
    "clock five minutes ahead": (token(exp=NOW - 300), R.EXPIRED),
    "too long": (token(filler="x" * 8_192), R.TOO_LONG),
    "empty": ("", R.MALFORMED),
    "two parts": ("a.b", R.MALFORMED),
    "four parts": (token() + ".a", R.MALFORMED),
    "five parts, as of an encrypted one": ("a.b.c.d.e", R.MALFORMED),
    "not ASCII": (token() + "é", R.MALFORMED),
    "a lone surrogate": (token() + "\ud800", R.MALFORMED),
    "padded": (token() + "=", R.MALFORMED),
    "claims are a list": (claims_as(b"[]"), R.MALFORMED),
    "claims are deep": (claims_as(b"[" * 5_000), R.MALFORMED),
    "claims with NaN": (claims_as(b'{"exp":NaN}'), R.MALFORMED),
    "header is deep": (f"{part(b'[' * 5000)}.{part({})}.", R.MALFORMED),
    "header of another type": (f"{part({'alg': ['ES256']})}.{part({})}.", R.MALFORMED),
    "an extension to be understood": (
        token(headers={"crit": ["b64"], "b64": True}), R.MALFORMED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_each_refusal_has_its_reason(name):
    text, expected = REFUSED[name]
    assert refusal(text) is expected


def test_every_reason_is_tried():
    elsewhere = {R.KEYS_AWAY, R.KEY_ID_MISSING, R.CLAIMS}
    assert {reason for _, reason in REFUSED.values()} | elsewhere == set(R)


def test_keys_that_the_token_brings_along_are_not_looked_at():
    own = jwk("P-256", "mine", number=1)
    text = token(number=1, headers={"kid": "mine", "jwk": own, "jku": "https://evil.example"})
    assert refusal(text) is R.UNKNOWN_KEY


def test_an_algorithm_that_the_policy_leaves_out_is_refused():
    policy = IssuerPolicy(
        issuer=ISSUER, audiences=frozenset({AUDIENCE}), algorithms=frozenset({"RS256"})
    )
    assert refusal(token(), policy=policy) is R.ALGORITHM


def test_which_key_has_to_be_said_where_there_are_several():
    several = FakeKeys(jwk("P-256"), jwk("P-256", "other", number=1))
    without = token(headers={"kid": None})
    assert refusal(without, keys=several) is R.KEY_ID_MISSING
    assert verifier().verify(without)["sub"] == "ann"


def test_no_keys_no_tokens():
    class Away(FakeKeys):
        def current(self):
            return None

    assert refusal(token(), keys=Away(jwk("P-256"))) is R.KEYS_AWAY


@pytest.mark.parametrize(
    ("leeway_s", "claims", "taken"),
    [
        (0, {"exp": NOW}, False),
        (0, {"exp": NOW + 0.5, "iat": NOW}, True),
        (60, {"exp": NOW - 59.5}, True),
        (60, {"iat": NOW + 60, "nbf": NOW + 60}, True),
        (300, {"iat": NOW + 300}, True),
        (300, {"exp": NOW - 299.5}, True),
        (300, {"exp": NOW - 300}, False),
    ],
)
def test_clocks_may_differ_by_the_leeway(leeway_s, claims, taken):
    policy = IssuerPolicy(issuer=ISSUER, audiences=frozenset({AUDIENCE}), leeway_s=leeway_s)
    if taken:
        assert verifier(policy=policy).verify(token(**claims))
    else:
        refusal(token(**claims), policy=policy)


@pytest.mark.parametrize(
    "wrong",
    [
        {"leeway_s": MAX_LEEWAY_S + 1}, {"leeway_s": -1}, {"leeway_s": float("nan")},
        {"algorithms": frozenset({"HS256"})}, {"algorithms": frozenset({"none"})},
        {"algorithms": frozenset()}, {"audiences": frozenset()}, {"audiences": frozenset({""})},
        {"issuer": ""},
    ],
)  # fmt: skip
def test_a_policy_that_lets_too_many_in_cannot_be_made(wrong):
    with pytest.raises(ValueError, match=r"leeway|algorithms|named"):
        IssuerPolicy(**{"issuer": ISSUER, "audiences": frozenset({AUDIENCE}), **wrong})


def test_a_verified_token_is_remembered_until_it_expires():
    clock, reads = Clock(), []
    known = verifier(clock=clock, read=lambda claims: reads.append(claims) or claims["sub"])
    for _ in range(3):
        assert known.verify(KEPT) == "ann"
    assert len(reads) == 1
    clock.now = NOW + 600 + 60
    with pytest.raises(JwtRefused) as refused:
        known.verify(KEPT)
    assert refused.value.reason is R.EXPIRED


def test_a_key_that_is_withdrawn_takes_its_tokens_along():
    keys = FakeKeys(jwk("P-256"))
    known = verifier(keys)
    known.verify(KEPT)
    keys.publish(jwk("P-256", "newer", number=1))
    with pytest.raises(JwtRefused) as refused:
        known.verify(KEPT)
    assert refused.value.reason is R.UNKNOWN_KEY


def test_not_more_than_so_many_are_remembered():
    reads = []
    known = verifier(read=lambda claims: reads.append(claims["sub"]), max_remembered=2)
    texts = [token(sub=str(number)) for number in range(3)]
    for text in (*texts, texts[2], texts[1], texts[0]):
        known.verify(text)
    assert reads == ["0", "1", "2", "0"]


def test_an_unknown_key_of_this_issuer_alone_has_the_source_asked():
    keys = FakeKeys(jwk("P-256"))
    known = verifier(keys)
    for text in (
        token(headers={"kid": "x"}, iss="https://evil.example"), token(number=1), unsigned("none"),
    ):  # fmt: skip
        with pytest.raises(JwtRefused):
            known.verify(text)
    assert keys.asked == 0
    with pytest.raises(JwtRefused):
        known.verify(token(headers={"kid": "x"}))
    assert keys.asked == 1


def test_claims_that_mean_nothing_are_refused_and_not_remembered():
    def read(claims):
        raise ValueError("no roles")

    assert refusal(token(), read=read) is R.CLAIMS


def test_the_log_hears_no_secret():
    for text, _ in REFUSED.values():
        with pytest.raises(JwtRefused) as refused:
            verifier().verify(text)
        signature = text.rpartition(".")[2]
        assert len(str(refused.value)) < 200
        assert len(signature) < 8 or signature not in str(refused.value)


def test_whose_token_it_says_it_is():
    assert claimed_issuer(token()) == ISSUER
    for text in (
        "",
        "abc",
        "a.b.c",
        token(iss=None),
        claims_as(b'{"iss":7}'),
        claims_as(b"[]"),
        "x" * 9_000,
    ):
        assert claimed_issuer(text) == ""


def test_what_a_token_says_of_its_issuer_is_remembered_for_some_of_them():
    claimed = ClaimedIssuers(2)
    texts = [
        token(), token(iss="https://b"), token(iss="https://c"), token(iss="x" * 2_000),
        claims_as(b'{"iss":7}'), "", "abc", "é.é.é", "\udcff", "x" * 9_000,
    ]  # fmt: skip
    for text in (*texts, *reversed(texts), *texts):
        assert claimed.of(text) == claimed_issuer(text)
        assert len(claimed) <= 2


def test_a_token_is_read_once_for_whose_it_says_it_is():
    read = []
    claimed = ClaimedIssuers(read=lambda text: read.append(text) or claimed_issuer(text))
    for _ in range(3):
        assert claimed.of(KEPT) == ISSUER
    assert read == [KEPT]


@given(st.text(max_size=200) | st.lists(st.binary(max_size=60), max_size=4).map(
    lambda parts: ".".join(base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in parts)
))  # fmt: skip
def test_any_text_is_refused_in_order(text):
    refusal(text)

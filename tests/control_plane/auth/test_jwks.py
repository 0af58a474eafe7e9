"""JWK Sets: which keys are taken out of one, and which documents are refused whole."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.auth.jwks import MAX_DOCUMENT_BYTES, MAX_KEYS, parse_jwks
from control_plane.errors import InvalidInput
from tests.support.jwt_issuer import document, jwk


def algorithms(*jwks) -> list[set[str]]:
    """Of each key that was taken."""
    found = parse_jwks(document(*jwks))
    return [set(key.checks) for one in jwks for key in found.find(one["kid"])]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("RSA", {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        ("P-256", {"ES256"}),
        ("P-384", {"ES384"}),
        ("P-521", {"ES512"}),
        ("Ed25519", {"EdDSA"}),
    ],
)
def test_a_key_is_for_the_algorithms_of_its_kind(kind, expected):
    assert algorithms(jwk(kind)) == [expected]


def test_a_key_that_names_its_algorithm_is_for_that_one():
    assert algorithms(jwk("RSA", alg="PS384")) == [{"PS384"}]


@pytest.mark.parametrize(
    "passed_over",
    [
        pytest.param(jwk("P-256", use="enc"), id="for-encryption"),
        pytest.param(jwk("P-256", key_ops=["encrypt"]), id="operations-without-verify"),
        pytest.param(jwk("secp256k1"), id="a-curve-not-known-here"),
        pytest.param({"kty": "AKP", "kid": "k", "pub": "AAAA"}, id="a-kind-not-known-here"),
        pytest.param(jwk("P-256", alg="ES512"), id="an-algorithm-of-another-kind"),
        pytest.param(jwk("RSA", alg="HS256"), id="a-public-key-said-to-be-a-secret"),
        pytest.param(jwk("RSA", alg="none"), id="no-algorithm"),
    ],
)
def test_what_is_for_something_else_is_passed_over(passed_over):
    found = parse_jwks(document(passed_over, jwk("P-256", "good")))
    assert len(found) == 1
    assert found.find("good")


def rsa_with(**members) -> bytes:
    return document({**jwk("RSA"), **members})


HOSTILE = {
    "huge": (b'{"keys":[]}' + b" " * MAX_DOCUMENT_BYTES, "larger than"),
    "deep": (b'{"keys":' + b"[" * 50_000, "no JWK Set"),
    "deep within a key": (b'{"keys":[{"kty":"RSA","d":' + b'{"a":' * 50_000, "no JWK Set"),
    "not JSON": (b"<html>", "no JWK Set"),
    "not UTF-8": (b'{"keys":[{"kty":"\xff"}]}', "no"),
    "empty": (b"", "no JWK Set"),
    "a list": (b"[]", "no JWK Set"),
    "without keys": (b"{}", "no JWK Set"),
    "keys of another type": (b'{"keys":{}}', "no JWK Set"),
    "a key of another type": (b'{"keys":["RSA"]}', "no JWK Set"),
    "a member of another type": (rsa_with(kid=7), "no JWK Set"),
    "too many keys": (document(*[jwk("P-256")] * (MAX_KEYS + 1)), "at most 64"),
    "a symmetric key": (document({"kty": "oct", "kid": "k", "k": "c2VjcmV0"}), "is symmetric"),
    "a secret beside a public key": (rsa_with(k="c2VjcmV0"), "is symmetric"),
    "a private key": (rsa_with(d="AQAB"), "private key"),
    "a private key, any type": (rsa_with(d=[1]), "private key"),
    "a tiny RSA key": (document(jwk("RSA1024")), "RSA key of 1,024 bits"),
    "an RSA key of zero": (rsa_with(n="AA"), "of 0 bits"),
    "an RSA key without modulus": (rsa_with(n=""), "of 0 bits"),
    "a monstrous RSA key": (rsa_with(n="_" * 20_000), "RSA key of"),
    "exponent one": (rsa_with(e="AQ"), "exponent"),
    "an even exponent": (rsa_with(e="BA"), "exponent"),
    "a long exponent": (rsa_with(e="_" * 1_000), "exponent"),
    "not base64url": (rsa_with(n="+/=="), "no key"),
    "off the curve": (document({**jwk("P-256"), "x": "AQ"}), "no key"),
    "no point at all": (document({**jwk("P-256"), "x": "", "y": ""}), "no key"),
    "a short Ed25519 key": (document({**jwk("Ed25519"), "x": "AQ"}), "no key"),
    "a long key id": (document(jwk("P-256", "k" * 513)), "kid is over"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_refused_whole(name):
    content, why = HOSTILE[name]
    with pytest.raises(InvalidInput, match=why):
        parse_jwks(content)


def test_a_good_key_beside_a_bad_one_does_not_save_the_document():
    with pytest.raises(InvalidInput, match=r'key 2 \("bad"\)'):
        parse_jwks(document(jwk("P-256"), jwk("RSA1024", "bad")))


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["keys", "kty", "kid", "n", "e", "x", "y", "crv"]), inner),
    max_leaves=20,
))  # fmt: skip
def test_any_document_is_taken_or_refused(value):
    try:
        assert len(parse_jwks(json.dumps(value).encode())) <= MAX_KEYS
    except InvalidInput:
        return


def test_without_a_key_id_there_must_be_one_key_only():
    one, two = jwk("P-256", "a"), jwk("P-384", "b")
    assert len(parse_jwks(document(one)).find("")) == 1
    assert not parse_jwks(document(one, two)).find("")
    assert not parse_jwks(document(one)).find("b")

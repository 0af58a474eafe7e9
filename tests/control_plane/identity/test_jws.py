"""JWS in compact form: one form for one token, nothing parsed before it is bounded, and what
PyJWT makes of the same keys."""

from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identity.jws import (
    EDDSA,
    HS256,
    EddsaSigner,
    Hs256Signer,
    base64url,
    eddsa_check,
    from_base64url,
    hs256_check,
    parse,
)

SECRET = bytes(range(32))
PRIVATE = Ed25519PrivateKey.from_private_bytes(SECRET)
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
CLAIMS = {"iss": "somebody", "sub": "päivi"}
CONTENT = json.dumps(CLAIMS, ensure_ascii=False, separators=(",", ":")).encode()
TOKEN = Hs256Signer(SECRET, key_id="k1", typ="JWT").sign(CONTENT)


def with_header(header: bytes) -> str:
    return f"{base64url(header).decode()}.{TOKEN.split('.', 1)[1]}"


@pytest.mark.parametrize(
    ("token", "key", "algorithm", "typ"),
    [
        pytest.param(TOKEN, SECRET, HS256, "JWT", id="hs256"),
        pytest.param(
            EddsaSigner(PRIVATE, key_id="k1", typ="order+jwt").sign(CONTENT),
            PRIVATE.public_key(),
            EDDSA,
            "order+jwt",
            id="eddsa",
        ),
    ],
)
def test_pyjwt_reads_what_is_signed_here_and_writes_the_same(token, key, algorithm, typ) -> None:
    assert jwt.decode(token, key, algorithms=[algorithm]) == CLAIMS
    signing = SECRET if algorithm == HS256 else PRIVATE
    headers = {"kid": "k1", "typ": typ}
    theirs = jwt.PyJWS().encode(CONTENT, signing, algorithm, headers, sort_headers=True)
    assert token == theirs


@pytest.mark.parametrize("size", [32, 33, 63, 64])
def test_a_secret_of_any_length_up_to_a_block_signs_as_pyjwt_does(size: int) -> None:
    secret = bytes(range(size))
    token = Hs256Signer(secret, key_id="k1", typ="JWT").sign(CONTENT)
    assert jwt.decode(token, secret, algorithms=[HS256]) == CLAIMS


def test_a_token_comes_apart_into_what_was_signed() -> None:
    found = parse(TOKEN, max_bytes=4096)
    assert found is not None
    assert (found.header.alg, found.header.kid, found.header.typ) == (HS256, "k1", "JWT")
    assert found.claims == CONTENT
    check = hs256_check(SECRET)
    assert check(found.signed, found.signature)
    assert not check(found.signed + b"x", found.signature)
    assert not check(found.signed, found.signature[:-1])
    assert not hs256_check(SECRET[::-1])(found.signed, found.signature)


def test_a_signature_of_another_ed25519_key_does_not_hold() -> None:
    found = parse(EddsaSigner(PRIVATE, key_id="k1", typ="JWT").sign(CONTENT), max_bytes=4096)
    assert found is not None
    assert eddsa_check(PUBLIC)(found.signed, found.signature)
    assert not eddsa_check(PUBLIC)(found.signed + b"x", found.signature)
    assert not eddsa_check(PUBLIC)(found.signed, b"short")
    other = Ed25519PrivateKey.from_private_bytes(SECRET[::-1]).public_key()
    raw = other.public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert not eddsa_check(raw)(found.signed, found.signature)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("ä" + TOKEN, id="not-ascii"),
        pytest.param("one", id="no-dots"),
        pytest.param(TOKEN + ".x", id="a-part-too-many"),
        pytest.param(TOKEN + "=", id="padded"),
        pytest.param(TOKEN.replace(".", ". ", 1), id="a-space"),
        pytest.param(with_header(b'{"alg":"HS256","kid":1}'), id="a-kid-that-is-no-text"),
        pytest.param(with_header(b'{"alg":"HS256","kid":"k1","crit":["exp"]}'), id="crit"),
        pytest.param(with_header(b'{"alg":"HS256","kid":"k1","crit":[]}'), id="an-empty-crit"),
        pytest.param(with_header(b"[" * 3000), id="nested-deep"),
        pytest.param(with_header(b"\xff"), id="not-utf-8"),
    ],
)
def test_what_is_no_token_has_no_parts(token: str) -> None:
    assert parse(token, max_bytes=100_000) is None


def test_a_token_that_is_too_long_is_not_parsed() -> None:
    assert parse(TOKEN, max_bytes=len(TOKEN)) is not None
    assert parse(TOKEN, max_bytes=len(TOKEN) - 1) is None


@given(st.binary(max_size=70))
def test_base64url_gives_back_what_went_in(content: bytes) -> None:
    assert from_base64url(base64url(content).decode()) == content


@pytest.mark.parametrize("text", ["AB", "A", "AA==", "A+A_", "A A=", "AA\n"])
def test_another_way_of_writing_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_base64url(text)


@pytest.mark.parametrize(
    ("make", "key", "says"),
    [
        pytest.param(hs256_check, b"x" * 31, "31 bytes, needs 32", id="a-short-secret"),
        pytest.param(eddsa_check, b"x" * 31, "not an Ed25519 public key", id="no-public-key"),
    ],
)
def test_a_key_that_cannot_be_one_is_refused(make, key: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make(key)

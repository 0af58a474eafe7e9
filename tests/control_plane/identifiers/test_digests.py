"""Digests of identifiers: one for each tenant, kind, normal form and pepper."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.digests import IdentifierDigests, Pepper
from control_plane.identifiers.identifier import Identifier, IdentifierKind

OLD = Pepper(epoch=1, secret=b"o" * 32)
NEW = Pepper(epoch=2, secret=b"n" * 40)


def identifier(kind: IdentifierKind, normal: str) -> Identifier:
    return Identifier(kind=kind, normal=normal, shown=normal, uri=normal)


ANNA = identifier(IdentifierKind.EMAIL, "anna@talk.example")


def hkdf_sha256(secret: bytes, info: bytes) -> bytes:
    """RFC 5869 for one block, written out."""
    pseudorandom = hmac.digest(b"\0" * 32, secret, hashlib.sha256)
    return hmac.digest(pseudorandom, info + b"\x01", hashlib.sha256)


def test_a_digest_is_what_the_reference_says() -> None:
    key = hkdf_sha256(NEW.secret, b"homeport directory identifiers v1\0talk")
    mac = hmac.digest(key, b"mailto\0anna@talk.example", hashlib.sha256)[:20]
    expected = f"2.{base64.b32hexencode(mac).decode().lower()}"
    assert IdentifierDigests(NEW).digest("talk", ANNA) == expected
    assert re.fullmatch(r"2\.[0-9a-v]{32}", expected)


def test_the_previous_pepper_is_asked_as_well_and_writes_nothing() -> None:
    before, after = IdentifierDigests(OLD), IdentifierDigests(NEW, OLD)
    assert after.digests("talk", ANNA) == (after.digest("talk", ANNA), before.digest("talk", ANNA))
    assert IdentifierDigests(NEW).digests("talk", ANNA) == (after.digest("talk", ANNA),)
    assert after.digest("talk", ANNA).startswith("2.")


@given(
    st.lists(
        st.tuples(st.text(max_size=8), st.sampled_from(IdentifierKind), st.text(max_size=8)),
        unique=True,
        max_size=6,
    )
)
def test_two_tenants_kinds_or_names_never_share_a_digest(
    rows: list[tuple[str, IdentifierKind, str]],
) -> None:
    digests = IdentifierDigests(NEW)
    made = {digests.digest(tenant, identifier(kind, name)) for tenant, kind, name in rows}
    assert len(made) == len(rows)


def test_kind_and_name_are_kept_apart() -> None:
    digests = IdentifierDigests(NEW)
    one = digests.digest("t", identifier(IdentifierKind.SIP, "s\0x"))
    assert one != digests.digest("t", identifier(IdentifierKind.SIPS, "\0x"))


def test_keys_of_many_tenants_are_forgotten_and_made_again() -> None:
    digests = IdentifierDigests(NEW, most_keys=3)
    first = [digests.digest(f"t{n}", ANNA) for n in range(10)]
    assert len(digests._keys) == 3
    assert [digests.digest(f"t{n}", ANNA) for n in range(10)] == first


@pytest.mark.parametrize(
    ("epoch", "secret"),
    [pytest.param(0, b"x" * 32, id="no epoch"), pytest.param(1, b"x" * 31, id="a short secret")],
)
def test_a_pepper_that_is_none_is_refused(epoch: int, secret: bytes) -> None:
    with pytest.raises(ValueError, match="pepper"):
        Pepper(epoch=epoch, secret=secret)


def test_a_previous_pepper_that_is_not_older_is_refused() -> None:
    with pytest.raises(ValueError, match="not before"):
        IdentifierDigests(OLD, NEW)


def test_a_secret_is_not_shown() -> None:
    assert "oooo" not in repr(OLD)

"""What a caller shows as bearer: which form it has, and what can be told of a mistyped token."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.auth.credentials import (
    CredentialForm,
    credential_form,
    is_issued_token,
    is_mistyped,
    new_token,
)
from tests.support.jwt_issuer import token as jwt_of

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@given(st.binary(min_size=32, max_size=32))
def test_a_new_token_is_known_by_its_form(random):
    token = new_token(random)
    assert is_issued_token(token)
    assert len(token) == 61
    assert credential_form(token) is CredentialForm.TOKEN


@given(st.binary(min_size=32, max_size=32), st.integers(3, 60), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_told(random, place, other):
    token = new_token(random)
    wrong = token[:place] + other + token[place + 1 :]
    assert is_issued_token(wrong) is (wrong == token)
    assert is_mistyped(wrong) is (wrong != token)


@pytest.mark.parametrize(
    "change", [str.upper, lambda t: t[:-1], lambda t: t + "a", lambda t: "hp_"]
)
def test_a_token_in_another_form_is_none(change):
    assert not is_issued_token(change(new_token(secrets.token_bytes(32))))


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_token_is_of_256_bits(size):
    with pytest.raises(ValueError, match="32 bytes"):
        new_token(b"x" * size)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (jwt_of(), CredentialForm.JWT),
        ("eyJhbGciOiJub25lIn0.e30.", CredentialForm.JWT),
        ("ey..", CredentialForm.JWT),
        ("ey.a.b.c", CredentialForm.TOKEN),
        ("a.b.c", CredentialForm.TOKEN),
        ("secret", CredentialForm.TOKEN),
        ("hp_", CredentialForm.TOKEN),
    ],
)
def test_forms(text, form):
    assert credential_form(text) is form


def test_tokens_of_another_make_are_not_mistyped():
    assert is_mistyped("hp_")
    assert not is_mistyped("HP_x")
    assert not is_mistyped("secret")

"""What a call shows of who makes it, read of its metadata in one pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.auth.credentials import MAX_CREDENTIAL_BYTES, CredentialForm
from control_plane.auth.shown import CLIENT_KEY_METADATA, Bearer, ShownCredentials
from control_plane.errors import Unauthenticated

NAMES = st.sampled_from(["authorization", CLIENT_KEY_METADATA, "x-other", "user-agent"])
VALUES = st.sampled_from(["Bearer a", "Bearer b", "key", b"key"])


def shown_as(*values: str | bytes) -> ShownCredentials:
    return ShownCredentials([("authorization", value) for value in values])


def test_what_is_shown_as_bearer():
    assert ShownCredentials([]).bearer() is None
    assert ShownCredentials([("x-other", "Bearer a")]).bearer() is None
    for value in ("Bearer a", "bearer a", b"Bearer a", "BEARER  a "):
        assert shown_as(value).bearer() == Bearer("a", CredentialForm.TOKEN)
    assert shown_as("Bearer hmac.g.x").bearer() == Bearer("hmac.g.x", CredentialForm.ENROLMENT)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["Basic a"], "must be `Bearer <token>`"),
        (["Bearer"], "must be `Bearer <token>`"),
        (["Bearer  "], "must be `Bearer <token>`"),
        ([""], "must be `Bearer <token>`"),
        (["Bearer é"], "in ASCII"),
        (["Bearer \udcff"], "in ASCII"),
        ([b"Bearer \xff"], "in ASCII"),
        (["Bearer a", "Bearer a"], "more than once"),
        (["Bearer a", "Bearer a", "Bearer a"], "more than once"),
        (["", "Bearer a"], "more than once"),
        (["Bearer " + "a" * MAX_CREDENTIAL_BYTES], "longer than"),
    ],
)
def test_what_is_shown_in_another_way(values, said):
    shown = shown_as(*values)
    for _ in range(2):  # whoever asks second is told the same
        with pytest.raises(Unauthenticated, match=said):
            shown.bearer()


WORDS = st.sampled_from(["Bearer ", "bearer ", "Basic ", "Bearer  ", " Bearer ", ""])
TOKENS = st.sampled_from(
    ["hmac.", "hmac.g.x", "Hmac.g.x", "boot.x", "hmac", " ", "\t", "\x1f", "é"]
)
SHOWN = st.builds("".join, st.tuples(WORDS, TOKENS, st.text(max_size=4)))


@given(st.lists(SHOWN | SHOWN.map(lambda text: text.encode(errors="replace")), max_size=2))
def test_a_groups_token_is_the_bearer_or_none(values):
    shown = shown_as(*values)
    if shown.group_token:
        assert shown.bearer() == Bearer(shown.group_token, CredentialForm.ENROLMENT)
        assert shown.group_token.startswith("hmac.")


@pytest.mark.parametrize(
    ("values", "token"),
    [
        pytest.param(["Bearer hmac.g.x"], "hmac.g.x", id="as most do"),
        pytest.param(["Bearer hmac.g.x "], "", id="with a blank behind it"),
        pytest.param(["Bearer hmac.g.é"], "", id="not in ASCII"),
        pytest.param(["Bearer hmac.g.x", "Bearer hmac.g.x"], "", id="twice"),
        pytest.param(["Bearer hmac." + "x" * MAX_CREDENTIAL_BYTES], "", id="too long"),
        pytest.param(["Bearer boot.x"], "", id="for one use"),
        pytest.param([b"Bearer hmac.g.x"], "", id="as bytes"),
        pytest.param([], "", id="nothing"),
    ],
)
def test_a_groups_token_is_told_apart_where_it_is_shown_as_most_do(values, token):
    assert shown_as(*values).group_token == token


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_of_keys_the_first_counts_and_of_bearers_there_may_be_one(metadata):
    shown = ShownCredentials(iter(metadata))  # one pass
    keys = [value for name, value in metadata if name == CLIENT_KEY_METADATA]
    first = keys[0] if keys else ""
    assert shown.client_key == (first if isinstance(first, str) else first.decode())
    bearers = [value for name, value in metadata if name == "authorization"]
    if not bearers:
        assert shown.bearer() is None
    elif len(bearers) > 1 or not str(bearers[0]).startswith("Bearer"):
        with pytest.raises(Unauthenticated):
            shown.bearer()
    else:
        found = shown.bearer()
        assert found is not None
        assert f"Bearer {found.text}" == bearers[0]

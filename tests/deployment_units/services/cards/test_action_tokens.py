"""Action tokens: nobody makes one, changes one, or uses one for something else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.cards.action_tokens import (
    LINK_LEFT_OUT,
    ActionGrant,
    ActionTokens,
    TokenKey,
    TokenRefusal,
    without_links,
)
from tests.support.cards import card_of, coffee_card, submit

KEY = TokenKey(number=1, secret=b"k" * 32)
TOKENS = ActionTokens(KEY)
GRANT = ActionGrant(
    tenant="talk", account="anna", message=b"m" * 16, revision=3, action="order", expires_ms=1_000
)
_names = st.text(st.characters(codec="utf-8"), max_size=40)
grants = st.builds(
    ActionGrant,
    tenant=_names,
    account=_names,
    message=st.binary(min_size=16, max_size=16),
    revision=st.integers(1, 2**32 - 1),
    action=_names,
    expires_ms=st.integers(1, 2**48 - 1),
)


@given(grants)
def test_a_token_says_what_it_was_made_for(grant: ActionGrant) -> None:
    token = TOKENS.token(grant)
    assert TOKENS.read(token, now_ms=grant.expires_ms - 1) == grant
    assert TOKENS.read(token, now_ms=grant.expires_ms) is TokenRefusal.EXPIRED


@given(grants, grants)
def test_two_tokens_are_equal_when_all_they_say_is(one: ActionGrant, other: ActionGrant) -> None:
    assert (TOKENS.token(one) == TOKENS.token(other)) == (one == other)


@given(st.data())
def test_a_token_with_another_character_is_none(data: st.DataObject) -> None:
    token = TOKENS.token(GRANT)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPabcdefgh0123456789-_=é"))
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        assert TOKENS.read(changed, now_ms=0) is TokenRefusal.FORGED


@given(st.text(max_size=200) | st.binary(max_size=100).map(lambda one: one.hex()))
def test_any_text_is_no_token(text: str) -> None:
    assert TOKENS.read(text, now_ms=0) is TokenRefusal.FORGED


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda token: token + "=", id="padding"),
        pytest.param(lambda token: token[:-1], id="cut"),
        pytest.param(lambda token: token + "A", id="more"),
        pytest.param(lambda token: f" {token}", id="a space"),
        pytest.param(lambda token: token * 20, id="long"),
        pytest.param(lambda token: "", id="nothing"),
    ],
)
def test_a_token_has_one_spelling(change: object) -> None:
    assert callable(change)
    assert TOKENS.read(change(TOKENS.token(GRANT)), now_ms=0) is TokenRefusal.FORGED


def test_every_button_that_can_be_pressed_has_a_token_of_its_own() -> None:
    card = coffee_card()
    tokens = TOKENS.tokens(card, GRANT)
    assert list(tokens) == ["order", "later", "send"]
    for action, token in tokens.items():
        assert TOKENS.read(token, now_ms=0) == replace(GRANT, action=action)


def test_a_button_that_is_not_available_has_no_token() -> None:
    card = card_of(actions=[submit(id="a", isEnabled=False), submit(id="b")])
    assert list(TOKENS.tokens(card, GRANT)) == ["b"]


def test_keys_can_be_changed() -> None:
    newer = TokenKey(number=2, secret=b"n" * 32)
    token = TOKENS.token(GRANT)
    assert ActionTokens(newer, KEY).read(token, now_ms=0) == GRANT
    assert ActionTokens(newer).read(token, now_ms=0) is TokenRefusal.FORGED
    impostor = TokenKey(number=1, secret=b"x" * 32)
    assert ActionTokens(impostor).read(token, now_ms=0) is TokenRefusal.FORGED


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: TokenKey(number=1, secret=b"k" * 31), id="a short key"),
        pytest.param(lambda: TokenKey(number=256, secret=b"k" * 32), id="a number too high"),
        pytest.param(lambda: ActionTokens(KEY, KEY), id="two keys of a number"),
        pytest.param(lambda: TOKENS.token(replace(GRANT, message=b"m")), id="a short message id"),
        pytest.param(lambda: TOKENS.token(replace(GRANT, revision=0)), id="no revision"),
        pytest.param(lambda: TOKENS.token(replace(GRANT, account="a" * 256)), id="a long account"),
    ],
)
def test_what_fits_into_no_token_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"key|keys|number|message|revision|bytes"):
        make()


def test_a_key_is_not_shown() -> None:
    assert "kkk" not in str(KEY)


def test_the_shortest_token_is_left_out_and_other_addresses_stay() -> None:
    shortest = replace(GRANT, tenant="t", account="a", action="b")
    link = f"https://talk.example/a/{TOKENS.token(shortest)}"
    assert without_links(f"({link})") == f"({LINK_LEFT_OUT})"
    for other in ("https://talk.example/a/b", "https://talk.example/about", "see /a/ and b"):
        assert without_links(other) == other

"""Reply addresses: whose answers come to one, and which account it names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.channels.reply_tokens import (
    MOST_LOCAL,
    PREFIX,
    ReplyOwner,
    home_of,
    reply_address,
    reply_token,
    token_fits,
    token_of,
)

KEY = bytes(range(32))
OWNER = ReplyOwner(conversation=b"c" * 16, participant="carla", address="carla@mail.example")


def test_a_token_fits_its_conversation_participant_and_address_alone() -> None:
    token = reply_token(KEY, 3, OWNER)
    assert token_fits(token, {3: KEY}, OWNER)
    assert len(PREFIX + token) <= 64
    others = [
        ReplyOwner(conversation=b"d" * 16, participant="carla", address=OWNER.address),
        ReplyOwner(conversation=OWNER.conversation, participant="ben", address=OWNER.address),
        ReplyOwner(conversation=OWNER.conversation, participant="carla", address="c@d.example"),
        # what stands next to each other is not taken together
        ReplyOwner(conversation=b"c" * 16, participant="carlac", address="arla@mail.example"),
    ]
    assert not any(token_fits(token, {3: KEY}, one) for one in others)
    assert not token_fits(token, {3: KEY[::-1]}, OWNER)
    assert not token_fits(token, {2: KEY, 4: KEY}, OWNER)
    assert not token_fits("4" + token[1:], {3: KEY, 4: KEY}, OWNER)


def test_an_address_gives_its_token_whatever_servers_did_to_its_case() -> None:
    token = reply_token(KEY, 1, OWNER)
    for account in ("anna", "a" * 60):
        address = reply_address(token, account, "talk.example")
        assert token_of(address) == token_of(address.upper()) == token
        assert home_of(address) == home_of(address.upper())


@pytest.mark.parametrize(
    ("account", "home"),
    [
        ("anna", "anna"),
        ("a-1", "a-1"),
        ("0b0c3c5e-7a5d-4f6b-9a53-2f9c1f0e4d11", "0b0c3c5e-7a5d-4f6b-9a53-2f9c1f0e4d11"),
        ("Anna", "Anna"),
        ("a.b_c@d", "a.b_c@d"),
        ("änna", "änna"),
        ("-a", "-a"),
        ("a" * 28, "a" * 28),
        ("a" * 29, None),
        ("A" * 18, None),
    ],
)
def test_an_address_names_the_account_where_there_is_room(account: str, home: str | None) -> None:
    address = reply_address(reply_token(KEY, 1, OWNER), account, "talk.example")
    assert home_of(address) == home
    assert len(address.rpartition("@")[0]) <= MOST_LOCAL


@given(st.text(min_size=1, max_size=40))
def test_an_address_names_no_other_account(account: str) -> None:
    account = account.encode("utf-8", "replace").decode()
    address = reply_address(reply_token(KEY, 1, OWNER), account, "talk.example")
    assert home_of(address) in (account, None)


@given(st.text(alphabet="reply+1-a0.nuxv@", max_size=70))
def test_any_address_is_read(address: str) -> None:
    if home_of(address) is not None:
        assert token_of(address) is not None


@pytest.mark.parametrize(
    "address",
    ["anna@talk.example", "reply+@talk.example", "reply+1-abc@talk.example", "", "reply+",
     f"reply+0-{'a' * 26}@talk.example", f"reply+1-{'w' * 26}@talk.example",
     f"xreply+1-{'a' * 26}@talk.example", f"reply+{'9' * 40}-{'a' * 26}@talk.example"],
)  # fmt: skip
def test_other_addresses_have_none(address: str) -> None:
    assert token_of(address) is None


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        reply_token(b"short", 1, OWNER)

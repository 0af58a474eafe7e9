"""Since when a client waits is believed for its signature alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identity.keyring import KeyRing, new_epoch, rotated
from control_plane.identity.tickets import TicketIssuer
from control_plane.identity.waiting_tokens import KEPT_S, MOST_CHARACTERS, WaitingTokens

NOW = 1_900_000_000_000
SINCE = NOW - 100_000


def ring(seed: str, number: int = 1) -> KeyRing:
    def random(size: int) -> bytes:
        return hashlib.sha256(seed.encode()).digest()[:size]

    return KeyRing(epochs=(new_epoch(number, now=0.0, random=random),))


def tokens(keys: KeyRing) -> WaitingTokens:
    return WaitingTokens(TicketIssuer(keys))


OURS = tokens(ring("a"))
TOKEN = OURS.issue("acme", "anna", since_ms=SINCE, now_ms=NOW)


def test_any_server_with_the_keys_reads_what_one_wrote() -> None:
    assert tokens(ring("a")).since_ms(TOKEN, "acme", "anna", now_ms=NOW + 10_000) == SINCE
    assert len(TOKEN) <= MOST_CHARACTERS


@pytest.mark.parametrize(
    ("token", "tenant", "client", "now_ms"),
    [
        pytest.param(TOKEN, "acme", "ben", NOW, id="of-another-client"),
        pytest.param(TOKEN, "other", "anna", NOW, id="of-another-tenant"),
        pytest.param(
            tokens(ring("b")).issue("acme", "anna", since_ms=SINCE, now_ms=NOW),
            "acme", "anna", NOW, id="of-another-key",
        ),
        pytest.param(
            tokens(ring("a", 2)).issue("acme", "anna", since_ms=SINCE, now_ms=NOW),
            "acme", "anna", NOW, id="of-an-epoch-that-is-not-there",
        ),
        pytest.param(
            TOKEN.replace(str(SINCE), str(SINCE - 9)), "acme", "anna", NOW, id="forged-since"
        ),
        pytest.param(
            TOKEN.replace(f".{NOW // 1000 + KEPT_S}.", f".{NOW // 1000 + 9 * KEPT_S}."),
            "acme", "anna", NOW, id="forged-until",
        ),
        pytest.param(TOKEN, "acme", "anna", NOW + (KEPT_S + 1) * 1000, id="brought-too-late"),
        pytest.param(
            OURS.issue("acme", "anna", since_ms=NOW + 60_000, now_ms=NOW),
            "acme", "anna", NOW, id="since-the-future",
        ),
        pytest.param("", "acme", "anna", NOW, id="none"),
        pytest.param("w1.1.2.3", "acme", "anna", NOW, id="cut-off"),
        pytest.param(TOKEN + "\n", "acme", "anna", NOW, id="with-a-line-break"),
        pytest.param("w1." + "9" * 100_000, "acme", "anna", NOW, id="endless"),
        pytest.param(TOKEN.replace("w1.1.", "w1.١."), "acme", "anna", NOW, id="other-digits"),
    ],
)  # fmt: skip
def test_what_says_nothing(token: str, tenant: str, client: str, now_ms: int) -> None:
    assert OURS.since_ms(token, tenant, client, now_ms=now_ms) == 0


def test_a_little_ahead_is_a_clock_that_differs() -> None:
    ahead = OURS.issue("acme", "anna", since_ms=NOW + 1_000, now_ms=NOW + 1_000)
    assert OURS.since_ms(ahead, "acme", "anna", now_ms=NOW) == NOW + 1_000


def test_a_token_outlives_a_rotation_and_not_a_leak() -> None:
    before = ring("a")
    issuer = TicketIssuer(before)
    read = WaitingTokens(issuer)
    now = NOW / 1000.0
    issuer.use(rotated(before, now=now, overlap_s=3600.0, random=lambda size: b"n" * size))
    assert read.since_ms(TOKEN, "acme", "anna", now_ms=NOW + 1_000) == SINCE
    assert read.issue("acme", "anna", since_ms=SINCE, now_ms=NOW + 1_000).startswith("w1.2.")
    issuer.use(rotated(before, now=now, overlap_s=0.0, random=lambda size: b"n" * size))
    assert read.since_ms(TOKEN, "acme", "anna", now_ms=NOW + 1_000) == 0


def test_a_master_that_was_replaced_under_its_number_counts_no_more() -> None:
    other = ring("b").epochs[0]
    same_number = KeyRing(epochs=(replace(other, epoch=1),))
    assert tokens(same_number).since_ms(TOKEN, "acme", "anna", now_ms=NOW) == 0


@given(st.text(max_size=200))
def test_no_text_is_more_than_nothing(text: str) -> None:
    assert OURS.since_ms(text, "acme", "anna", now_ms=NOW) == 0

"""Tokens that were seen before: their signature is not checked again, and all else is."""

from __future__ import annotations

import os

import pytest

from control_plane.identity import admission
from control_plane.identity.admission import AdmissionReason, TicketVerifier
from control_plane.identity.keyring import KeyRing, new_epoch, rotated
from control_plane.identity.tickets import TicketIssuer

NOW = 1_800_000_000.0
TTL = 3600.0
RING = KeyRing(epochs=(new_epoch(1, now=NOW, random=os.urandom),))
ISSUER = TicketIssuer(RING)


def verifier(*, most_opened: int = admission.MOST_OPENED) -> TicketVerifier:
    return TicketVerifier("eu-west", ISSUER.keys_for("eu-west"), most_opened=most_opened)


def ticket(client: str = "anna", *, epoch: int = 1) -> str:
    return ISSUER.issue("eu-west", "default", client, epoch, NOW, TTL)


@pytest.mark.parametrize(
    ("shown", "now", "reason"),
    [
        pytest.param(1, NOW + TTL + 10, AdmissionReason.EXPIRED, id="it has expired since"),
        pytest.param(1, NOW - 60, AdmissionReason.NOT_YET_VALID, id="the clock went back"),
        pytest.param(2, NOW, AdmissionReason.STALE_EPOCH, id="its client has moved since"),
    ],
)
def test_what_a_seen_token_says_is_judged_each_time(
    shown: int, now: float, reason: AdmissionReason
) -> None:
    door, first = verifier(), ticket()
    assert door.verify(first, NOW).admitted
    assert door.verify(ticket(epoch=shown), NOW).admitted
    assert door.verify(first, now).reason is reason


def test_a_token_of_keys_that_do_not_count_any_more_is_forged() -> None:
    door, shown = verifier(), ticket()
    assert door.verify(shown, NOW).admitted
    other = TicketIssuer(KeyRing(epochs=(new_epoch(1, now=NOW, random=os.urandom),)))
    door.use(other.keys_for("eu-west"))
    assert door.verify(shown, NOW).reason is AdmissionReason.FORGED


def test_a_token_ends_with_the_key_that_has_signed_it() -> None:
    ring = rotated(RING, now=NOW, overlap_s=60.0, random=os.urandom)
    door = TicketVerifier("eu-west", TicketIssuer(ring).keys_for("eu-west", NOW))
    shown = ticket()
    assert door.verify(shown, NOW).admitted
    assert door.verify(shown, NOW + 61).reason is AdmissionReason.FORGED


def test_a_token_like_one_that_was_seen_is_forged() -> None:
    door, shown = verifier(), ticket()
    assert door.verify(shown, NOW).admitted
    header, claims, signature = shown.split(".")
    _, others, _ = ticket("ben").split(".")
    for made in (f"{header}.{others}.{signature}", f"{header}.{claims}.{'A' * len(signature)}"):
        assert door.verify(made, NOW).reason is AdmissionReason.FORGED
        assert door.verify(made, NOW).reason is AdmissionReason.FORGED  # nor is it seen by that


def test_no_more_tokens_are_remembered_than_may_be() -> None:
    door = verifier(most_opened=3)
    shown = [ticket(f"client-{number}") for number in range(10)]
    for one in (*shown, *shown):
        assert door.verify(one, NOW).admitted
    assert door.tokens_remembered == 3

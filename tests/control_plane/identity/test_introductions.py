"""Introductions: good for one unit, one account, one viewer and ten minutes; never a ticket."""

from __future__ import annotations

import os

import pytest

from control_plane.handoff.orders import OrderAction, OrderIssuer, OrderRefusal, check_order
from control_plane.identity.admission import AdmissionReason, TicketVerifier
from control_plane.identity.departures import Departed
from control_plane.identity.introductions import (
    Introduction,
    IntroductionFlaw,
    IntroductionIssuer,
    IntroductionRefusal,
    check_introduction,
)
from control_plane.identity.jws import base64url
from control_plane.identity.keyring import KeyRing, new_epoch, rotated
from control_plane.identity.tickets import TicketIssuer

NOW = 1_800_000_000.0
RING = KeyRing(epochs=(new_epoch(1, now=NOW, random=os.urandom),))
ISSUER = TicketIssuer(RING)
DOOR = TicketVerifier("u", ISSUER.keys_for("u"))


def made(unit: str = "u", now: float = NOW) -> str:
    return IntroductionIssuer(ISSUER).make(
        unit, "acme", 'a "client" é', 7, now, viewer="bob", from_unit="v"
    )


def flaw(text: str, now: float = NOW, door: TicketVerifier = DOOR) -> IntroductionFlaw:
    refusal = check_introduction(text, door, "u", now)
    assert isinstance(refusal, IntroductionRefusal)
    return refusal.flaw


def test_a_good_one_says_who_comes_to_see_whom() -> None:
    assert check_introduction(made(), DOOR, "u", NOW) == Introduction(
        tenant="acme", account='a "client" é', epoch=7, viewer="bob", from_unit="v",
        expires_at=NOW + 600.0,
    )  # fmt: skip


def altered(text: str) -> str:
    header, _, signature = text.split(".")
    claims = b'{"iss":"homeport-introductions","aud":"u","sub":"eve","tenant":"acme","epoch":7}'
    return f"{header}.{base64url(claims).decode()}.{signature}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", IntroductionFlaw.MALFORMED, id="nothing"),
        pytest.param("a.b.c", IntroductionFlaw.MALFORMED, id="no-jwt"),
        pytest.param(altered(made()), IntroductionFlaw.FORGED, id="another-account-written-in"),
        pytest.param(made(unit="v"), IntroductionFlaw.WRONG_UNIT, id="made-for-another-unit"),
        pytest.param(made(now=NOW - 606.0), IntroductionFlaw.EXPIRED, id="ten-minutes-old"),
        pytest.param(made(now=NOW + 60.0), IntroductionFlaw.NOT_YET_VALID, id="from-the-future"),
        pytest.param(
            ISSUER.issue("u", "acme", "alice", 7, NOW, 60.0),
            IntroductionFlaw.MALFORMED,
            id="a-ticket-introduces-nobody",
        ),
        pytest.param(
            OrderIssuer(ISSUER).make(OrderAction.EXPORT, "u", "acme", "alice", 7, NOW),
            IntroductionFlaw.MALFORMED,
            id="nor-does-an-order",
        ),
    ],
)
def test_each_bad_one_has_its_reason(text: str, expected: IntroductionFlaw) -> None:
    assert flaw(text) is expected


def test_one_that_is_just_good_and_one_that_is_just_over() -> None:
    assert isinstance(check_introduction(made(), DOOR, "u", NOW + 600.0), Introduction)
    assert flaw(made(), NOW + 606.0) is IntroductionFlaw.EXPIRED


def test_an_introduction_is_neither_ticket_nor_order() -> None:
    assert DOOR.verify(made(), NOW).reason is AdmissionReason.MALFORMED
    for action in OrderAction:
        assert isinstance(check_order(made(), action, DOOR, "u", NOW), OrderRefusal)


def test_it_outlives_a_rotation_of_keys_as_a_ticket_does() -> None:
    ring = rotated(RING, now=NOW, overlap_s=60, random=os.urandom)
    door = TicketVerifier("u", TicketIssuer(ring).keys_for("u"))
    assert isinstance(check_introduction(made(), door, "u", NOW), Introduction)


def test_who_has_moved_is_not_found_at_its_old_unit() -> None:
    door = TicketVerifier("u", ISSUER.keys_for("u"))
    went = Departed(epoch=8, unit_id="w", endpoint="w:1", decided_at=NOW, over_at=NOW)
    door.departures.note("acme", 'a "client" é', went)
    refusal = check_introduction(made(), door, "u", NOW)
    assert isinstance(refusal, IntroductionRefusal)
    assert (refusal.flaw, refusal.departed) == (IntroductionFlaw.STALE_EPOCH, went)
    later = IntroductionIssuer(ISSUER).make("u", "acme", 'a "client" é', 9, NOW)
    assert isinstance(check_introduction(later, door, "u", NOW), Introduction)

"""Orders: good for one unit, one client, one action and a minute; never a ticket."""

from __future__ import annotations

import os

import pytest

from control_plane.handoff.orders import (
    Order,
    OrderAction,
    OrderFlaw,
    OrderIssuer,
    OrderRefusal,
    check_order,
)
from control_plane.identity.admission import AdmissionReason, TicketVerifier
from control_plane.identity.jws import base64url
from control_plane.identity.keyring import KeyRing, new_epoch, rotated
from control_plane.identity.tickets import TicketIssuer

NOW = 1_800_000_000.0
RING = KeyRing(epochs=(new_epoch(1, now=NOW, random=os.urandom),))
ISSUER = TicketIssuer(RING)
DOOR = TicketVerifier("u", ISSUER.keys_for("u"))


def made(action: OrderAction = OrderAction.EXPORT, unit: str = "u", now: float = NOW) -> str:
    return OrderIssuer(ISSUER).make(action, unit, "acme", 'a "client" é', 7, now)


def flaw(order: str, action: OrderAction = OrderAction.EXPORT, now: float = NOW) -> OrderFlaw:
    refusal = check_order(order, action, DOOR, "u", now)
    assert isinstance(refusal, OrderRefusal)
    return refusal.flaw


@pytest.mark.parametrize("action", list(OrderAction))
def test_a_good_order_says_what_to_do_for_whom(action: OrderAction) -> None:
    assert check_order(made(action), action, DOOR, "u", NOW) == Order(
        action=action, tenant="acme", client_id='a "client" é', epoch=7, expires_at=NOW + 60.0
    )


def altered(order: str) -> str:
    header, _, signature = order.split(".")
    claims = b'{"iss":"homeport-orders","aud":"u","sub":"bob","tenant":"acme","epoch":7}'
    return f"{header}.{base64url(claims).decode()}.{signature}"


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        pytest.param("", OrderFlaw.MALFORMED, id="nothing"),
        pytest.param("a.b.c", OrderFlaw.MALFORMED, id="no-jwt"),
        pytest.param(altered(made()), OrderFlaw.FORGED, id="another-client-written-in"),
        pytest.param(made(unit="v"), OrderFlaw.WRONG_UNIT, id="made-for-another-unit"),
        pytest.param(
            made(OrderAction.IMPORT), OrderFlaw.WRONG_ACTION, id="made-for-another-action"
        ),
        pytest.param(made(now=NOW - 66.0), OrderFlaw.EXPIRED, id="a-minute-old"),
        pytest.param(made(now=NOW + 60.0), OrderFlaw.NOT_YET_VALID, id="from-the-future"),
        pytest.param(
            ISSUER.issue("u", "acme", "alice", 7, NOW, 60.0),
            OrderFlaw.MALFORMED,
            id="a-ticket-is-no-order",
        ),
        pytest.param(
            ISSUER.issue_eddsa("u", "acme", "alice", 7, NOW, 60.0),
            OrderFlaw.MALFORMED,
            id="nor-is-one-that-anybody-can-check",
        ),
    ],
)
def test_each_bad_order_has_its_reason(order: str, expected: OrderFlaw) -> None:
    assert flaw(order) is expected


@pytest.mark.parametrize("action", list(OrderAction))
def test_an_order_admits_nobody(action: OrderAction) -> None:
    """It is signed with the same key; only its type tells it from a ticket."""
    assert DOOR.verify(made(action), NOW).reason is AdmissionReason.MALFORMED


def test_clocks_may_be_a_little_apart() -> None:
    assert isinstance(check_order(made(), OrderAction.EXPORT, DOOR, "u", NOW + 64.0), Order)
    assert isinstance(check_order(made(now=NOW + 4.0), OrderAction.EXPORT, DOOR, "u", NOW), Order)


def test_orders_follow_the_keys_when_they_rotate() -> None:
    ring = rotated(RING, now=NOW, overlap_s=600.0, random=os.urandom)
    issuer = TicketIssuer(ring)
    order = OrderIssuer(issuer).make(OrderAction.FORGET, "u", "acme", "alice", 7, NOW + 1.0)
    assert flaw(order, OrderAction.FORGET, NOW + 1.0) is OrderFlaw.FORGED
    door = TicketVerifier("u", issuer.keys_for("u", NOW + 1.0))
    assert isinstance(check_order(order, OrderAction.FORGET, door, "u", NOW + 1.0), Order)

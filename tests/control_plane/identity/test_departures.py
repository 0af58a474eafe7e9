"""Which tickets a departure ends, and what the door says to their bearers."""

import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identity.admission import AdmissionReason, TicketVerifier
from control_plane.identity.departures import Departed, DepartureMemory
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer

NOW = 1_800_000_000.0
ISSUER = TicketIssuer(KeyRing(epochs=(new_epoch(1, now=NOW, random=os.urandom),)))
MOVED = Departed(
    epoch=3, unit_id="us-east", endpoint="us-east.example.net:443", decided_at=NOW, over_at=NOW
)
GONE = replace(MOVED, epoch=2, unit_id="", endpoint="")


def door(departed: Departed | None) -> TicketVerifier:
    verifier = TicketVerifier("eu-west", ISSUER.keys_for("eu-west"))
    if departed is not None:
        verifier.departures.note("default", "alice", departed)
    return verifier


def ticket(epoch: int, *, client: str = "alice", after_s: float = -60.0) -> str:
    return ISSUER.issue("eu-west", "default", client, epoch, NOW + after_s, 3600.0)


@pytest.mark.parametrize(
    ("departed", "shown", "admitted"),
    [
        pytest.param(MOVED, ticket(2), False, id="before-it-moved"),
        pytest.param(MOVED, ticket(3), True, id="moved-here-again-at-the-epoch-told"),
        pytest.param(MOVED, ticket(4), True, id="came-back"),
        pytest.param(MOVED, ticket(1, after_s=1), True, id="assigned-again-after-a-release"),
        pytest.param(MOVED, ticket(2, after_s=0), False, id="issued-in-the-second-it-left"),
        pytest.param(MOVED, ticket(2, client="bob"), True, id="somebody-else"),
        pytest.param(GONE, ticket(2), False, id="its-place-was-given-back"),
        pytest.param(GONE, ticket(2, after_s=1), True, id="and-taken-again"),
        pytest.param(None, ticket(2), True, id="nobody-left"),
    ],
)
def test_a_departure_ends_the_tickets_from_before_it(departed, shown, admitted):
    assert door(departed).verify(shown, NOW + 10).admitted is admitted


def test_who_has_moved_is_told_where_to():
    admission = door(MOVED).verify(ticket(2), NOW)
    assert admission.reason is AdmissionReason.STALE_EPOCH
    assert admission.departed == MOVED
    assert "us-east at us-east.example.net:443" in admission.message


def test_who_lost_its_place_is_told_to_provision():
    admission = door(GONE).verify(ticket(2), NOW)
    assert admission.departed == GONE
    assert admission.message == "the client's place was given back; provision it again"


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        pytest.param(ticket(2)[:-4] + "AAAA", AdmissionReason.FORGED, id="forged"),
        pytest.param(
            ISSUER.issue("us-east", "default", "alice", 2, NOW, 60.0), AdmissionReason.WRONG_UNIT,
            id="wrong-unit",
        ),
        pytest.param(ticket(2, after_s=-9000), AdmissionReason.EXPIRED, id="expired"),
    ],
)  # fmt: skip
def test_other_reasons_come_first_and_say_nothing_of_where_it_went(shown, reason):
    admission = door(MOVED).verify(shown, NOW)
    assert (admission.reason, admission.departed) == (reason, None)


def test_the_latest_departures_are_kept():
    memory = DepartureMemory(size=2)
    for client in ("a", "b", "c"):
        memory.note("t", client, MOVED)
    assert [memory.find("t", client) for client in ("a", "b", "c")] == [None, MOVED, MOVED]
    assert len(memory) == 2


@given(
    lives=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_told_in_any_order_and_twice_the_last_departure_counts(lives, order):
    """A client that moves away and back `n` times, is released, and begins again: each life's
    epochs begin at 1, time goes on."""
    departures = [
        replace(
            MOVED, epoch=2 * n + 2, decided_at=NOW + 100 * life + n, over_at=NOW + 100 * life + n
        )
        for life, count in enumerate(lives)
        for n in range(count)
    ]
    told = departures * 2
    order.shuffle(told)
    memory = DepartureMemory()
    for departed in [*told, departures[-1]]:
        memory.note("t", "alice", departed)
    last = memory.find("t", "alice")
    assert last is not None
    assert last.decided_at == departures[-1].decided_at


@pytest.mark.parametrize(
    ("first_ms", "epoch", "issued_at", "over"),
    [
        pytest.param(5_000, 1, 50, True, id="the life that ended"),
        pytest.param(5_000, 2, 500, True, id="issued late, by whatever clock"),
        pytest.param(5_000, 3, 50, False, id="an epoch it never had"),
        pytest.param(9_000, 1, 50, False, id="the next life, in the same second"),
        pytest.param(1_000, 1, 50, True, id="a life before"),
        pytest.param(1_000, 1, 500, False, id="a life that only seems before: issued since"),
        pytest.param(0, 1, 50, True, id="not recorded, issued before"),
        pytest.param(0, 1, 500, False, id="not recorded, issued since"),
    ],
)
def test_lives_are_told_apart_by_when_they_began(first_ms, epoch, issued_at, over):
    left = Departed(
        epoch=2, unit_id="", endpoint="", decided_at=90.0, over_at=100.0, first_ms=5_000
    )
    assert left.ends(epoch, issued_at, first_ms) is over

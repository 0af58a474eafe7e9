"""RetransmitTimer: follows what commits take, and doubles with silence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provisioner.ledger.retransmit_timer import LEAST_S, MOST_S, RetransmitTimer


@given(took=st.lists(st.floats(0, 10), max_size=50), silences=st.integers(0, 10))
def test_it_stays_within_its_bounds(took: list[float], silences: int) -> None:
    patience = RetransmitTimer()
    for seconds in took:
        patience.answered(seconds)
        assert LEAST_S <= patience.wait_s <= MOST_S
    for _ in range(silences):
        before = patience.wait_s
        patience.timed_out()
        assert patience.wait_s == min(MOST_S, 2 * before)


def test_a_fast_store_is_missed_soon_and_a_slow_one_is_given_time() -> None:
    fast, slow = RetransmitTimer(), RetransmitTimer()
    for n in range(50):
        fast.answered(0.004)
        slow.answered(0.6 + 0.2 * (n % 2))
    assert fast.wait_s == LEAST_S
    assert slow.wait_s > 0.9


def test_after_an_outage_it_is_as_before() -> None:
    patience = RetransmitTimer()
    for _ in range(20):
        patience.answered(0.01)
    for _ in range(5):
        patience.timed_out()
    assert patience.wait_s == MOST_S
    patience.answered(0.01)
    assert patience.wait_s == LEAST_S

"""RateLimiter: never faster than the rate, never stuck, and no burst after a pause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.moves.rate_limiter import HELD_S, RateLimiter


@pytest.mark.parametrize("rate", [0.01, 0.5, 3.0, 1_000.0, 1e9])
def test_somebody_who_waits_as_told_may_go(rate):
    limiter, now = RateLimiter(rate, 0.0), 0.0
    went = 0
    for _ in range(20):
        count, wait_s = limiter.acquire(250, now)
        assert (count > 0) != (wait_s > 0)
        went += count
        now += wait_s + 1e-9
    assert went > 0
    assert went <= rate * now + max(1.0, rate * HELD_S) + 1e-6


@given(
    st.floats(0.1, 5_000),
    st.lists(st.tuples(st.integers(1, 500), st.floats(0.0, 30.0)), max_size=50),
)
def test_never_faster_than_the_rate_in_the_long_run(rate, steps):
    limiter, now, went = RateLimiter(rate, 0.0), 0.0, 0
    for wanted, pause_s in steps:
        now += pause_s
        count, _ = limiter.acquire(wanted, now)
        assert 0 <= count <= wanted
        went += count
    assert went <= rate * now + 1e-6


def test_a_pause_is_not_made_up_for():
    limiter = RateLimiter(100.0, 0.0)
    assert limiter.acquire(1_000, 3_600.0)[0] == 100.0 * HELD_S


def test_a_new_rate_counts_at_once():
    limiter = RateLimiter(1.0, 0.0)
    assert limiter.acquire(10, 0.0) == (0, 1.0)
    limiter.rate_per_s = 1_000.0
    assert limiter.acquire(10, 0.1) == (10, 0.0)


def test_a_clock_that_goes_back_earns_nothing():
    limiter = RateLimiter(100.0, 10.0)
    assert limiter.acquire(1, 5.0)[0] == 0

"""ConcurrencyLimit: as many calls under way as are answered within the time that is wanted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.serving.concurrency_limit import IDLE, LEAST, MOST, TARGET_S, ConcurrencyLimit

SAMPLE_S = 0.1
samples = st.lists(
    st.tuples(st.integers(0, 5_000), st.floats(0.01, 10.0), st.booleans()), max_size=60
)


def busy(limit: ConcurrencyLimit, rate_per_s: float, seconds: float) -> None:
    """A server that answers at this rate at most, of which more is asked."""
    for _ in range(int(seconds / SAMPLE_S)):
        answered = int(min(rate_per_s * SAMPLE_S, limit.calls))
        limit.sample(answered=answered, seconds=SAMPLE_S, was_full=True)


@given(samples)
def test_it_stays_within_its_bounds(given: list[tuple[int, float, bool]]) -> None:
    limit = ConcurrencyLimit()
    for answered, seconds, was_full in given:
        limit.sample(answered=answered, seconds=seconds, was_full=was_full)
        assert LEAST <= limit.calls <= MOST


@pytest.mark.parametrize("rate_per_s", [200, 1_000, 4_000, 10_000])
def test_under_load_calls_take_the_time_that_is_wanted(rate_per_s: int) -> None:
    limit = ConcurrencyLimit()
    busy(limit, rate_per_s, 10.0)
    assert limit.calls / rate_per_s == pytest.approx(TARGET_S, rel=0.05)
    assert limit.rate_per_s == pytest.approx(rate_per_s, rel=0.01)


@pytest.mark.parametrize(("before", "after"), [(4_000, 400), (400, 4_000)])
def test_a_server_that_changes_its_pace_is_followed_within_seconds(before, after) -> None:
    limit = ConcurrencyLimit()
    busy(limit, before, 10.0)
    busy(limit, after, 3.0)
    assert limit.calls / after == pytest.approx(TARGET_S, rel=0.25)


def test_a_store_that_stands_still_closes_the_door_but_for_a_few_and_idle_time_opens_it() -> None:
    limit = ConcurrencyLimit()
    for _ in range(100):
        limit.sample(answered=0, seconds=SAMPLE_S, was_full=True)
    assert limit.calls == LEAST
    for _ in range(100):
        limit.sample(answered=1, seconds=SAMPLE_S, was_full=False)
    assert limit.calls == IDLE


def test_an_idle_server_is_not_taken_for_a_slow_one() -> None:
    limit = ConcurrencyLimit()
    busy(limit, 4_000, 10.0)
    before = limit.calls
    limit.sample(answered=0, seconds=SAMPLE_S, was_full=False)
    assert limit.calls == before

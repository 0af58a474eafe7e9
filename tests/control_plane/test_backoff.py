"""Exponential back-off: doubled, bounded, jittered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.backoff import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(first_s=0.5, most_s=3.0)
    assert [backoff.pause_s(failures) for failures in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_without_a_longest_they_go_on_doubling() -> None:
    assert Backoff(first_s=0.25).pause_s(10) == 256.0


@pytest.mark.parametrize(
    ("jittered", "jitter", "pause_s"),
    [
        pytest.param(1.0, 0.0, 0.0, id="all-of-it-may-go"),
        pytest.param(1.0, 0.25, 1.0, id="drawn-from-nothing-to-all"),
        pytest.param(0.5, 0.0, 2.0, id="half-of-it-stays"),
        pytest.param(0.5, 1.0, 4.0, id="the-whole-pause-at-most"),
        pytest.param(0.0, 0.0, 4.0, id="no-jitter"),
    ],
)
def test_how_much_of_a_pause_the_jitter_decides(
    jittered: float, jitter: float, pause_s: float
) -> None:
    assert Backoff(first_s=1.0, jittered=jittered).pause_s(2, jitter) == pause_s


@given(st.integers(-5, 100_000), st.floats(0.0, 1.0))
def test_any_number_of_failures_makes_a_pause_within_bounds(failures: int, jitter: float) -> None:
    backoff = Backoff(first_s=0.2, most_s=30.0, jittered=0.5)
    assert 0.1 <= backoff.pause_s(failures, jitter) <= 30.0

"""AdaptiveThrottle: about as many calls are read as are begun; the others are refused unread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.serving.adaptive_throttle import MULTIPLE, AdaptiveThrottle


def read_of(throttle: AdaptiveThrottle, asked: int, room: int, *, was_full: bool = True) -> int:
    """How many of those who ask within a tenth of a second are read; `room` of them are begun."""
    read = sum(not throttle.refuses() for _ in range(asked))
    for _ in range(min(read, room)):
        throttle.begun()
    throttle.sample(was_full=was_full)
    return read


@pytest.mark.parametrize("times", [2, 5, 20])
def test_a_tenth_more_are_read_than_are_begun(times: int) -> None:
    throttle = AdaptiveThrottle()
    for _ in range(50):
        read = read_of(throttle, 100 * times, 100)
    assert read == pytest.approx(100 * MULTIPLE, rel=0.1)


def test_once_nobody_has_to_wait_all_are_read_again() -> None:
    throttle = AdaptiveThrottle()
    for _ in range(50):
        read_of(throttle, 1_000, 100)
    read_of(throttle, 1_000, 1_000, was_full=False)
    assert read_of(throttle, 1_000, 1_000, was_full=False) == 1_000


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=30))
def test_while_nobody_has_to_wait_nobody_is_refused(steps: list[tuple[int, int]]) -> None:
    throttle = AdaptiveThrottle()
    for asked, room in steps:
        assert read_of(throttle, asked, room, was_full=False) == asked

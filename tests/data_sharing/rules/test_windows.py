"""Windows by themselves: bounds of sliding and tumbling ones, lateness, room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.rules.cell_cache import WindowState
from data_sharing.rules.windows import MOST_OPEN, Window


def sliding(over_ms: int = 100, limit: int = 100) -> Window:
    return Window(name="w", over_ms=over_ms, every_ms=0, limit=limit, shape="s")


def tumbling(every_ms: int = 100) -> Window:
    return Window(name="w", over_ms=0, every_ms=every_ms, limit=100, shape="t")


@pytest.mark.parametrize(
    ("at_ms", "count"),
    [(200, 1), (299, 1), (300, 0), (199, 0)],
    ids=["its-own-time", "the-last-moment", "its-start-is-outside", "before-it"],
)
def test_a_sliding_window_is_open_at_its_start_and_closed_at_its_end(
    at_ms: int, count: int
) -> None:
    window, state = sliding(), WindowState("s")
    window.add(state, 200, 1.0)
    assert window.read(state, at_ms)["count"] == count


@pytest.mark.parametrize(("time_ms", "start"), [(0, 0), (99, 0), (100, 100), (-1, -100)])
def test_tumbling_windows_begin_at_multiples_since_1970(time_ms: int, start: int) -> None:
    assert tumbling().start(time_ms) == start


@given(
    times=st.lists(st.integers(0, 1_000), max_size=30),
    over_ms=st.integers(1, 300),
    at_ms=st.integers(0, 1_200),
)
def test_order_of_arrival_does_not_matter(times: list[int], over_ms: int, at_ms: int) -> None:
    window = sliding(over_ms)
    forward, backward = WindowState("s"), WindowState("s")
    for time_ms in times:
        window.add(forward, time_ms, float(time_ms))
    for time_ms in reversed(times):
        window.add(backward, time_ms, float(time_ms))
    assert window.read(forward, at_ms) == window.read(backward, at_ms)
    inside = [one for one in times if at_ms - over_ms < one <= at_ms]
    assert window.read(forward, at_ms)["count"] == len(inside)


def test_a_full_sliding_window_drops_its_oldest() -> None:
    window, state = sliding(over_ms=1_000, limit=2), WindowState("s")
    assert [window.add(state, time_ms, 1.0) for time_ms in (3, 1, 2)] == [0, 0, 1]
    assert [time_ms for time_ms, _ in state.entries] == [2, 3]


def test_an_event_of_a_closed_tumbling_window_is_refused() -> None:
    window, state = tumbling(), WindowState("t")
    window.add(state, 50, 2.0)
    total = window.close(state, 0)
    assert total is not None
    assert (total.count, total.total) == (1, 2.0)
    assert window.add(state, 99, 1.0) == -1
    assert window.close(state, 0) is None


def test_open_tumbling_windows_are_bounded_and_the_oldest_makes_room() -> None:
    window, state = tumbling(), WindowState("t")
    for number in range(MOST_OPEN):
        assert window.add(state, number * 100, None) == 0
    assert window.add(state, MOST_OPEN * 100, None) == 1
    assert min(state.open) == 100


def test_without_values_there_is_a_count_and_a_sum_and_nothing_else() -> None:
    window, state = sliding(), WindowState("s")
    window.add(state, 10, None)
    assert window.read(state, 10) == {"count": 1, "sum": 0, "from": -90, "to": 10}
    assert window.read(None, 10)["count"] == 0


@pytest.mark.parametrize(("newest_ms", "left"), [(150, 1), (151, 0)])
def test_pruning_respects_lateness(newest_ms: int, left: int) -> None:
    window, state = sliding(), WindowState("s")
    window.add(state, 1, 1.0)
    window.prune(state, newest_ms, late_ms=50)
    assert len(state.entries) == left

"""What holds of parking whatever fails, in whichever order."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.rules.rule_health import (
    LONGEST_NAME,
    MOST_ROWS,
)
from tests.support.parking_bench import BAD, GOOD, HEALTH, RULE, ParkingBench

STEP = st.tuples(
    st.sampled_from(["/bad", "/good", "/mixed"]),
    st.sampled_from(["k", "j", "i"]),
    st.booleans(),  # of /mixed: whether it is a good one
    st.integers(0, 90),  # seconds since the one before
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(STEP, max_size=60), st.sampled_from([1, 2, 3]), st.integers(2, 4), st.integers(0, 59)
)
def test_one_producers_bad_events_never_stop_another_producer(
    steps: list[tuple[str, str, bool, int]], park_after: int, wider: int, restart_at: int
) -> None:
    text = RULE.replace("park_after: 3", f"park_after: {park_after}")
    bench = ParkingBench(text.replace("park_wider_after: 4", f"park_wider_after: {wider}"))
    at_s = 0
    failing: set[str] = set()  # producers that have sent something bad
    for number, (source, key, good, pause_s) in enumerate(steps):
        at_s += pause_s
        if number == restart_at:
            bench.restart()
        bad = source == "/bad" or (source == "/mixed" and not good)
        seen = bench.seen(BAD if bad else GOOD, key=key, source=source, at_s=at_s)
        failing |= {source} if bad else set()
        if not failing - {"/bad"} and source != "/bad":
            assert seen == "fired"
        assert seen in ("parked", "error" if bad else "fired")
        assert all(row.retry_ms > (row.parked_ms or 0) for row in bench.health().parked())


@settings(max_examples=100, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=60))
def test_whatever_failed_everything_goes_on_after_the_longest_while(
    steps: list[tuple[str, str, bool, int]],
) -> None:
    bench = ParkingBench()
    at_s = 0
    for source, key, _, pause_s in steps:
        at_s += pause_s
        bench.seen(BAD, key=key, source=source, at_s=at_s)
    at_s += 300
    for source, key, _, _ in steps:
        assert bench.seen(GOOD, key=key, source=source, at_s=at_s) == "fired"
    assert not bench.health().counts.any


@settings(max_examples=100, deadline=None)
@given(st.lists(STEP, max_size=60), st.sets(st.integers(0, 59)))
def test_a_restart_at_any_event_changes_nothing(
    steps: list[tuple[str, str, bool, int]], restarts: set[int]
) -> None:
    found: dict[bool, list[str]] = defaultdict(list)
    for restarting in (False, True):
        bench, at_s = ParkingBench(), 0
        for number, (source, key, good, pause_s) in enumerate(steps):
            at_s += pause_s
            if restarting and number in restarts:
                bench.restart()
            found[restarting].append(
                bench.seen(GOOD if good else BAD, key=key, source=source, at_s=at_s)
            )
    assert found[True] == found[False]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.text(min_size=1, max_size=3)), max_size=200))
def test_adversarial_keys_and_producers_leave_a_bounded_cell(
    names: list[tuple[str, str]],
) -> None:
    bench = ParkingBench(RULE.replace("park_after: 3", "park_after: 1"))
    for number, (key, source) in enumerate(names):
        bench.seen(BAD, key=key * 500, source=source * 500, at_s=number)
        bench.seen(GOOD, key="good", source="/good", at_s=number)
    bench.rules.store()
    size = len(bench.rules.stored[HEALTH].content) if HEALTH in bench.rules.stored else 0
    assert size <= MOST_ROWS * 8 * LONGEST_NAME
    assert len(bench.health().rows) <= MOST_ROWS

"""What waits to be decided, by feed: against a list of all that waits."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from data_sharing.event import Event
from data_sharing.feeds.backlog import (
    MOST_FEEDS_TOLD,
    OTHER_FEEDS,
    Backlog,
    FeedName,
    FeedNames,
    FeedWaiting,
)


def event(name: FeedName) -> Event:
    tenant, feed = name
    return Event(tenant=tenant, source="/s", id="e", type=feed, key="", time_ms=0, data=None)


NAMES = st.tuples(st.sampled_from(["acme", "umbrella"]), st.sampled_from(["a", "b", "c"]))
RUNS = st.lists(NAMES, min_size=1, max_size=5)
STEPS = st.lists(st.one_of(RUNS, st.none()), max_size=40)  # a run begins, or the first one ends


@given(STEPS)
def test_it_tells_of_each_feed_how_many_wait_and_since_when(steps: list[list[FeedName] | None]):
    backlog, model = Backlog(), deque[tuple[float, list[FeedName]]]()
    told = deque()
    seen: set[FeedName] = set()
    for now, step in enumerate(steps):
        if step is not None:
            told.append(backlog.begin(map(event, step), float(now)))
            model.append((float(now), step))
            seen |= set(step)
        elif model:
            model.popleft()
            backlog.end(told.popleft())
    now = float(len(steps))
    expected = {}
    for name in seen:
        runs = [(since, names.count(name)) for since, names in model if name in names]
        expected[name] = FeedWaiting(
            sum(count for _, count in runs), now - min((since for since, _ in runs), default=now)
        )
    assert backlog.waiting(now) == expected


def test_feeds_beyond_the_most_are_one() -> None:
    backlog = Backlog()
    runs = [
        backlog.begin([event(("acme", f"feed-{number}"))], float(number))
        for number in range(MOST_FEEDS_TOLD + 50)
    ]
    waiting = backlog.waiting(200.0)
    assert len(waiting) == MOST_FEEDS_TOLD + 1
    assert waiting[OTHER_FEEDS] == FeedWaiting(50, 200.0 - MOST_FEEDS_TOLD)
    for run in runs[:-1]:
        backlog.end(run)
    assert backlog.waiting(200.0)[OTHER_FEEDS] == FeedWaiting(1, 200.0 - 149.0)
    assert backlog.waiting(200.0)["acme", "feed-0"] == FeedWaiting(0, 0.0)


def test_a_clock_that_is_read_too_early_is_no_negative_wait() -> None:
    backlog = Backlog()
    backlog.begin([event(("acme", "a"))], 5.0)
    assert backlog.waiting(4.0) == {("acme", "a"): FeedWaiting(1, 0.0)}


def test_names_are_given_for_good() -> None:
    names = FeedNames(most=1)
    assert names.name_of("acme", "a") == ("acme", "a")
    assert names.name_of("acme", "b") == OTHER_FEEDS
    assert names.name_of("acme", "a") == ("acme", "a")

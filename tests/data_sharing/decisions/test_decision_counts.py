"""What is counted of decisions has a bounded number of names."""

from __future__ import annotations

from data_sharing.decisions.decision_writer import (
    MOST_FEEDS_TOLD,
    OTHER_FEEDS,
    DecisionCounts,
)


def test_feeds_beyond_the_most_are_one() -> None:
    counts = DecisionCounts()
    for number in range(MOST_FEEDS_TOLD + 50):
        counts.count_feed(f"feed-{number}", 2)
    counts.count_feed("feed-0", 3)
    assert len(counts.feeds) == MOST_FEEDS_TOLD + 1
    assert counts.feeds["feed-0"] == 5
    assert counts.feeds[OTHER_FEEDS] == 100

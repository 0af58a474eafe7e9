"""What is counted of decisions has a bounded number of names."""

from __future__ import annotations

from data_sharing.decisions.decision_writer import DecisionCounts
from data_sharing.feeds.backlog import MOST_FEEDS_TOLD, OTHER_FEEDS


def test_feeds_beyond_the_most_are_one() -> None:
    counts = DecisionCounts()
    for number in range(MOST_FEEDS_TOLD + 50):
        for _ in range(2):
            counts.time_event("acme", f"feed-{number}", 0.002)
    for _ in range(3):
        counts.time_event("acme", "feed-0", 0.5)
    assert len(counts.feeds) == MOST_FEEDS_TOLD + 1
    assert dict(counts.feeds["acme", "feed-0"].cumulative())["0.01"] == 2
    assert dict(counts.feeds["acme", "feed-0"].cumulative())["1.0"] == 5
    assert sum(counts.feeds[OTHER_FEEDS].counts) == 100


def test_feeds_of_one_name_of_two_tenants_are_two() -> None:
    counts = DecisionCounts()
    counts.time_event("acme", "feed", 0.1)
    counts.time_event("other", "feed", 0.1)
    assert set(counts.feeds) == {("acme", "feed"), ("other", "feed")}

"""Backlog: what waits to be kept and decided, by feed, for metrics.

Told of runs of events as they begin to wait and as they are answered, in the same order. Of so
many feeds as a page of metrics can name; all others are one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from data_sharing.event import Event

MOST_FEEDS_TOLD: Final = 100

FeedName: TypeAlias = tuple[str, str]
"""Tenant and feed, as labels of metrics."""

OTHER_FEEDS: Final[FeedName] = ("other", "other")


class FeedNames:
    """The first MOST_FEEDS_TOLD feeds that are asked about have names of their own for as long as
    the process runs; whichever come later are OTHER_FEEDS."""

    def __init__(self, most: int = MOST_FEEDS_TOLD) -> None:
        self._most = most
        self._known: set[FeedName] = set()

    def name_of(self, tenant: str, feed: str) -> FeedName:
        """How metrics call it."""
        name = tenant, feed
        if name in self._known:
            return name
        if len(self._known) >= self._most:
            return OTHER_FEEDS
        self._known.add(name)
        return name


class FeedWaiting(NamedTuple):
    """Of one feed."""

    events: int  # that wait
    seconds: float  # how long the one that waits longest has; 0: none does


class Backlog:
    """Belongs to one thread; `waiting` may be asked by any."""

    def __init__(self) -> None:
        self._names = FeedNames()
        self._runs: dict[FeedName, deque[tuple[float, int]]] = {}  # since, and events

    def begin(self, events: Iterable[Event], since: float) -> Mapping[FeedName, int]:
        """These wait, since then (monotonic s). What `end` wants to be given."""
        name_of = self._names.name_of
        counts: dict[FeedName, int] = {}
        for one in events:
            name = name_of(one.tenant, one.type)
            counts[name] = counts.get(name, 0) + 1
        for name, count in counts.items():
            self._runs.setdefault(name, deque()).append((since, count))
        return counts

    def end(self, counts: Mapping[FeedName, int]) -> None:
        """Those that began first, of all that did not end, wait no more."""
        for name in counts:
            self._runs[name].popleft()

    def waiting(self, now: float) -> dict[FeedName, FeedWaiting]:
        """Of each feed that events ever waited for."""
        found = {}
        for name, queue in self._runs.copy().items():
            runs = list(queue.copy())
            seconds = max(0.0, now - runs[0][0]) if runs else 0.0
            found[name] = FeedWaiting(sum(count for _, count in runs), seconds)
        return found

"""WeightedTurns: what waits, taken from those it waits for in shares that follow their weights,
where it is known only afterwards what an entry costs.

Start-time fair queueing (P. Goyal, H. Vin, H. Cheng, SIGCOMM 1996): each key has a tag, the cost
it was charged so far divided by its weight; the entry of the lowest tag comes next. A key that
had nothing waiting begins at the tag that is being served, so that nobody saves up turns, and one
that left with a charge that is ahead of the others comes back with it. Entries of one key keep
their order. Where one key waits alone it has everything.

Two keys that wait all the time get shares of which cost / weight differs by no more than one
entry of each, divided by its weight; a key that comes anew waits for one entry of each other key
at most. Pure; not for several threads.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_KEPT = 256  # tags of keys that wait for nothing, before those that mean nothing are dropped


def _equal(_: str) -> float:
    return 1.0


class WeightedTurns(Generic[T]):
    """weight_of: a key's weight, above 0; asked each time that the key is charged."""

    def __init__(self, weight_of: Callable[[str], float] = _equal) -> None:
        self._weight_of = weight_of
        self._lines: dict[str, deque[T]] = {}  # none of them is empty
        self._tags: dict[str, float] = {}  # also of keys that left with a charge ahead
        self._order: list[tuple[float, int, str]] = []  # a heap; entries whose tag moved are stale
        self._now = 0.0  # the tag that is served
        self._number = 0
        self._size = 0
        self._drop_at = _KEPT

    def __len__(self) -> int:
        """Entries that wait."""
        return self._size

    def __iter__(self) -> Iterator[T]:
        """All entries, those of one key together in their order."""
        for line in self._lines.values():
            yield from line

    @property
    def keys(self) -> int:
        """Keys that wait."""
        return len(self._lines)

    def append(self, key: str, entry: T) -> None:
        """It waits behind those of its key."""
        self._line(key).append(entry)
        self._size += 1

    def appendleft(self, key: str, entry: T) -> None:
        """It waits before those of its key: what was taken and not served, or not all of it."""
        self._line(key).appendleft(entry)
        self._size += 1

    def next_key(self) -> str:
        """Whose turn it is. Raises IndexError where nobody waits."""
        while True:
            tag, _, key = self._order[0]
            if key in self._lines and tag == self._tags[key]:
                return key
            heapq.heappop(self._order)

    def take(self, key: str) -> T | None:
        """The first entry of a key; None: it has none."""
        line = self._lines.get(key)
        if line is None:
            return None
        self._now = max(self._now, self._tags[key])  # who only asks whose turn it is serves nobody
        entry = line.popleft()
        self._size -= 1
        if not line:
            del self._lines[key]
        return entry

    def waiting_of(self, key: str) -> Iterator[T]:
        """The entries of a key, the next one first."""
        yield from self._lines.get(key, ())

    def charge(self, key: str, cost: float) -> None:
        """What serving the key has cost, 0 or more."""
        self._tags[key] = self._tags.get(key, self._now) + cost / self._weight_of(key)
        if key in self._lines:
            self._push(key)
        elif not self._lines:  # nobody waits: nobody is owed anything
            self._tags.clear()
            self._order.clear()
        elif len(self._tags) > self._drop_at:
            self._drop()

    def clear(self) -> None:
        """Nothing waits any more."""
        self._lines.clear()
        self._tags.clear()
        self._order.clear()
        self._size = 0

    def _line(self, key: str) -> deque[T]:
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = deque()
            self._tags[key] = max(self._now, self._tags.get(key, self._now))
            self._push(key)
        return line

    def _push(self, key: str) -> None:
        self._number += 1
        heapq.heappush(self._order, (self._tags[key], self._number, key))

    def _drop(self) -> None:
        """Keys that wait for nothing and are not ahead would begin anew as well."""
        self._tags = {
            key: tag for key, tag in self._tags.items() if tag > self._now or key in self._lines
        }
        self._drop_at = 2 * len(self._tags) + _KEPT

"""Windows: count and aggregates over the events of one key, by the events' own time.

A sliding window holds the events of the last `over_ms` up to the newest event of the key; a
tumbling one those between two multiples of `every_ms` since 1970 (UTC). Late events within what
the rule allows find their place; the bound on memory drops the oldest and counts them.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from typing import Any

from data_sharing.rules.cell_cache import Sum, WindowState

FIELDS = frozenset(("count", "sum", "min", "max", "mean", "from", "to"))
MOST_OPEN = 64  # tumbling windows of one key that are open at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """over_ms or every_ms, the other is 0."""

    name: str
    over_ms: int
    every_ms: int
    limit: int
    shape: str

    def start(self, time_ms: int) -> int:
        """Of the tumbling window that holds the time."""
        return time_ms - time_ms % self.every_ms

    def add(self, state: WindowState, time_ms: int, value: float | None, hops: int = 0) -> int:
        """Returns how many events were dropped to make room, -1 where this one came after its
        tumbling window was closed."""
        if self.over_ms:
            insort(state.entries, (time_ms, value), key=_time)
            over = len(state.entries) - self.limit
            if over > 0:
                del state.entries[:over]
            return max(0, over)
        start = self.start(time_ms)
        if start + self.every_ms <= state.closed_ms:
            return -1
        found = state.open.get(start)
        if found is None:
            found = state.open[start] = Sum()
        found.add(value, hops)
        if len(state.open) > MOST_OPEN:
            return state.open.pop(min(state.open)).count
        return 0

    def prune(self, state: WindowState, newest_ms: int, late_ms: int) -> None:
        """Lets go of what no later event can see any more. late_ms: how late events may be."""
        if self.over_ms:
            outside = newest_ms - late_ms - self.over_ms
            entries = state.entries
            count = 0
            while count < len(entries) and entries[count][0] <= outside:
                count += 1
            if count:
                del entries[:count]
            return
        for start in [one for one in state.open if one + self.every_ms + late_ms <= newest_ms]:
            del state.open[start]

    def close(self, state: WindowState, start: int) -> Sum | None:
        """Ends a tumbling window; None: it has been ended before, or nothing was in it."""
        found = state.open.pop(start, None)
        state.closed_ms = max(state.closed_ms, start + self.every_ms)
        return found

    def read(self, state: WindowState | None, at_ms: int) -> dict[str, Any]:
        """As of a time, that event included. Without values, sum is 0 and the others are not
        there."""
        if self.over_ms:
            total = Sum()
            for time_ms, value in () if state is None else state.entries:
                if at_ms - self.over_ms < time_ms <= at_ms:
                    total.add(value)
            return shown(total, at_ms - self.over_ms, at_ms)
        start = self.start(at_ms)
        found = None if state is None else state.open.get(start)
        return shown(found or Sum(), start, start + self.every_ms)


def shown(total: Sum, from_ms: int, to_ms: int) -> dict[str, Any]:
    """What CEL reads: count, from and to (Unix ms) are ints, the others doubles, whatever the
    values were. A sum past the greatest double is not there, nor is its mean."""
    fields: dict[str, Any] = {"count": total.count, "from": from_ms, "to": to_ms}
    if math.isfinite(total.total):
        fields["sum"] = float(total.total)
    if total.valued:
        fields |= {"min": float(total.least), "max": float(total.most)}
        if "sum" in fields:
            fields["mean"] = total.total / total.valued
    return fields


def _time(entry: tuple[int, float | None]) -> int:
    return entry[0]

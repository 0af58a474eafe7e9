"""Agenda: which accounts of a unit have something to do, and when.

In memory, and made again from the database: what is written beside an account's rows says here when
it is due, inside its transaction, and counts from the commit on. Who is told of something that was
undone looks, and finds nothing.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable


class Agenda:
    """Of one unit, by numbers of owners; use from its event loop. `changed` is set where something
    may be due earlier than was said."""

    def __init__(self) -> None:
        self._due: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []
        self._hints: list[tuple[int, int]] = []
        self.changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due)

    def hint(self, owner: int, at_ms: int) -> None:
        """Inside a transaction: it has something to do at that time, once this is committed."""
        self._hints.append((owner, at_ms))

    def committed(self) -> None:
        """A transaction is on disk: what was said inside counts."""
        if self._hints:
            hints, self._hints = self._hints, []
            self.add(hints)

    def add(self, found: Iterable[tuple[int, int]]) -> None:
        """Owners, and when they have something to do, Unix ms; the earliest counts."""
        for owner, at_ms in found:
            known = self._due.get(owner)
            if known is None or at_ms < known:
                self._due[owner] = at_ms
                heapq.heappush(self._heap, (at_ms, owner))
        self.changed.set()

    def next_ms(self) -> int | None:
        """When the first of them is due; None: nobody is."""
        heap = self._heap
        while heap and self._due.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, now_ms: int) -> int | None:
        """An owner that is due, which is not on it any more; None: nobody is."""
        at_ms = self.next_ms()
        if at_ms is None or at_ms > now_ms:
            return None
        _, owner = heapq.heappop(self._heap)
        del self._due[owner]
        return owner

    async def until_due(self, wall_ms: Callable[[], int]) -> None:
        """Waits until somebody is due by what is on it, or something has changed. wall_ms: Unix
        ms."""
        next_ms = self.next_ms()
        wait_s = None if next_ms is None else max(0.0, (next_ms - wall_ms()) / 1_000)
        try:
            async with asyncio.timeout(wait_s):
                await self.changed.wait()
        except TimeoutError:
            pass

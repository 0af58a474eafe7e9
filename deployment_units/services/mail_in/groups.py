"""Groups: what waits, handed out in groups, because each costs something however small it is.

Where no group is under way the next one goes at once, with whatever waits. Beside another one it
waits for more: until it is full, the other one ends, or a pause is over, so that a group that takes
long holds up nobody for longer than that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Groups(Generic[T]):
    """size: of what waits, in bytes. most: entries of a group, which ends with the one that brings
    it to `most_bytes`; most_waiting: entries; pause_s: see the module."""

    def __init__(
        self,
        size: Callable[[T], int],
        *,
        most: int,
        most_bytes: int,
        most_waiting: int,
        pause_s: float,
    ) -> None:
        self._size = size
        self._most = most
        self._most_bytes = most_bytes
        self._pause_s = pause_s
        self._waiting: deque[T] = deque()
        self._bytes = 0
        self._room = asyncio.Semaphore(most_waiting)
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._under_way = 0

    async def put(self, entry: T) -> None:
        """Once there is room for it."""
        await self._room.acquire()
        self._waiting.append(entry)
        self._bytes += self._size(entry)
        self._changed.set()

    async def next(self) -> list[T]:
        """The next group, of one entry at least; see `under_way`."""
        async with self._turn:
            while not self._waiting:
                await self._until_changed()
            if self._under_way:
                try:
                    async with asyncio.timeout(self._pause_s):
                        while self._under_way and not self._is_full():
                            await self._until_changed()
                except TimeoutError:
                    pass
            return self._taken()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Around what is done with a group."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._changed.set()

    def left(self) -> list[T]:
        """All that waits, which does not wait any more."""
        found = list(self._waiting)
        for _ in found:
            self._room.release()
        self._waiting.clear()
        self._bytes = 0
        return found

    async def _until_changed(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._most or self._bytes >= self._most_bytes

    def _taken(self) -> list[T]:
        group: list[T] = []
        size = 0
        while self._waiting and len(group) < self._most and size < self._most_bytes:
            group.append(self._waiting.popleft())
            self._room.release()
            size += self._size(group[-1])
        self._bytes -= size
        return group

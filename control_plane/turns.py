"""Turns: what waits, taken from each of those it waits for in turn, one entry each.

Who has a thousand entries waiting makes those who have one wait for a single one of theirs
(fair queueing: RFC 970, J. Nagle, "On Packet Switches With Infinite Storage"). Where all entries
are of one key it is an ordinary queue, at about the cost of one. Pure; not for several threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, KeysView
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue with the methods of a deque that one needs for it.

    key_of: whose an entry is. within: for entries of one key that are to take turns as well:
    whose an entry is among them; None: in their order.
    """

    __slots__ = ("_key_of", "_lines", "_size", "_turns", "_within")

    def __init__(
        self,
        key_of: Callable[[T], Hashable],
        entries: Iterable[T] = (),
        *,
        within: Callable[[T], Hashable] | None = None,
    ) -> None:
        self._key_of = key_of
        self._within = within
        self._lines: dict[Hashable, deque[T] | Turns[T]] = {}  # none of them is empty
        self._turns: deque[Hashable] = deque()  # their keys, whose turn it is in front
        self._size = 0
        for entry in entries:
            self.append(entry)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        """All entries, those of one key together."""
        for key in self._turns:
            yield from self._lines[key]

    @property
    def keys(self) -> KeysView[Hashable]:
        """Whose entries wait: a view, which follows."""
        return self._lines.keys()

    def append(self, entry: T) -> None:
        """It waits behind those of its key."""
        self._line(entry).append(entry)
        self._size += 1

    def appendleft(self, entry: T) -> None:
        """It goes before those of its key, whose turn it is."""
        line = self._line(entry)
        line.appendleft(entry)
        self._size += 1
        key = self._key_of(entry)
        if self._turns[0] != key:
            self._turns.remove(key)
            self._turns.appendleft(key)

    def extendleft(self, entries: Iterable[T]) -> None:
        """Each in turn, as `appendleft` does."""
        for entry in entries:
            self.appendleft(entry)

    def popleft(self) -> T:
        """The next entry. Raises IndexError where none waits."""
        turns = self._turns
        key = turns[0]
        line = self._lines[key]
        entry = line.popleft()
        self._size -= 1
        if not line:
            turns.popleft()
            del self._lines[key]
        elif len(turns) > 1:
            turns.rotate(-1)
        return entry

    def clear(self) -> None:
        """Nothing waits any more."""
        self._lines.clear()
        self._turns.clear()
        self._size = 0

    def take_where(self, wanted: Callable[[T], bool]) -> list[T]:
        """Removes and returns all entries of which this holds; the others stay in their turns."""
        taken: list[T] = []
        kept: list[T] = []
        for entry in self:
            (taken if wanted(entry) else kept).append(entry)
        if taken:
            self.clear()
            for entry in kept:
                self.append(entry)
        return taken

    def _line(self, entry: T) -> deque[T] | Turns[T]:
        key = self._key_of(entry)
        line = self._lines.get(key)
        if line is None:
            line = deque() if self._within is None else Turns(self._within)
            self._lines[key] = line
            self._turns.append(key)
        return line

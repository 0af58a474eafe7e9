"""FairPlaces: so many at a time, of whom nobody keeps out others. Pure.

Whoever asks gets a place while it has fewer than are free (the dynamic threshold of Choudhury and
Hahne, 1998, for buffers that queues share): one alone may have half of them, of n who want all each
has one in n + 1, and there is always one for somebody who has none.
"""

from __future__ import annotations

from collections import Counter


class FairPlaces:
    """most: at a time, of all together; 1 or more."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._held: Counter[str] = Counter()

    def enter(self, who: str) -> bool:
        """Whether it has a place now; then it leaves it with `leave`."""
        if self._held[who] >= self._free:
            if not self._held[who]:
                del self._held[who]
            return False
        self._held[who] += 1
        self._free -= 1
        return True

    def leave(self, who: str) -> None:
        """One of its places is free."""
        self._held[who] -= 1
        self._free += 1
        if not self._held[who]:
            del self._held[who]

    def __len__(self) -> int:
        """Who has places now."""
        return len(self._held)

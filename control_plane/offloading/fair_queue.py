"""FairQueue: what waits to be done, taken in turns from tenants, so that none of them can have all
workers or all of the queue. Pure but for being shared by coroutines of one event loop.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Generic, TypeVar

from control_plane.errors import Exhausted

T = TypeVar("T")


class FairQueue(Generic[T]):
    """at_once: of one tenant, taken and not yet done. of_tenant, of_all: how much may wait."""

    def __init__(self, *, at_once: int, of_tenant: int, of_all: int) -> None:
        self._at_once = at_once
        self._of_tenant, self._of_all = of_tenant, of_all
        self._waiting: dict[str, deque[T]] = {}  # by tenant, whose turn comes first in front
        self._taken: Counter[str] = Counter()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, tenant: str, entry: T) -> None:
        """Raises Exhausted."""
        waiting = self._waiting.get(tenant, ())
        if len(waiting) >= self._of_tenant:
            raise Exhausted(
                f"tenant {tenant} has {len(waiting)} submissions waiting to be checked; send the "
                "next one when some are answered"
            )
        if len(self) >= self._of_all:
            raise Exhausted("too many submissions are waiting to be checked; try again later")
        self._waiting.setdefault(tenant, deque()).append(entry)

    def take(self) -> tuple[str, T] | None:
        """The next entry and its tenant, which `done` is to be called with; None: nothing may be
        taken now."""
        for tenant, waiting in self._waiting.items():
            if self._taken[tenant] < self._at_once:
                entry = waiting.popleft()
                del self._waiting[tenant]
                if waiting:  # to the end of the turns
                    self._waiting[tenant] = waiting
                self._taken[tenant] += 1
                return tenant, entry
        return None

    def discard(self, tenant: str, entry: T) -> None:
        """Nobody wants it any more; nothing happens where it was taken."""
        waiting = self._waiting.get(tenant)
        if waiting is None or entry not in waiting:
            return
        waiting.remove(entry)
        if not waiting:
            del self._waiting[tenant]

    def done(self, tenant: str) -> None:
        """What was taken for the tenant is done."""
        self._taken[tenant] -= 1
        if not self._taken[tenant]:
            del self._taken[tenant]

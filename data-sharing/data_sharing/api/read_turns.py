"""ReadTurns: whose read comes next, so that a tenant that reads a lot makes its own reads wait and
nobody else's.

Reads run on the event loop, and how long one takes depends on who asks. So between two of them
everything else has as much time as the last one took, and where several wait, tenants take turns by
what their reads have taken. A read that nobody else's is before is begun at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from control_plane.errors import Exhausted
from control_plane.weighted_turns import WeightedTurns

MOST_WAITING = 1_000  # reads of a tenant
AGAIN_S = 0.5  # when who was refused is to come back
BRIEF_S = 0.0002  # after less than this nobody is made to wait


class ReadTurns:
    """clock: monotonic seconds; most_waiting: reads of one tenant that wait."""

    def __init__(self, clock: Callable[[], float], *, most_waiting: int = MOST_WAITING) -> None:
        self._clock, self._most_waiting = clock, most_waiting
        self._turns = WeightedTurns[asyncio.Future[None]]()
        self._waiting: Counter[str] = Counter()
        self._busy = False  # one has its turn, or everything else has

    @asynccontextmanager
    async def turn(self, tenant: str, *, counted: bool = True) -> AsyncIterator[None]:
        """Inside, a read of the tenant has its turn; it must not wait for anything. counted: it is
        refused where too many of the tenant's wait; those of streams, of which so many may be
        open, are not. Raises Exhausted."""
        if self._busy:
            await self._wait(tenant, counted)
        self._busy = True
        began = self._clock()
        try:
            yield
        finally:
            took = self._clock() - began
            self._turns.charge(tenant, took)
            if took < BRIEF_S and not self._turns:
                self._busy = False
            else:
                asyncio.get_running_loop().call_later(took, self._next)

    async def _wait(self, tenant: str, counted: bool) -> None:
        if counted and self._waiting[tenant] >= self._most_waiting:
            raise Exhausted(
                f"{self._waiting[tenant]:,} reads of tenant {tenant} wait; read less at once",
                retry_after_s=AGAIN_S,
            )
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(tenant, mine)
        self._waiting[tenant] += 1
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():  # it had been given the turn
                self._next()
            raise
        finally:
            self._waiting[tenant] -= 1
            if not self._waiting[tenant]:
                del self._waiting[tenant]

    def _next(self) -> None:
        """Who is next has its turn."""
        while self._turns:
            one = self._turns.take(self._turns.next_key())
            if one is not None and not one.done():
                one.set_result(None)
                return
        self._busy = False

"""AdmittedHolds: the clients that this unit admitted whose places are held until somebody says so.

Gathered between beats, each once, and reported in batches: soon where there are few, at
once where there are many. What was reported stays here until the control plane has answered,
because only then it is known to have been written; after a break it is reported again.
Reporting twice does no harm. Pure bookkeeping; the registration does the talking.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TypeAlias

Admitted: TypeAlias = tuple[str, str, int]  # tenant, client_id, epoch

BATCH = 1_000  # clients in one beat: some 50 kB
SOON_S = 0.25  # how long fewer than a batch may wait for company
KEPT = 200_000  # clients waiting to be reported; past that the oldest are dropped
REMEMBERED = 100_000  # clients reported, so that their next visit is not reported again


class AdmittedHolds:
    """Use from one event loop. `waiting` is set while something may be reported."""

    def __init__(self) -> None:
        self._pending: OrderedDict[Admitted, None] = OrderedDict()
        self._said: tuple[Admitted, ...] = ()  # reported, not answered yet
        self._told = 0  # how many were reported over this line
        self._line = 0  # which line that is
        self._done: OrderedDict[Admitted, None] = OrderedDict()
        self.dropped = 0
        self.waiting = asyncio.Event()
        self.many = asyncio.Event()  # a whole batch waits

    def __len__(self) -> int:
        return len(self._pending)

    def note(self, tenant: str, client_id: str, epoch: int) -> None:
        """A client with a held place was admitted."""
        one = (tenant, client_id, epoch)
        if one in self._done or one in self._pending:
            return
        if len(self._pending) >= KEPT:
            # Its place may be given up though it came; its next visit reports it again.
            self._pending.popitem(last=False)
            self.dropped += 1
        self._pending[one] = None
        self._signal()

    async def gathered(self) -> None:
        """Returns when there is something to report, and company has had its time."""
        await self.waiting.wait()
        try:
            async with asyncio.timeout(SOON_S):
                await self.many.wait()
        except TimeoutError:
            return

    def report(self, line: int) -> tuple[Admitted, ...]:
        """The next batch, oldest first; they stay until they are answered. Nothing while an
        answer is due, and nothing over a line that is not the last one begun."""
        if self._said or line != self._line:
            return ()
        self._said = tuple(one for one, _ in zip(self._pending, range(BATCH), strict=False))
        self._told += len(self._said)
        self._signal()
        return self._said

    def answered(self, line: int, written: int) -> None:
        """So many of those reported over this line have been written."""
        if not self._said or written < self._told or line != self._line:
            return
        for one in self._said:
            self._pending.pop(one, None)
            self._done[one] = None
        while len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        self._said = ()
        self._signal()

    def begin(self) -> int:
        """A new line, by its number: nobody knows what became of what was reported last over
        the old one, whose end may still ask for something to report."""
        self._said, self._told = (), 0
        self._line += 1
        self._signal()
        return self._line

    def _signal(self) -> None:
        count = 0 if self._said else len(self._pending)
        for event, enough in ((self.waiting, 1), (self.many, BATCH)):
            if count >= enough:
                event.set()
            else:
                event.clear()

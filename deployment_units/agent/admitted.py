"""AdmittedHolds: admitted clients whose places are held until the admission is confirmed.

Collected between heartbeats, each once, and reported in batches: soon where there are few, at
once where there are many. What was reported stays here until the control plane acknowledges
it, because only then it is known to have been written; after a break it is reported again.
Reporting twice does no harm. No I/O: the registration sends the batches.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TypeAlias

Admitted: TypeAlias = tuple[str, str, int]  # tenant, client_id, epoch

BATCH = 1_000  # clients in one heartbeat: some 50 kB
SOON_S = 0.25  # how long fewer than a batch may wait for more
KEPT = 200_000  # clients waiting to be reported; past that the oldest are dropped
REMEMBERED = 100_000  # clients reported, so that their next visit is not reported again


class AdmittedHolds:
    """Use from one event loop. `waiting` is set while something may be reported. kept and
    remembered: at most so many wait to be reported, and are known to have been."""

    def __init__(self, *, kept: int = KEPT, remembered: int = REMEMBERED) -> None:
        self._kept = kept
        self._remembered = remembered
        self._pending: OrderedDict[Admitted, None] = OrderedDict()
        self._unacknowledged: tuple[Admitted, ...] = ()  # the batch that was reported last
        self._reported = 0  # how many were reported over this stream
        self._stream = 0  # which heartbeat stream that is
        self._acknowledged: OrderedDict[Admitted, None] = OrderedDict()
        self.dropped = 0
        self.waiting = asyncio.Event()
        self.many = asyncio.Event()  # a whole batch waits

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, tenant: str, client_id: str, epoch: int) -> None:
        """A client with a held place was admitted."""
        one = (tenant, client_id, epoch)
        if one in self._acknowledged or one in self._pending:
            return
        if len(self._pending) >= self._kept:
            # Its place may be given up though it came; its next visit reports it again.
            self._pending.popitem(last=False)
            self.dropped += 1
        self._pending[one] = None
        self._signal()

    async def wait_for_batch(self) -> None:
        """Returns when a batch is full, or something has waited for SOON_S."""
        await self.waiting.wait()
        try:
            async with asyncio.timeout(SOON_S):
                await self.many.wait()
        except TimeoutError:
            return

    def next_batch(self, stream: int) -> tuple[Admitted, ...]:
        """The next batch, oldest first; they stay until they are acknowledged. Nothing while an
        acknowledgement is due, and nothing over a stream that is not the last one begun."""
        if self._unacknowledged or stream != self._stream:
            return ()
        self._unacknowledged = tuple(
            one for one, _ in zip(self._pending, range(BATCH), strict=False)
        )
        self._reported += len(self._unacknowledged)
        self._signal()
        return self._unacknowledged

    def acknowledge(self, stream: int, written: int) -> None:
        """So many of those reported over this stream have been written."""
        if not self._unacknowledged or written < self._reported or stream != self._stream:
            return
        for one in self._unacknowledged:
            self._pending.pop(one, None)
            self._acknowledged[one] = None
        while len(self._acknowledged) > self._remembered:
            self._acknowledged.popitem(last=False)
        self._unacknowledged = ()
        self._signal()

    def begin_stream(self) -> int:
        """The number of a new heartbeat stream: nobody knows what became of what was reported
        last over the old one, whose end may still ask for a batch."""
        self._unacknowledged, self._reported = (), 0
        self._stream += 1
        self._signal()
        return self._stream

    def _signal(self) -> None:
        count = 0 if self._unacknowledged else len(self._pending)
        for event, enough in ((self.waiting, 1), (self.many, BATCH)):
            if count >= enough:
                event.set()
            else:
                event.clear()

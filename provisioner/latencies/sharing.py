"""LatencySharing: what a server's clients told is written for the other servers, and theirs read.

At an interval a server writes the chunks of its own that changed, few at a time, those that wait
longest first. Nobody else writes them, so a write whose outcome is unknown is made again, whole,
with the next interval. They hang on a lease that outlives what is in them: what a server told
before it started again counts, and goes by itself. Where there are as many records as may be, the
one that was written longest ago makes room, whose ever it is. Records in a snapshot count as those
of the store do, by the age that they say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from enum import Enum

import msgspec

from control_plane import keys
from control_plane.store.port import (
    Compare,
    Delete,
    KeyValue,
    LeaseLost,
    Operation,
    OutcomeUnknown,
    Put,
    Store,
    StoreUnavailable,
    Txn,
    unchanged,
)
from control_plane.store.replica import Replica
from control_plane.store.shared_lease import SharedLease
from provisioner.latencies.keeper import LatencyKeeper
from provisioner.latencies.shared_voices import decode_chunk, encode_chunk
from provisioner.latencies.voices import FORGOTTEN_S

log = logging.getLogger(__name__)

WRITES = 4  # chunks an interval
MOST_RECORDS = 2_048  # of all servers, and of those that ended lately
MOST_EVICTED = 16  # by one write
MOST_KEPT_BYTES = 2 << 20  # of a snapshot: as much as one server tells at most
LEASE_SHARED_S = 3_600.0
STORE_S = 5.0


class WriteOutcome(Enum):
    """What became of an interval's transaction."""

    WRITTEN = "written"
    CONFLICT = "conflict"  # the record that was to make room had changed
    FAILED = "failed"  # the store is away, or does not say


class LatencySharing:
    """One per server. source: which start of which server this is, never used before; clock:
    monotonic seconds, the keeper's; wall: Unix seconds; jitter: 0 to 1, new at each call."""

    def __init__(
        self,
        store: Store,
        keeper: LatencyKeeper,
        *,
        source: str,
        every_s: float,
        clock: Callable[[], float],
        wall: Callable[[], float],
        jitter: Callable[[], float],
        most_records: int = MOST_RECORDS,
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._own = f"{source}/"
        self._every_s = every_s
        self._clock = clock
        self._wall = wall
        self._jitter = jitter
        self._most_records = most_records
        self._lease = SharedLease(store, lasts_s=FORGOTTEN_S, shared_s=LEASE_SHARED_S, clock=clock)
        self._heard: dict[str, bytes] = {}  # by record's name; empty: it is gone
        self.outcomes = dict.fromkeys(WriteOutcome, 0)
        self.unreadable = 0
        self.replica: Replica[bytes] = Replica(
            store, keys.LATENCIES, _value, self._note, keeps_pairs=True
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.replica.run(), name="shared latencies")
            knows = False
            while True:
                await asyncio.sleep(self._every_s * (0.5 + self._jitter()))
                await self.read()
                if self.replica.listed:
                    if not knows:  # what was known before this start counts at once
                        await self._keeper.refresh()
                    knows = True
                    await self.write()

    def kept(self) -> list[KeyValue]:
        """What goes into a snapshot: the records that were written last, within a bound."""
        found, left = [], MOST_KEPT_BYTES
        for pair in sorted(self.replica.pairs, key=lambda one: -one.mod_revision):
            left -= len(pair.key) + len(pair.value)
            if left < 0:
                break
            found.append(pair)
        return found

    async def restore(self, pairs: Iterable[KeyValue]) -> None:
        """Takes over what a snapshot holds, where the store itself was not read, and believes
        it."""
        self.replica.restore(pairs)
        if self._heard:
            await self.read()
            await self._keeper.refresh()

    async def read(self) -> None:
        """Has the keeper hear what was heard of other servers."""
        while self._heard:
            name, value = self._heard.popitem()
            try:
                pairs = decode_chunk(value, now=self._clock(), wall=self._wall()) if value else {}
            except msgspec.DecodeError as error:
                self.unreadable += 1
                log.warning("what record %s says of latencies does not count: %s", name, error)
                pairs = {}
            self._keeper.others.put(name, pairs)
            await asyncio.sleep(0)  # one is work enough for the event loop

    async def write(self) -> None:
        """Writes the chunks that wait longest, a few. Those of a write that failed, or may have,
        wait on."""
        changed = self._keeper.changed
        chunks = dict(list(changed.items())[:WRITES])
        if not chunks:
            return
        outcome = WriteOutcome.FAILED
        try:
            told = await self._keeper.voices_of(chunks)
            now, wall = self._clock(), self._wall()
            values = {
                self._key(chunk): encode_chunk(told[chunk], now=now, wall=wall) for chunk in chunks
            }
            async with asyncio.timeout(STORE_S):
                written = await self._commit(values)
            outcome = WriteOutcome.WRITTEN if written else WriteOutcome.CONFLICT
        except LeaseLost:
            self._lease.lost()
        except (StoreUnavailable, OutcomeUnknown, TimeoutError) as error:
            log.debug("latencies are shared later: %s", error)
        if outcome is WriteOutcome.WRITTEN:
            for chunk, count in chunks.items():  # what was reported meanwhile waits on, at the end
                if more := changed.pop(chunk) - count:
                    changed[chunk] = more
        self.outcomes[outcome] += 1

    async def _commit(self, values: dict[bytes, bytes]) -> bool:
        lease = await self._lease.current()
        then: list[Operation] = [
            Put(key, value, lease) if value else Delete(key) for key, value in values.items()
        ]
        known = {pair.key: pair for pair in self.replica.pairs}
        added = sum(1 for key, value in values.items() if value and key not in known)
        room = self._most_records - len(known) - added
        compares: list[Compare] = []
        if room < 0:
            others = [pair for key, pair in known.items() if key not in values]
            for pair in sorted(others, key=lambda one: one.mod_revision)[
                : min(-room, MOST_EVICTED)
            ]:
                compares.append(unchanged(pair.key, pair.mod_revision))
                then.append(Delete(pair.key))
        result = await self._store.commit(Txn(compares=compares, then=then))
        return result.succeeded

    def _key(self, chunk: int) -> bytes:
        return keys.LATENCIES + f"{self._own}{chunk:02d}".encode()

    def _note(self, name: str, value: bytes | None) -> None:
        if not name.startswith(self._own):
            self._heard[name] = value or b""


def _value(pair: KeyValue) -> bytes:
    return pair.value

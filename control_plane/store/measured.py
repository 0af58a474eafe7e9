"""MeasuredStore: a store whose calls are counted and timed, and whose watches say how far behind
they are.

How late a watch is can only be told by what is known to have happened: a key that this server
wrote itself, under a prefix that it watches. From the commit until the watch delivers that
revision it is behind by at least so long. Nothing is read or written for it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from control_plane import keys
from control_plane.errors import OutcomeUnknown, StoreUnavailable
from control_plane.histogram import Histogram
from control_plane.store.port import (
    Compacted,
    Get,
    Health,
    KeyValue,
    LeaseLost,
    Page,
    Put,
    Store,
    Txn,
    TxnResult,
    WatchBatch,
)

T = TypeVar("T")

_ROOT: Final = keys.ROOT.encode()
MOST_UNSEEN: Final = 1_000  # writes of one prefix that a watch has not delivered
MOST_PREFIXES: Final = 64


class WatchLag:
    """Of the watches of one prefix. lags: seconds from a commit of this server's until the first
    watch delivered it."""

    def __init__(self) -> None:
        self.lags = Histogram()
        self.open = 0  # watches now
        self._unseen: deque[tuple[int, float]] = deque(maxlen=MOST_UNSEEN)  # revision, since
        self._reached = 0  # the revision up to which a watch has seen everything

    def wrote(self, revision: int, now: float) -> None:
        """A key of the prefix was written. A watch may have delivered that before the answer to
        the write was here."""
        if revision <= self._reached:
            self.lags.observe(0.0)
        else:
            self._unseen.append((revision, now))

    def delivered(self, revision: int, now: float) -> None:
        """A watch has seen everything up to this revision."""
        self._reached = max(self._reached, revision)
        unseen = self._unseen
        while unseen and unseen[0][0] <= revision:
            self.lags.observe(max(0.0, now - unseen.popleft()[1]))

    def ended(self) -> None:
        """A watch is over; what the last one did not deliver, its successor lists."""
        self.open -= 1
        if not self.open:
            self._unseen.clear()

    def behind_s(self, now: float) -> float:
        """For how long the oldest write has not been delivered; 0: there is none."""
        try:
            return max(0.0, now - self._unseen[0][1])
        except IndexError:
            return 0.0


class StoreStatistics:
    """What became of a store's calls. calls: by operation and outcome; seconds: by operation."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.calls: dict[tuple[str, str], int] = {}
        self.seconds: dict[tuple[str, ...], Histogram] = {}
        self.watches: dict[str, WatchLag] = {}

    def ended(self, operation: str, outcome: str, seconds: float) -> None:
        """One call more."""
        key = operation, outcome
        self.calls[key] = self.calls.get(key, 0) + 1
        histogram = self.seconds.get((operation,))
        if histogram is None:
            histogram = self.seconds[(operation,)] = Histogram()
        histogram.observe(seconds)

    def watch_lag(self, prefix: bytes, store: str) -> WatchLag:
        """Of a prefix, by its first word, behind the name of its store if that has one; above
        MOST_PREFIXES there is one that nobody sees."""
        word = prefix.removeprefix(_ROOT).partition(b"/")[0].decode("utf-8", "replace")
        name = f"{store}/{word}" if store else word
        found = self.watches.get(name)
        if found is None:
            found = WatchLag()
            if len(self.watches) < MOST_PREFIXES:
                self.watches[name] = found
        return found


class MeasuredStore(Store):
    """Owns `inner`. statistics: of all stores of a process; name: of one of several, whose
    revisions mean nothing to the others."""

    def __init__(self, inner: Store, statistics: StoreStatistics, name: str = "") -> None:
        self._inner = inner
        self._statistics = statistics
        self._name = name
        self._clock = statistics.clock
        self._watched: dict[bytes, tuple[WatchLag, int]] = {}  # prefix -> lag, watches now
        self._prefixes: tuple[bytes, ...] = ()

    @property
    def health(self) -> Health:
        return self._inner.health

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        return await self._measured("get", self._inner.get(key, timeout_s=timeout_s))

    async def range(
        self,
        prefix: bytes,
        *,
        start_after: bytes | None = None,
        limit: int = 0,
        at_revision: int = 0,
        keys_only: bool = False,
        timeout_s: float | None = None,
    ) -> Page:
        page = self._inner.range(
            prefix,
            start_after=start_after,
            limit=limit,
            at_revision=at_revision,
            keys_only=keys_only,
            timeout_s=timeout_s,
        )
        return await self._measured("range", page)

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        writes = bool(txn.creates) or any(
            type(one) is not Get for one in (*txn.then, *txn.otherwise)
        )
        name = "commit" if writes else "read"
        result = await self._measured(name, self._inner.commit(txn, timeout_s=timeout_s))
        if writes and self._prefixes:
            ran = txn.then if result.succeeded else txn.otherwise
            written = [one.key for one in ran if type(one) is Put]
            if written:
                self._note(written, result.revision)
        return result

    async def watch(self, prefix: bytes, *, from_revision: int) -> AsyncIterator[WatchBatch]:
        lag = self._statistics.watch_lag(prefix, self._name)
        self._count_watch(prefix, lag, 1)
        batches = self._inner.watch(prefix, from_revision=from_revision)
        try:
            async for batch in batches:
                lag.delivered(batch.revision, self._clock())
                yield batch
        finally:
            self._count_watch(prefix, lag, -1)
            close = getattr(batches, "aclose", None)
            if close is not None:
                await close()

    async def lease_grant(self, ttl_s: int, *, timeout_s: float | None = None) -> int:
        granted = self._inner.lease_grant(ttl_s, timeout_s=timeout_s)
        return await self._measured("lease_grant", granted)

    async def lease_keep_alive(self, lease: int, *, timeout_s: float | None = None) -> float:
        renewed = self._inner.lease_keep_alive(lease, timeout_s=timeout_s)
        return await self._measured("lease_keep_alive", renewed)

    async def lease_revoke(self, lease: int, *, timeout_s: float | None = None) -> None:
        await self._measured("lease_revoke", self._inner.lease_revoke(lease, timeout_s=timeout_s))

    async def compact(self, revision: int, *, timeout_s: float | None = None) -> None:
        await self._measured("compact", self._inner.compact(revision, timeout_s=timeout_s))

    async def close(self) -> None:
        await self._inner.close()

    async def _measured(self, operation: str, call: Awaitable[T]) -> T:
        began, outcome = self._clock(), "error"
        try:
            result = await call
            outcome = "ok"
            return result
        except StoreUnavailable:
            outcome = "unavailable"
            raise
        except OutcomeUnknown:
            outcome = "unknown"
            raise
        except LeaseLost:
            outcome = "lease_lost"
            raise
        except Compacted:
            outcome = "compacted"
            raise
        finally:
            self._statistics.ended(operation, outcome, self._clock() - began)

    def _note(self, written: list[bytes], revision: int) -> None:
        """Which watches will have to deliver this revision."""
        prefixes, now = self._prefixes, self._clock()
        due = {
            id(lag): lag
            for key in written
            if key.startswith(prefixes)
            for prefix, (lag, _) in self._watched.items()
            if key.startswith(prefix)
        }
        for lag in due.values():
            lag.wrote(revision, now)

    def _count_watch(self, prefix: bytes, lag: WatchLag, more: int) -> None:
        count = self._watched.get(prefix, (lag, 0))[1] + more
        if count:
            self._watched[prefix] = lag, count
        else:
            self._watched.pop(prefix, None)
        self._prefixes = tuple(self._watched)
        if more > 0:
            lag.open += 1
        else:
            lag.ended()

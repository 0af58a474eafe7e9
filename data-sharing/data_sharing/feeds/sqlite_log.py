"""SqliteFeedLog: the feed log in the database, and the place where deciding joins in.

All appends that gather while one transaction is under way go into the next one together. A
follower, if there is one, is called inside that transaction with the events that are new: it
decides, and what it writes is on disk together with the events or not at all.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from control_plane.errors import Exhausted
from control_plane.histogram import SIZES, Histogram
from data_sharing.database import Database
from data_sharing.event import Event
from data_sharing.feeds import log_tables
from data_sharing.feeds.backlog import Backlog, FeedName
from data_sharing.feeds.port import Appended, Candidate, LogBounds, Page, Retention

Follower: TypeAlias = Callable[[sqlite3.Connection, Sequence[Event]], None]
"""Gets new events, in order, with their positions, inside their transaction. What it raises
undoes the events of the whole group, and their producers are told to try again."""

# In one transaction, about. Not all that a few producers keep under way: while one group is
# synced, those whose events were in the group before it make their next.
EVENTS_AT_ONCE = 2_000
LARGE_BYTES = 4_096  # an event of so much counts for more than one, as rules take longer with it:
BYTES_AS_EVENT = 64  # one for each so many
MAX_WAITING_BYTES = 64 << 20


class _Waiting(NamedTuple):
    candidates: Sequence[Candidate]
    answer: asyncio.Future[Sequence[Appended]]
    size: int  # bytes
    since: float  # monotonic s
    weight: int  # in events, of which a transaction takes EVENTS_AT_ONCE
    feeds: Mapping[FeedName, int]  # how many events of each


class SqliteFeedLog:
    """The FeedLog of one machine. wall_ms: Unix ms."""

    def __init__(
        self,
        database: Database,
        *,
        wall_ms: Callable[[], int],
        follower: Follower | None = None,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self._database = database
        self._wall_ms = wall_ms
        self._follower = follower
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: deque[_Waiting] = deque()
        self._taken: list[_Waiting] = []  # into the group under way
        self._fresh = 0  # events of that group that were not there
        self._busy = False
        self._growth = asyncio.Event()  # replaced whenever a log has grown
        self._told = asyncio.Event()  # replaced whenever appends were answered
        self.waiting_bytes = 0
        self.backlog = Backlog()
        self.accepted = 0  # events
        self.duplicates = 0
        self.append_seconds = Histogram()  # from taking a group's turn to its events on disk
        self.append_events = Histogram(SIZES)  # in one group
        self._began = 0.0
        self._grew_inside = False  # by `append_inside`, in a transaction that is under way
        database.on_commit.append(self._notify_growth)

    def append_inside(self, db: sqlite3.Connection, candidates: Sequence[Candidate]) -> None:
        """Keeps events in a transaction of the caller's, and has them decided there; who waits
        for events is woken when it is on disk."""
        fresh = self._write(db, candidates)[1]
        if fresh:
            self._grew_inside = True

    def _notify_growth(self) -> None:
        if self._grew_inside:
            self._grew_inside = False
            self._growth.set()
            self._growth = asyncio.Event()

    def append(self, candidates: Sequence[Candidate]) -> asyncio.Future[Sequence[Appended]]:
        answer: asyncio.Future[Sequence[Appended]] = asyncio.get_running_loop().create_future()
        sizes = [len(one.content) for one in candidates]
        size = log_tables.OVERHEAD_BYTES * len(candidates) + sum(sizes)
        if self.waiting_bytes > self._max_waiting_bytes:
            answer.set_exception(
                Exhausted("too many events wait to be kept; slow down", retry_after_s=0.5)
            )
            return answer
        if not sizes or max(sizes) < LARGE_BYTES:
            return self._enqueue(candidates, answer, size, len(candidates))
        # Large events are decided in several transactions, between which others have their turn.
        parts = [
            self._enqueue(part, asyncio.get_running_loop().create_future(), size, weight)
            for part, size, weight in _parts(candidates)
        ]

        def join(done: asyncio.Future[list[Sequence[Appended]]]) -> None:
            if answer.done():
                return
            if done.cancelled():
                answer.cancel()
            elif (failure := done.exception()) is not None:
                answer.set_exception(failure)
            else:
                answer.set_result([one for part in done.result() for one in part])

        asyncio.gather(*parts).add_done_callback(join)
        return answer

    def _enqueue(
        self,
        candidates: Sequence[Candidate],
        answer: asyncio.Future[Sequence[Appended]],
        size: int,
        weight: int,
    ) -> asyncio.Future[Sequence[Appended]]:
        self.waiting_bytes += size
        now = time.monotonic()
        feeds = self.backlog.begin((one.event for one in candidates), now)
        self._waiting.append(_Waiting(candidates, answer, size, now, weight, feeds))
        if not self._busy:
            self._start()
        return answer

    def waiting_s(self) -> float:
        """How long the events that wait longest have waited to be kept and decided; 0: none
        do."""
        for queue in (self._taken if self._busy else [], self._waiting):
            try:
                return max(0.0, time.monotonic() - queue[0].since)
            except IndexError:
                continue
        return 0.0

    async def room(self) -> None:
        while self.waiting_bytes > self._max_waiting_bytes:
            await self._told.wait()

    async def read(
        self,
        tenant: str,
        after: int,
        *,
        types: Collection[str] | None = None,
        key: str | None = None,
        limit: int = 256,
    ) -> Page:
        return self._database.read(lambda db: log_tables.page(db, tenant, after, types, key, limit))

    async def position_before(self, tenant: str, accepted_ms: int) -> int:
        return self._database.read(lambda db: log_tables.position_before(db, tenant, accepted_ms))

    async def bounds(self, tenant: str) -> LogBounds:
        return self._database.read(lambda db: log_tables.bounds(db, tenant))

    async def wait(self, tenant: str, after: int, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    growth = self._growth
                    if (await self.bounds(tenant)).last > after:
                        return True
                    await growth.wait()
        except TimeoutError:
            return False

    async def trim(self, retention: Retention, now_ms: int) -> int:
        before_ms = now_ms - int(retention.age_s * 1000)
        limit = retention.content_bytes
        due = self._database.read(lambda db: log_tables.logs_to_trim(db, before_ms, limit))
        gone = 0
        for log in due:
            gone += await self._database.transact(
                lambda db, log=log: log_tables.trim(db, log, before_ms, limit)  # type: ignore[misc]
            )
        return gone

    # -- appending ---------------------------------------------------------------------

    def _start(self) -> None:
        self._busy = True
        self._began = time.monotonic()
        self._taken, self._fresh = [], 0
        self._database.submit(self._take).add_done_callback(self._tell)

    def _take(self, db: sqlite3.Connection) -> Sequence[Appended]:
        """Inside the transaction: everything that has gathered, within bounds."""
        weight = 0
        while self._waiting and (not weight or weight + self._waiting[0].weight <= EVENTS_AT_ONCE):
            one = self._waiting.popleft()
            self._taken.append(one)
            weight += one.weight
        gathered = [candidate for one in self._taken for candidate in one.candidates]
        appended, fresh = self._write(db, gathered)
        self._fresh = len(fresh)
        return appended

    def _write(
        self, db: sqlite3.Connection, candidates: Sequence[Candidate]
    ) -> tuple[Sequence[Appended], Sequence[Event]]:
        """Where each is, and the events that were not there; these are decided."""
        appended, fresh = log_tables.write(db, candidates, self._wall_ms())
        if self._follower is not None and fresh:
            self._follower(db, fresh)
        return appended, fresh

    def _tell(self, done: asyncio.Future[Sequence[Appended]]) -> None:
        taken, fresh = self._taken, self._fresh
        failure = None if done.cancelled() else done.exception()
        if done.cancelled() or (failure is not None and not taken):
            # The transaction never began; nobody's events were taken.
            taken = list(self._waiting)
            self._waiting.clear()
        self.waiting_bytes -= sum(one.size for one in taken)
        for one in taken:
            self.backlog.end(one.feeds)
        self._told.set()
        self._told = asyncio.Event()
        self._busy = False
        if self._waiting:
            self._start()  # before anybody has an answer and works on
        start = 0
        for one in taken:
            end = start + len(one.candidates)
            if one.answer.done():
                pass
            elif done.cancelled():
                one.answer.cancel()
            elif failure is not None:
                one.answer.set_exception(failure)
            else:
                one.answer.set_result(done.result()[start:end])
            start = end
        if failure is None and not done.cancelled():
            self.append_seconds.observe(time.monotonic() - self._began)
            self.append_events.observe(start)
            self.duplicates += start - fresh
            self.accepted += fresh
            if fresh:
                self._growth.set()
                self._growth = asyncio.Event()


def _parts(candidates: Sequence[Candidate]) -> Iterator[tuple[Sequence[Candidate], int, int]]:
    """Runs of events that a transaction takes, one event at least, with size and weight."""
    start = size = weight = 0
    for place, one in enumerate(candidates):
        length = len(one.content)
        own = 1 if length < LARGE_BYTES else length // BYTES_AS_EVENT
        if weight + own > EVENTS_AT_ONCE and place > start:
            yield candidates[start:place], size, weight
            start, size, weight = place, 0, 0
        size += log_tables.OVERHEAD_BYTES + length
        weight += own
    yield candidates[start:], size, weight

"""SqliteFeedLog: the feed log in the database, and the place where deciding joins in.

All appends that gather while one transaction is under way go into the next one together. A
follower, if there is one, is called inside that transaction with the events that are new: it
decides, and what it writes is on disk together with the events or not at all.

Deciding runs on the event loop's thread. So a transaction ends by the clock: what it has not come
to waits for a later one, and tenants whose events wait behind it go first.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TypeAlias

from control_plane.errors import Exhausted
from control_plane.histogram import SIZES, Histogram
from data_sharing.database import Database
from data_sharing.event import Event
from data_sharing.feeds import log_tables
from data_sharing.feeds.backlog import Backlog, FeedName
from data_sharing.feeds.port import Appended, Candidate, LogBounds, Page, Retention

Follower: TypeAlias = Callable[[sqlite3.Connection, Sequence[Event], Callable[[], bool]], int]
"""Gets new events, in order, with their positions, inside their transaction, and whether to stop,
which it asks after each. How many of them it has decided, from the first on: one at least. What it
raises undoes the events of the whole group, and their producers are told to try again."""

# In one transaction, about. Not all that a few producers keep under way: while one group is
# synced, those whose events were in the group before it make their next.
EVENTS_AT_ONCE = 2_000
LARGE_BYTES = 4_096  # an event of so much counts for more than one, as rules take longer with it:
BYTES_AS_EVENT = 64  # one for each so many
MAX_WAITING_BYTES = 64 << 20
DECIDING_S = 0.05  # in one transaction; 2,000 events take as long where each takes 25 µs


@dataclass(eq=False)
class _Waiting:
    candidates: Sequence[Candidate]
    answer: asyncio.Future[Sequence[Appended]]
    size: int  # bytes
    since: float  # monotonic s
    weight: int  # in events, of which a transaction takes EVENTS_AT_ONCE
    feeds: Mapping[FeedName, int]  # how many events of each
    kept: list[Appended] = field(default_factory=list)  # of those that are on disk, the first ones

    @cached_property
    def tenants(self) -> set[str]:
        return {one.event.tenant for one in self.candidates}


class SqliteFeedLog:
    """The FeedLog of one machine. wall_ms: Unix ms; monotonic: s."""

    def __init__(
        self,
        database: Database,
        *,
        wall_ms: Callable[[], int],
        follower: Follower | None = None,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._wall_ms = wall_ms
        self._follower = follower
        self._max_waiting_bytes = max_waiting_bytes
        self._monotonic = monotonic
        self._waiting: deque[_Waiting] = deque()
        self._taken: list[_Waiting] = []  # into the group under way
        self._fresh = 0  # events of that group that were not there
        self._most = EVENTS_AT_ONCE  # events that the next group takes
        self._cut = ""  # whose event the clock left to a later group; empty: nobody's
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
        if self._write(db, candidates, _never)[1]:
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
        now = self._monotonic()
        feeds = self.backlog.begin((one.event for one in candidates), now)
        self._waiting.append(_Waiting(candidates, answer, size, now, weight, feeds))
        if not self._busy:
            self._start()
        return answer

    def waiting_s(self) -> float:
        """How long the events that wait longest have waited to be kept and decided; 0: none
        do."""
        waiting = self.backlog.waiting(self._monotonic()).values()
        return max((one.seconds for one in waiting), default=0.0)

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
        self._began = self._monotonic()
        self._taken, self._fresh, self._cut = [], 0, ""
        self._database.submit(self._take).add_done_callback(self._tell)

    def _take(self, db: sqlite3.Connection) -> Sequence[Appended]:
        """Inside the transaction: everything that has gathered, within bounds, as far as there is
        time for it."""
        weight = 0
        gathered: list[Candidate] = []
        while self._waiting and len(gathered) < self._most:
            if weight and weight + self._waiting[0].weight > EVENTS_AT_ONCE:
                break
            one = self._waiting.popleft()
            self._taken.append(one)
            weight += one.weight
            gathered += one.candidates[len(one.kept) :]
        del gathered[self._most :]
        until = self._monotonic() + DECIDING_S
        appended, self._fresh = self._write(db, gathered, lambda: self._monotonic() >= until)
        if len(appended) < len(gathered):
            self._cut = gathered[len(appended)].event.tenant
            self._most = 2 * len(appended)  # more would be written for nothing
        else:
            self._most = min(2 * self._most, EVENTS_AT_ONCE)
        return appended

    def _write(
        self,
        db: sqlite3.Connection,
        candidates: Sequence[Candidate],
        is_enough: Callable[[], bool],
    ) -> tuple[Sequence[Appended], int]:
        """Where each is, of the first ones, up to the one that there was no time to decide; and
        how many of them were not there."""
        appended, fresh = log_tables.write(db, candidates, self._wall_ms())
        if self._follower is None or not fresh:
            return appended, len(fresh)
        decided = self._follower(db, fresh, is_enough)
        if decided < len(fresh):
            log_tables.take_back(db, fresh[decided:])
            places = (place for place, one in enumerate(appended) if not one.duplicate)
            appended = appended[: next(islice(places, decided, None))]
        return appended, decided

    def _tell(self, done: asyncio.Future[Sequence[Appended]]) -> None:
        taken, fresh = self._taken, self._fresh
        failure = None if done.cancelled() else done.exception()
        if done.cancelled() or (failure is not None and not taken):
            # The transaction never began; nobody's events were taken.
            taken = list(self._waiting)
            self._waiting.clear()
        events = 0
        if failure is None and not done.cancelled():
            events = len(done.result())
            taken = self._share_out(taken, done.result())
        for one in taken:
            self.waiting_bytes -= one.size
            self.backlog.end(one.feeds)
        self._told.set()
        self._told = asyncio.Event()
        self._busy = False
        if self._waiting:
            self._start()  # before anybody has an answer and works on
        for one in taken:
            if one.answer.done():
                pass
            elif done.cancelled():
                one.answer.cancel()
            elif failure is not None:
                one.answer.set_exception(failure)
            else:
                one.answer.set_result(one.kept)
        if failure is None and not done.cancelled():
            self.append_seconds.observe(self._monotonic() - self._began)
            self.append_events.observe(events)
            self.duplicates += events - fresh
            self.accepted += fresh
            if fresh:
                self._growth.set()
                self._growth = asyncio.Event()

    def _share_out(self, taken: Sequence[_Waiting], appended: Sequence[Appended]) -> list[_Waiting]:
        """Those that are whole now; the others wait on, in front, and where the clock has ended
        the group, behind other tenants."""
        whole: list[_Waiting] = []
        rest: list[_Waiting] = []
        start = 0
        for one in taken:
            end = start + len(one.candidates) - len(one.kept)
            one.kept += appended[start:end]
            start = end
            (whole if len(one.kept) == len(one.candidates) else rest).append(one)
        self._waiting.extendleft(reversed(rest))
        if self._cut:
            self._let_others_go_first(self._cut)
        return whole

    def _let_others_go_first(self, tenant: str) -> None:
        """Each tenant's events stay in order; an append may have several tenants' events."""
        held = {tenant}
        first: list[_Waiting] = []
        behind: list[_Waiting] = []
        for one in self._waiting:
            tenants = one.tenants
            if held.isdisjoint(tenants):
                first.append(one)
            else:
                held |= tenants
                behind.append(one)
        self._waiting = deque([*first, *behind])


def _never() -> bool:
    return False


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

"""SqliteFeedLog: the feed log in the database, and the place where deciding joins in.

All appends that gather while one transaction is under way go into the next one together. A
follower, if there is one, is called inside that transaction with the events that are new: it
decides, and what it writes is on disk together with the events or not at all.

Deciding runs on the event loop's thread. So a transaction ends by the clock: what it has not come
to waits for a later one. In it tenants have turns that follow what deciding their events took and
their weights, and while several tenants publish, transactions are short: who publishes little
waits for the one under way, and is in the next.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import NamedTuple, Protocol, TypeAlias

from control_plane.errors import ServiceError
from control_plane.histogram import SIZES, Histogram
from data_sharing.database import Database
from data_sharing.event import Event
from data_sharing.feeds import log_tables
from data_sharing.feeds.append_queue import AppendQueue, Part, WaitingAppend, WaitingLimits
from data_sharing.feeds.backlog import Backlog
from data_sharing.feeds.deciding_turns import LITTLE_S, DecidingTurns
from data_sharing.feeds.port import Appended, Candidate, LogBounds, Page, Retention
from data_sharing.feeds.publishing_tenants import PublishingTenants

Follower: TypeAlias = Callable[[sqlite3.Connection, Sequence[Event], Callable[[], bool]], int]
"""Gets new events, in order, with their positions, inside their transaction, and whether to stop,
which it asks after each. How many of them it has decided, from the first on: one at least. What it
raises undoes the whole group; who had an event in it that failed is told to try again."""


class Ancestry(Protocol):
    """What is known of the causes that events name."""

    def inherited(self, db: sqlite3.Connection, candidate: Candidate, /) -> Candidate:
        """An event that is to be kept, with what it has from its cause."""
        ...

    def put_caused(self, db: sqlite3.Connection, events: Iterable[Event], /) -> None:
        """Keeps which of them name a cause."""
        ...


LARGE_BYTES = 4_096  # an event of so much counts for more than one, as rules take longer with it:
BYTES_AS_EVENT = 64  # one for each so many
DECIDING = "/deciding"  # of the database's works, those that decide; no tenant is called so


def _one(_: str) -> float:
    return 1.0


class SqliteFeedLog:
    """The FeedLog of one machine. wall_ms: Unix ms; monotonic: s."""

    def __init__(
        self,
        database: Database,
        *,
        wall_ms: Callable[[], int],
        follower: Follower | None = None,
        limits: WaitingLimits | None = None,
        weight_of: Callable[[str], float] = _one,
        monotonic: Callable[[], float] = time.monotonic,
        ancestry: Ancestry | None = None,
    ) -> None:
        self._database = database
        self._ancestry = ancestry
        self._wall_ms = wall_ms
        self._follower = follower
        self._monotonic = monotonic
        self._queue = AppendQueue(limits or WaitingLimits(), weight_of)
        self._taken: dict[WaitingAppend, None] = {}  # into the group under way
        self._fresh = 0  # events of that group that were not there
        self._failed: WaitingAppend | None = None  # its events ended that group
        self._publishing = PublishingTenants()
        self._busy = False
        self._growth: dict[str, asyncio.Event] = {}  # by tenant, set when its log has grown
        self._told = asyncio.Event()  # replaced whenever appends were answered
        self.backlog = Backlog()
        self.accepted = 0  # events
        self.duplicates = 0
        self.append_seconds = Histogram()  # from taking a group's turn to its events on disk
        self.append_events = Histogram(SIZES)  # in one group
        self._began = 0.0
        self._grew_inside: set[str] = set()  # tenants, in a transaction that is under way
        database.on_commit.append(self._notify_growth)

    def append_inside(self, db: sqlite3.Connection, candidates: Sequence[Candidate]) -> None:
        """Keeps events in a transaction of the caller's, and has them decided there; who waits
        for events is woken when it is on disk."""
        if self._write(db, candidates, _never)[1]:
            self._grew_inside.update(one.event.tenant for one in candidates)

    def _notify_growth(self) -> None:
        if self._grew_inside:
            grown, self._grew_inside = self._grew_inside, set()
            self._grow(grown)

    def _grow(self, tenants: Iterable[str]) -> None:
        """Who waits for events of these looks again."""
        for tenant in tenants:
            growth = self._growth.pop(tenant, None)
            if growth is not None:
                growth.set()

    @property
    def waiting_bytes(self) -> int:
        """Of events that wait to be kept."""
        return self._queue.bytes

    def append(self, candidates: Sequence[Candidate]) -> asyncio.Future[Sequence[Appended]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[Appended]] = loop.create_future()
        parts = list(_parts(candidates))
        for one in parts:
            full = self._queue.why_full(one.tenant, one.by_producer)
            if full is not None:
                answer.set_exception(full)
                return answer
        if len(parts) == 1:
            return self._enqueue(parts[0], answer)
        # Events of several tenants wait each among those of theirs.
        answers = [self._enqueue(one, loop.create_future()) for one in parts]

        def join(done: asyncio.Future[list[Sequence[Appended]]]) -> None:
            if answer.done():
                return
            if done.cancelled():
                answer.cancel()
            elif (failure := done.exception()) is not None:
                answer.set_exception(failure)
            else:
                answer.set_result([one for part in done.result() for one in part])

        asyncio.gather(*answers).add_done_callback(join)
        return answer

    def _enqueue(
        self, part: _Part, answer: asyncio.Future[Sequence[Appended]]
    ) -> asyncio.Future[Sequence[Appended]]:
        now = self._monotonic()
        self._publishing.note(part.tenant, now)
        feeds = self.backlog.begin((one.event for one in part.candidates), now)
        self._queue.add(
            WaitingAppend(
                tenant=part.tenant, candidates=part.candidates, answer=answer, size=part.size,
                by_producer=part.by_producer, weights=part.weights, since=now, feeds=feeds,
            )
        )  # fmt: skip
        if not self._busy:
            self._start()
        return answer

    def waiting_s(self) -> float:
        """How long the events that wait longest have waited to be kept and decided; 0: none
        do."""
        waiting = self.backlog.waiting(self._monotonic()).values()
        return max((one.seconds for one in waiting), default=0.0)

    async def room(self, tenant: str) -> None:
        while not self._queue.has_room(tenant):
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
                    growth = self._growth.setdefault(tenant, asyncio.Event())
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
        self._taken, self._fresh, self._failed = {}, 0, None
        self._database.submit_steps(self._take, of=DECIDING).add_done_callback(self._tell)

    def _take(self, db: sqlite3.Connection) -> Generator[None, None, int]:
        """Inside the transaction: of those who wait, in turns, as far as there is time for it, and
        of those who come between. How many events."""
        now = self._monotonic()
        turns = DecidingTurns(self._queue, self._publishing, now)
        while (turn := turns.next(now)) is not None:
            kept = self._turn(db, turn.parts, turn.end)
            turns.done(turn, kept, self._monotonic())
            if not turns.is_over:
                yield
            now = self._monotonic()
        return turns.events

    def _turn(self, db: sqlite3.Connection, parts: Sequence[Part], end: float) -> int:
        """Keeps and decides events of one tenant until then; how many."""
        self._taken.update((one, None) for one, *_ in parts)
        candidates = [
            candidate
            for one, count, _ in parts
            for candidate in one.candidates[len(one.kept) : len(one.kept) + count]
        ]
        self._failed = parts[0].append
        appended, fresh = self._write(db, candidates, lambda: self._monotonic() >= end)
        self._failed = None
        self._fresh += fresh
        start = 0
        for one, count, _ in parts:
            one.kept += appended[start : start + count]
            start += count
        for one, *_ in reversed(parts):
            if not one.is_whole:
                self._queue.put_back(one)
        return len(appended)

    def _write(
        self,
        db: sqlite3.Connection,
        candidates: Sequence[Candidate],
        is_enough: Callable[[], bool],
    ) -> tuple[Sequence[Appended], int]:
        """Where each is, of the first ones, up to the one that there was no time to decide; and
        how many of them were not there."""
        ancestry = self._ancestry
        if ancestry is not None and any(one.event.causation for one in candidates):
            candidates = [
                ancestry.inherited(db, one) if one.event.causation else one for one in candidates
            ]
        appended, fresh = log_tables.write(db, candidates, self._wall_ms())
        if self._follower is None or not fresh:
            return appended, len(fresh)
        decided = self._follower(db, fresh, is_enough)
        if ancestry is not None:
            ancestry.put_caused(db, fresh[:decided])
        if decided < len(fresh):
            log_tables.take_back(db, fresh[decided:])
            places = (place for place, one in enumerate(appended) if not one.duplicate)
            appended = appended[: next(islice(places, decided, None))]
        return appended, decided

    def _tell(self, done: asyncio.Future[int]) -> None:
        now = self._monotonic()
        failure = None if done.cancelled() else done.exception()
        is_kept = failure is None and not done.cancelled()
        events, fresh = (done.result() if is_kept else 0), self._fresh
        ended: list[WaitingAppend]
        grown = {one.tenant for one in self._taken}
        if done.cancelled() or (failure is not None and not self._taken):
            ended = self._queue.clear()  # the transaction never began
        elif is_kept:
            ended = [one for one in self._taken if one.is_whole]
        else:
            ended = self._undone(failure)
        for one in self._taken:
            one.durable = len(one.kept)
        for one in ended:
            self._queue.end(one)
            self.backlog.end(one.feeds)
        self._told.set()
        self._told = asyncio.Event()
        # Who has little more waiting, if any, has its answers before the next transaction; the
        # others once that has begun, before they work on.
        long = {one.tenant: self._queue.takes_longer(one.tenant, LITTLE_S) for one in ended}
        first = [one for one in ended if not long[one.tenant]]
        for one in first:
            _answer(one, done)
        if not self._queue:
            self._busy = False
        elif first:
            asyncio.get_running_loop().call_soon(self._start)
        else:
            self._start()
        for one in ended:
            if long[one.tenant]:
                _answer(one, done)
        if is_kept:
            self.append_seconds.observe(now - self._began)
            self.append_events.observe(events)
            self.duplicates += events - fresh
            self.accepted += fresh
            if fresh:
                self._grow(grown)

    def _undone(self, failure: BaseException | None) -> list[WaitingAppend]:
        """Nothing of the group is on disk. Who fails with it: all of it where the database does;
        where deciding does, those of the tenant whose events it was at, and the others wait on."""
        at = self._failed
        for one in self._taken:
            del one.kept[one.durable :]
        if at is None or isinstance(failure, ServiceError | sqlite3.Error):
            return list(self._taken)
        for one in reversed(self._taken):
            if one.tenant != at.tenant and not one.is_queued:
                self._queue.put_back(one)
        return [one for one in self._taken if one.tenant == at.tenant]


def _answer(one: WaitingAppend, done: asyncio.Future[int]) -> None:
    """It has what became of its transaction."""
    failure = None if done.cancelled() else done.exception()
    if one.answer.done():
        pass
    elif done.cancelled():
        one.answer.cancel()
    elif failure is not None:
        one.answer.set_exception(failure)
    else:
        one.answer.set_result(one.kept)


def _never() -> bool:
    return False


class _Part(NamedTuple):
    """Events of one tenant, their bytes, those by source; weights: as of WaitingAppend."""

    tenant: str
    candidates: Sequence[Candidate]
    size: int
    by_producer: Mapping[str, int]
    weights: Sequence[int]


def _parts(candidates: Sequence[Candidate]) -> Iterator[_Part]:
    """Runs of events of one tenant."""
    for tenant, run in groupby(candidates, key=lambda one: one.event.tenant):
        those = list(run)
        by_producer: dict[str, int] = {}
        size = 0
        weights: list[int] = []
        for one in those:
            length = len(one.content)
            own = log_tables.OVERHEAD_BYTES + length
            size += own
            weights.append(1 if length < LARGE_BYTES else length // BYTES_AS_EVENT)
            source = one.event.source
            by_producer[source] = by_producer.get(source, 0) + own
        yield _Part(tenant, those, size, by_producer, weights if max(weights) > 1 else ())

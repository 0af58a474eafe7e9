"""OpenLoop: one process's users, each sent when it is due, whatever became of those before it.

A user who is refused comes back when it was told to, so often; one who is not answered in time is
given up. Nothing is awaited for one call: a timer sends what is due, and hears of what ended.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from typing import Protocol

from simulation.load.calls import CallEncoder
from simulation.load.connections import (
    ConnectionPool,
    Connections,
    Heard,
    LoadServers,
    PendingCall,
)
from simulation.load.counts import LoadSecond
from simulation.load.grpc_connection import EncodedCall
from simulation.load.plan import LoadPlan, Numbers
from simulation.load.preparation import PendingUsers, Preparation
from simulation.load.recorder import Recorder
from simulation.load.settings import LoadSettings

TICK_S = 0.002
CHUNK = 8_192  # arrivals of a plan that are objects at a time
AT_ONCE = 256  # calls made before answers are heard again
NOT_CONNECTED = "not connected"
ALIVE_EVERY_S = 5.0  # that often it says how many have a home, also where it is no more of them
TOO_LATE = "no answer in time"


class CallsEncoder(Protocol):
    """From calls to bytes."""

    def encoded(self, pending: PendingCall) -> EncodedCall:
        """What a call of the plan asks for."""
        ...


class OpenLoop:
    """clock: monotonic seconds; tell: is given each second of the run as it is over. pace: the
    time of the plan by that of the run, both in s; None: they are the same. for_s: after so much of
    the run nobody arrives any more, whatever the plan says. at_least: so many calls are always
    under way: users come before they are due where there are fewer. pool: makes the connections;
    None: they speak gRPC to `servers`."""

    def __init__(
        self,
        servers: LoadServers,
        settings: LoadSettings,
        encoder: CallsEncoder,
        recorder: Recorder,
        *,
        clock: Callable[[], float],
        tell: Callable[[LoadSecond], None],
        pace: Callable[[float], float] | None = None,
        for_s: float = inf,
        at_least: int = 0,
        pool: Callable[[Heard], ConnectionPool] | None = None,
    ) -> None:
        self._settings = settings
        self._encoder = encoder
        self._recorder = recorder
        self._clock = clock
        self._tell = tell
        self._pace = pace
        self._for_s = for_s
        self._at_least = at_least
        self._connections: ConnectionPool = (
            pool(self._heard)
            if pool is not None
            else Connections(servers, settings.connections, self._heard)
        )
        self._began_s = 0.0
        self._waiting: deque[PendingCall] = deque()  # by when they were due
        self._sent: deque[PendingCall] = deque()  # nearly by when they are given up
        self._back: list[tuple[float, int, PendingCall]] = []  # a heap: who comes back when
        self._number = 0
        self._preparation: Preparation | None = None

    async def connect(self) -> None:
        """Raises OSError and TimeoutError where there is no server."""
        await self._connections.connect()

    async def prepare(
        self, users: Numbers, encoder: CallEncoder, heard: Callable[[int], None]
    ) -> int:
        """Gives users a home before the clock starts; how many got none. heard: how many are
        done."""
        self._began_s, told, told_s = self._clock(), 0, 0.0
        preparation = self._preparation = Preparation(
            users,
            self._connections,
            encoder,
            open_connections=self._settings.connections,
            timeout_s=self._settings.timeout_s,
            told=self._recorder.told,
        )
        mending = asyncio.create_task(self._connections.mend())
        try:
            while not preparation.over:
                preparation.go_on(self._now(), TOO_LATE)
                if preparation.done - told >= 1_000 or self._now() > told_s + ALIVE_EVERY_S:
                    told, told_s = preparation.done, self._now()
                    heard(told)
                await asyncio.sleep(TICK_S)
        finally:
            mending.cancel()
            self._preparation = None
        return preparation.homeless

    async def run(self, plan: LoadPlan, began_s: float) -> None:
        """The whole plan, from `began_s` of the clock on; returns once nobody waits any more."""
        self._began_s = began_s
        await asyncio.sleep(max(0.0, began_s - self._clock()))
        self._recorder.begin()
        mending = asyncio.create_task(self._connections.mend())
        try:
            await self._run(plan)
        finally:
            mending.cancel()
            self._connections.close()

    async def _run(self, plan: LoadPlan) -> None:
        arriving = arriving_calls(plan)
        following = next(arriving, None)
        while True:
            now = self._now()
            while now >= self._recorder.now.second + 1:
                second = self._recorder.now.second + 1
                self._tell(self._recorder.finish(self._under_way(), second))
            self._expire(now)
            while self._back and self._back[0][0] <= now:
                self._waiting.append(heapq.heappop(self._back)[2])
            due_s = now if self._pace is None else self._pace(now)
            if now > self._for_s:
                following = None
            missing = self._at_least - self._under_way() if self._at_least else 0
            for _ in range(AT_ONCE):
                if following is None or (following.due_s > due_s and missing <= 0):
                    break
                missing -= 1
                if self._pace is not None:
                    following.due_s = now
                self._waiting.append(following)
                following = next(arriving, None)
            self._send(now)
            if following is None and not self._under_way() and not self._back:
                break
            behind = self._waiting or (following is not None and following.due_s <= due_s)
            await asyncio.sleep(0.0 if behind else TICK_S)
        last = self._recorder.now.second
        self._tell(self._recorder.finish(0, last + 1))

    def _now(self) -> float:
        return self._clock() - self._began_s

    def _under_way(self) -> int:
        return self._connections.under_way + len(self._waiting)

    def _send(self, now: float) -> None:
        """Who waits, as far as there is room."""
        waiting, recorder = self._waiting, self._recorder
        for _ in range(min(len(waiting), AT_ONCE)):
            pending = waiting[0]
            gone = now - pending.due_s > self._settings.timeout_s
            if gone or not self._connections.connected:
                waiting.popleft()
                recorder.sent(pending.kind, now - pending.due_s, again=pending.refused > 0)
                self._heard(pending, b"", TOO_LATE if gone else NOT_CONNECTED, b"")
                continue
            if not self._open(pending):
                recorder.now.held += 1
                break
            waiting.popleft()
            recorder.sent(pending.kind, self._now() - pending.due_s, again=pending.refused > 0)
        self._connections.flush()

    def _open(self, pending: PendingCall) -> bool:
        """Whether there was room for it."""
        connection = self._connections.pick(pending.kind)
        if connection is None:
            return False
        connection.open(pending, self._encoder.encoded(pending))
        self._sent.append(pending)
        return True

    def _expire(self, now: float) -> None:
        """Gives up those who have waited too long, and forgets those who are answered."""
        sent, timeout_s = self._sent, self._settings.timeout_s
        while sent and (sent[0].connection is None or now - sent[0].due_s > timeout_s):
            pending = sent.popleft()
            if pending.connection is not None:
                pending.connection.abandon(pending, TOO_LATE)

    def _heard(self, pending: PendingCall, answer: bytes, error: str, trailers: bytes) -> None:
        """A call has ended."""
        pending.connection = None
        if isinstance(pending, PendingUsers):
            if self._preparation is not None:  # else it comes late, and nobody waits for it
                self._preparation.ended(pending, answer, error, trailers)
            return
        now = self._now()
        if not error:
            self._recorder.answered(pending.kind, answer, now - pending.due_s)
            return
        retry_after_s = self._recorder.ended(pending.kind, error, trailers)
        if retry_after_s is None or pending.refused >= self._settings.retries:
            self._recorder.lost()
            return
        self._comes_back(pending, now + retry_after_s)

    def _comes_back(self, pending: PendingCall, at_s: float) -> None:
        again = PendingCall(
            pending.kind, pending.user, pending.place, at_s, refused=pending.refused + 1,
            number=pending.number,
        )  # fmt: skip
        self._number += 1
        heapq.heappush(self._back, (at_s, self._number, again))


def arriving_calls(plan: LoadPlan) -> Iterator[PendingCall]:
    """Each call of a plan, by when it is due. Made as they are asked for: a plan of millions stays
    arrays."""
    for start in range(0, len(plan.at_s), CHUNK):
        part = slice(start, start + CHUNK)
        calls = zip(
            plan.kinds[part].tolist(),
            plan.users[part].tolist(),
            plan.places[part].tolist(),
            plan.at_s[part].tolist(),
            strict=True,
        )
        for number, (kind, user, place, at_s) in enumerate(calls, start):
            yield PendingCall(kind, user, place, at_s, number=number)

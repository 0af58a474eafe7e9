"""OpenLoop: one process's users, each sent when it is due, whatever became of those before it.

A user who is refused comes back when it was told to, so often; one who is not answered in time is
given up. Nothing is awaited for one call: a timer sends what is due, and hears of what ended.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable

from simulation.load.calls import CallEncoder
from simulation.load.connections import Connections, LoadServers, PendingCall
from simulation.load.counts import LoadSecond
from simulation.load.plan import LoadPlan
from simulation.load.recorder import Recorder
from simulation.load.settings import LoadSettings
from simulation.load.user_kinds import UserKind

TICK_S = 0.002
AT_ONCE = 256  # calls made before answers are heard again
PREPARED_AT_ONCE = 64  # on each connection, before the clock starts
PREPARED_TRIES = 20
PREPARED_FULL_TRIES = 1  # where there is no room, more of them do not make any
NO_ROOM = "grpc-status 8"
RETRY_AGAIN_S = 1.0  # of a user who has no home before the clock starts and was told nothing
NOT_CONNECTED = "not connected"
TOO_LATE = "no answer in time"


class OpenLoop:
    """clock: monotonic seconds; tell: is given each second of the run as it is over."""

    def __init__(
        self,
        servers: LoadServers,
        settings: LoadSettings,
        encoder: CallEncoder,
        recorder: Recorder,
        *,
        clock: Callable[[], float],
        tell: Callable[[LoadSecond], None],
    ) -> None:
        self._settings = settings
        self._encoder = encoder
        self._recorder = recorder
        self._clock = clock
        self._tell = tell
        self._connections = Connections(servers, settings.connections, self._heard)
        self._began_s = 0.0
        self._waiting: deque[PendingCall] = deque()  # by when they were due
        self._sent: deque[PendingCall] = deque()  # nearly by when they are given up
        self._back: list[tuple[float, int, PendingCall]] = []  # a heap: who comes back when
        self._number = 0
        self._preparing: deque[PendingCall] | None = None
        self._homeless = 0

    async def connect(self) -> None:
        """Raises OSError and TimeoutError where there is no server."""
        await self._connections.connect()

    async def prepare(self, plan: LoadPlan, heard: Callable[[int], None]) -> int:
        """Gives users a home before the clock starts, some at a time; how many got none. heard: how
        many are done."""
        self._preparing = deque()
        users = deque(plan.prepared.tolist())
        todo, told = len(users), 0
        most = self._settings.connections * PREPARED_AT_ONCE
        self._began_s = self._clock()
        self._done = self._homeless = 0
        mending = asyncio.create_task(self._connections.mend())
        try:
            while self._done < todo:
                now = self._now()
                self._expire(now)
                while self._back and self._back[0][0] <= now:
                    self._preparing.append(heapq.heappop(self._back)[2])
                while self._connections.under_way < most and (users or self._preparing):
                    pending = (
                        self._preparing.popleft()
                        if self._preparing
                        else PendingCall(UserKind.NEW, users.popleft(), 0, now)
                    )
                    pending.due_s = now
                    if not self._open(pending):
                        self._preparing.appendleft(pending)
                        break
                self._connections.flush()
                if self._done - told >= 1_000:
                    told = self._done
                    heard(told)
                await asyncio.sleep(TICK_S)
        finally:
            mending.cancel()
        self._preparing = None
        self._sent.clear()
        self._back.clear()
        return self._homeless

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
        at_s, kinds = plan.at_s.tolist(), plan.kinds.tobytes()
        users, places = plan.users.tolist(), plan.places.tolist()
        following, whole = 0, len(at_s)
        while True:
            now = self._now()
            while now >= self._recorder.now.second + 1:
                second = self._recorder.now.second + 1
                self._tell(self._recorder.finish(self._under_way(), second))
            self._expire(now)
            while self._back and self._back[0][0] <= now:
                self._waiting.append(heapq.heappop(self._back)[2])
            until = min(following + AT_ONCE, whole)
            while following < until and at_s[following] <= now:
                self._waiting.append(
                    PendingCall(
                        kinds[following], users[following], places[following], at_s[following]
                    )
                )
                following += 1
            self._send(now)
            if following == whole and not self._under_way() and not self._back:
                break
            behind = self._waiting or (following < whole and at_s[following] <= now)
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
        connection = self._connections.pick()
        if connection is None:
            return False
        encoded = self._encoder.call(pending.kind, pending.user, pending.place)
        connection.open(pending, encoded)
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
        if self._preparing is not None:
            self._prepared(pending, error, trailers)
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
            pending.kind, pending.user, pending.place, at_s, refused=pending.refused + 1
        )
        self._number += 1
        heapq.heappush(self._back, (at_s, self._number, again))

    def _prepared(self, pending: PendingCall, error: str, trailers: bytes) -> None:
        most = PREPARED_FULL_TRIES if error == NO_ROOM else PREPARED_TRIES
        if error and pending.refused < most:
            retry_after_s = self._recorder.told(error, trailers)
            if retry_after_s is not None or not trailers:
                self._comes_back(pending, self._now() + (retry_after_s or RETRY_AGAIN_S))
                return
        self._done += 1
        self._homeless += bool(error)

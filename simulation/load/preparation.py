"""Preparation: users who will not be new get a home before the clock starts, some at a time.

Where a gateway speaks for them they come in bulk, by ProvisionMany, a batch a call; clients of an
enrolment group come one by one, each with a key of its own. Users are taken from the plan's array
as their turn comes: how many there are costs eight bytes of each. Who is refused and told when to
come back does so; asking twice for the same home changes nothing.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from simulation.load.calls import CallEncoder
from simulation.load.connections import ConnectionPool, PendingCall
from simulation.load.grpc_connection import EncodedCall
from simulation.load.plan import Numbers
from simulation.load.user_kinds import UserKind

BATCH = 250  # users of a call: it fits one frame
BATCHES_AT_ONCE = 4  # on each connection
ALONE_AT_ONCE = 64  # the same, of users who come one by one
TRIES = 20
FULL_TRIES = 1  # where there is no room, more of them do not make any
NO_ROOM = frozenset({"grpc-status 8", "RESOURCE_EXHAUSTED"})
AGAIN_S = 1.0  # of whoever was told nothing
BATCH_WITHIN_S = 30.0  # of which a server works through many at once

Told = Callable[[str, bytes], float | None]  # error, trailers: when to come back, in seconds


@dataclass(slots=True, kw_only=True)
class PendingUsers(PendingCall):
    """A call for several users, or for one."""

    users: Sequence[int]


class Preparation:
    """Of the users of one process. told: when a call that ended with an error may be made again,
    by what its trailers say; None: it was not said."""

    def __init__(
        self,
        users: Numbers,
        connections: ConnectionPool,
        encoder: CallEncoder,
        *,
        open_connections: int,
        timeout_s: float,
        told: Told,
    ) -> None:
        self._users = users
        self._place = 0
        self._connections = connections
        self._encoder = encoder
        self._bulk = encoder.in_bulk
        self._size = BATCH if self._bulk else 1
        self._most = open_connections * (BATCHES_AT_ONCE if self._bulk else ALONE_AT_ONCE)
        self._timeout_s = max(timeout_s, BATCH_WITHIN_S) if self._bulk else timeout_s
        self._told = told
        self._waiting: deque[PendingUsers] = deque()
        self._sent: deque[PendingUsers] = deque()  # nearly by when they are given up
        self._back: list[tuple[float, int, PendingUsers]] = []  # a heap: who comes back when
        self._number = 0
        self._now = 0.0
        self.done = 0  # users who have a home, or will not find one
        self.homeless = 0  # those of them

    @property
    def over(self) -> bool:
        """Whether nobody is left to wait for."""
        return self.done >= len(self._users)

    def go_on(self, now: float, why_late: str) -> None:
        """Sends what there is room for. now: seconds of any clock that only grows; why_late: as
        what a call counts that is not answered in time."""
        self._now = now
        while self._sent and (
            self._sent[0].connection is None or now - self._sent[0].due_s > self._timeout_s
        ):
            late = self._sent.popleft()
            if late.connection is not None:
                late.connection.abandon(late, why_late)
        while self._back and self._back[0][0] <= now:
            self._waiting.append(heapq.heappop(self._back)[2])
        while self._connections.under_way < self._most:
            pending = self._next()
            connection = self._connections.pick(UserKind.NEW) if pending is not None else None
            if pending is None:
                break
            if connection is None:
                self._waiting.appendleft(pending)
                break
            pending.due_s = now
            connection.open(pending, self._encoded(pending.users))
            self._sent.append(pending)
        self._connections.flush()

    def ended(self, pending: PendingUsers, answer: bytes, error: str, trailers: bytes) -> None:
        """A call is over."""
        if error:
            retry_after_s = self._told(error, trailers)
            tries = FULL_TRIES if error in NO_ROOM else TRIES
            may = retry_after_s is not None or not trailers
            self._refused(pending, pending.users, retry_after_s, tries if may else 0)
        elif self._bulk:
            self._read(pending, answer)
        else:
            self.done += 1

    def _next(self) -> PendingUsers | None:
        if self._waiting:
            return self._waiting.popleft()
        users = self._users[self._place : self._place + self._size].tolist()
        if not users:
            return None
        self._place += len(users)
        return PendingUsers(UserKind.NEW, users[0], 0, 0.0, users=users)

    def _encoded(self, users: Sequence[int]) -> EncodedCall:
        if self._bulk:
            return self._encoder.many(users)
        return self._encoder.call(UserKind.NEW, users[0], 0)

    def _read(self, pending: PendingUsers, answer: bytes) -> None:
        """One result a user, in their order; those of whom nothing is said were not served."""
        results = pb.ProvisionManyResponse.FromString(answer).results
        refused: dict[bool, list[int]] = {}
        after_s = 0.0
        for place, user in enumerate(pending.users):
            if place < len(results) and results[place].HasField("provisioned"):
                self.done += 1
                continue
            error = results[place].error if place < len(results) else pb.ClientError()
            if error.HasField("retry_after"):
                refused.setdefault(error.code in NO_ROOM, []).append(user)
                after_s = max(after_s, error.retry_after.ToTimedelta().total_seconds())
            else:
                self.done += 1
                self.homeless += 1
        for full, users in refused.items():
            self._refused(pending, users, after_s, FULL_TRIES if full else TRIES)

    def _refused(
        self, pending: PendingUsers, users: Sequence[int], after_s: float | None, tries: int
    ) -> None:
        """These have no home yet: they come back, unless they came too often."""
        if pending.refused >= tries:
            self.done += len(users)
            self.homeless += len(users)
            return
        again = PendingUsers(
            UserKind.NEW, users[0], 0, 0.0, refused=pending.refused + 1, users=users
        )
        self._number += 1
        heapq.heappush(self._back, (self._now + (after_s or AGAIN_S), self._number, again))

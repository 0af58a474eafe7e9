"""AdmissionQueue: before a hot method, lets so many of its calls begin as can be served in time.

As many are under way as `ConcurrencyLimit` says. What comes beyond waits, those of the first rank
before all others, and in each rank those of each address and connection in turn; but only as many
as can be begun within a moment, and the fewer of later ranks the more of the first are refused. All
others are refused at once, before anything is done for them, and so is who has waited too long, or
whose time is over before it could be served. So where more comes than can be served, what is served
is what somebody still waits for ("Handling Overload", Site Reliability Engineering, chapter 21).

What a rank is, and what is said to who is refused, is for the method's owner to say. A transport
that has the message of a call before anything is made of it asks `turn_away` first: a refusal that
is nothing but a status costs no call then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from control_plane.errors import ServiceError
from control_plane.serving.calls import HotCall, HotMethod, Metadata
from control_plane.serving.concurrency_limit import TARGET_S, ConcurrencyLimit
from control_plane.serving.peer_identity import PeerIdentity
from control_plane.serving.peers import peer_group
from control_plane.serving.status import Status
from control_plane.serving.traced_calls import span_of
from control_plane.tracing.tracer import Span
from control_plane.turns import Turns

log = logging.getLogger(__name__)

MOST_WAIT_S: Final = 0.5  # before a call begins, at the rate at which calls are answered
RANKS: Final = 2
# Of the room to wait, what those of later ranks may fill: half of it at each sample in which one of
# the first was refused, and then again more of it, of what there is.
MOST_SHARE, LEAST_SHARE, SHARE_GROWTH = 0.5, 0.01, 1.1
OVERDUE_S: Final = 2 * MOST_WAIT_S  # that has waited for so long, whatever the rate promised
LOOK_S: Final = MOST_WAIT_S / 2  # between looks at all that wait, for those who are late
MOST_TAKEN_S: Final = 2 * TARGET_S  # that serving a call is taken to take
INTERVAL_S: Final = 0.1


class AdmissionRules(Protocol):
    """What a method's owner says of its calls. Asked only where not all can begin."""

    def rank(self, message: bytes, /) -> int:
        """Of a call with this message. 0: before all others; RANKS - 1: after them. To be had
        without asking anybody."""
        ...

    def status(self, message: bytes, rank: int, /) -> Status | None:
        """UNAVAILABLE, as a call with this message hears it that is not begun. None: that takes the
        call, which `refuse` is handed."""
        ...

    def refuse(self, call: HotCall, rank: int, /) -> None:
        """Answers a call that is not begun."""
        ...


class _Waiting(NamedTuple):
    call: HotCall
    peer: str
    since: float
    left_s: float | None  # of its caller's time, at `since`


class AdmissionQueue:
    """`begin` is the method's; `run` is a task of the owner's. clock: monotonic seconds."""

    def __init__(
        self,
        method: HotMethod,
        rules: AdmissionRules,
        *,
        clock: Callable[[], float],
        limit: ConcurrencyLimit | None = None,
    ) -> None:
        self._method = method
        self._rules = rules
        self._clock = clock
        self.limit = limit or ConcurrencyLimit()
        self._waiting = tuple[Turns[_Waiting], ...](
            Turns[_Waiting](_address_of, within=_peer_of) for _ in range(RANKS)
        )
        self.waiting = 0
        self.under_way = 0  # begun and not answered
        self.refused = [0] * RANKS
        self._answered = 0
        self._was_full = False
        self._beginning = False
        self._sampled_at = self._looked_at = clock()
        self._share, self._refused_first = MOST_SHARE, 0
        self._room = self._room_now()

    def begin(self, call: HotCall) -> None:
        """Begins the call, has it wait or refuses it."""
        if not self.is_full():
            self._begin(call, None)
            return
        self._was_full = True
        rank, left_s = self._rules.rank(call.payload), call.time_left_s()
        if left_s is not None and left_s < self._takes_s():
            self._refuse(call, rank)
            return
        if self.waiting >= self._room[rank] and not self._make_room(rank):
            self._refuse(call, rank)
            return
        self._waiting[rank].append(_Waiting(call, call.peer(), self._clock(), left_s))
        self.waiting += 1

    def is_overfull(self, ahead: int = 0) -> bool:
        """Whether some calls would be refused now. ahead: those that a transport has, and that have
        not come here."""
        beyond = self._beyond(ahead)
        if beyond > 0:
            self._was_full = True
        return beyond >= self._room[-1]

    def turn_away(self, message: bytes, ahead: int = 0) -> Status | None:
        """What a call with this message, for which nothing was done so far, is refused with now, if
        it is; None: `begin` it. ahead: as of `is_overfull`."""
        beyond = self._beyond(ahead)
        if beyond < self._room[-1]:
            return None
        rank = self._rules.rank(message)
        if beyond < self._room[rank] or any(self._waiting[rank + 1 :]):
            return None  # it waits, maybe in the place of one of these
        status = self._rules.status(message, rank)
        if status is not None:
            self._was_full = True
            self.refused[rank] += 1
        return status

    def note_waited(self, waited_s: float) -> None:
        """A call waited so long in its transport before it came here: where that is too long, as
        many are under way as may be, whatever the limit says."""
        if waited_s > MOST_WAIT_S:
            self._was_full = True

    def is_full(self) -> bool:
        """Whether a call would wait or be refused now, which costs next to nothing."""
        return self.under_way >= self.limit.calls or self.waiting > 0

    async def run(self) -> None:
        """Follows the rate, and refuses who has waited too long, for ever."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            self.sample()

    def sample(self) -> None:
        """What `run` does at each interval."""
        now = self._clock()
        answered, seconds = self._answered, max(INTERVAL_S / 10, now - self._sampled_at)
        self.limit.sample(answered=answered, seconds=seconds, was_full=self._was_full)
        self._sampled_at, self._answered = now, 0
        self._was_full = self.waiting > 0
        if self.refused[0] > self._refused_first:
            self._share = max(LEAST_SHARE, self._share / 2)
        else:
            self._share = min(MOST_SHARE, self._share * SHARE_GROWTH)
        self._refused_first = self.refused[0]
        self._room = self._room_now()
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            for rank, waiting in enumerate(self._waiting):
                for one in waiting.take_where(lambda one: self._is_late(one, now)):
                    self.waiting -= 1
                    self._refuse(one.call, rank)
        self._begin_waiting()

    # -- who begins --------------------------------------------------------------------

    def _begin(self, call: HotCall, left_s: float | None) -> None:
        self.under_way += 1
        admitted = _AdmittedCall(self, call, left_s)
        try:
            self._method(admitted)
        except Exception:  # the boundary: who waits behind it must not be taken along
            log.exception("a hot method failed")
            admitted.fail(ServiceError("internal error; see the server's log"))

    def ended(self) -> None:
        """A call that was begun is answered."""
        self.under_way -= 1
        self._answered += 1
        if self.waiting:
            self._begin_waiting()

    def _begin_waiting(self) -> None:
        if self._beginning:  # by a call that was answered as it began
            return
        self._beginning = True
        try:
            while self.waiting and self.under_way < self.limit.calls:
                rank = 0
                while not self._waiting[rank]:
                    rank += 1
                one = self._waiting[rank].popleft()
                self.waiting -= 1
                now = self._clock()
                if self._is_late(one, now):
                    self._refuse(one.call, rank)
                else:
                    left_s = None if one.left_s is None else one.left_s - (now - one.since)
                    self._begin(one.call, left_s)
        finally:
            self._beginning = False

    # -- who does not ------------------------------------------------------------------

    def _takes_s(self) -> float:
        """What serving a call takes now, by Little's law."""
        rate_per_s = self.limit.rate_per_s
        return min(self.under_way / rate_per_s, MOST_TAKEN_S) if rate_per_s else 0.0

    def _beyond(self, ahead: int) -> int:
        """How many there are of whom not all can begin."""
        return self.under_way + self.waiting + ahead - self.limit.calls

    def _room_now(self) -> list[int]:
        """With how many waiting none of a rank may wait: who can be begun within MOST_WAIT_S, where
        a call takes TARGET_S, or a share of them."""
        most = self.limit.calls * MOST_WAIT_S / TARGET_S
        return [int(most), *[int(most * self._share)] * (RANKS - 1)]

    def _make_room(self, rank: int) -> bool:
        """Refuses somebody of a later rank; False: nobody of one waits."""
        for later in range(RANKS - 1, rank, -1):
            if self._waiting[later]:
                one = self._waiting[later].popleft()
                self.waiting -= 1
                self._refuse(one.call, later)
                return True
        return False

    def _is_late(self, one: _Waiting, now: float) -> bool:
        waited_s = now - one.since
        if waited_s > OVERDUE_S:
            return True
        return one.left_s is not None and one.left_s - waited_s < self._takes_s()

    def _refuse(self, call: HotCall, rank: int) -> None:
        self.refused[rank] += 1
        self._rules.refuse(call, rank)


class _AdmittedCall(HotCall):
    """A call that was begun. left_s: of its caller's time, where it had to wait."""

    __slots__ = ("_call", "_left_s", "_queue")

    def __init__(self, queue: AdmissionQueue, call: HotCall, left_s: float | None) -> None:
        self.payload = call.payload
        self._call = call
        self._queue = queue
        self._left_s = left_s

    def reply(self, response: bytes) -> None:
        self._call.reply(response)
        self._queue.ended()

    def fail(self, error: ServiceError) -> None:
        self._call.fail(error)
        self._queue.ended()

    def metadata(self) -> Metadata:
        return self._call.metadata()

    def peer(self) -> str:
        return self._call.peer()

    def peer_identity(self) -> PeerIdentity | None:
        return self._call.peer_identity()

    def time_left_s(self) -> float | None:
        return self._call.time_left_s() if self._left_s is None else self._left_s

    @property
    def span(self) -> Span | None:
        """What is traced of it."""
        return span_of(self._call)


def _address_of(one: _Waiting) -> str:
    return peer_group(one.peer)


def _peer_of(one: _Waiting) -> str:
    return one.peer

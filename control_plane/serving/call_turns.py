"""CallTurns: in which order the calls of the native transport begin, and how many at once.

Its front hands over calls by the dozen, whosoever they are. Here those of each address begin in
turn, and of an address those of each connection, so that nobody's thousand calls stand before
another's one. A call that its client gave up before it began does not begin. Where calls of a
method would wait or be refused as they begin (`admission_queue`), they do so at once: it costs
little, and here they would wait for those that do begin.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from pygrpc_native import EVENT_CALL

from control_plane.pacing import Pacer
from control_plane.serving.peers import peer_group
from control_plane.turns import Turns

Event: TypeAlias = tuple[Any, ...]
"""Of pygrpc-native 0.5: kind, call, method, message, …, and (metadata, peer, seconds left)."""

PER_PASS = 128  # of the costs below: one to three milliseconds of an event loop
# Of a hot method: at least one (a client is asked for with some 100 bytes), and as many as its
# message has of these bytes; reading a batch of events takes longer than beginning a call.
HOT_BYTES = 512
COST = 32  # of a method that is not hot: a task, a context and its interceptors
END_COST = 16  # of a call whose client has left


class CallTurns:
    """Use from the server's event loop. begin(events): begins calls, and ends those whose client
    left. hot: the numbers of hot methods, which may be added to later. peer_of: the peer of a call
    by its metadata and what the front takes for its peer. clock: monotonic seconds. full: by the
    number of a hot method, whether its calls would wait or be refused now."""

    def __init__(
        self,
        begin: Callable[[list[Event]], None],
        *,
        hot: Collection[int],
        peer_of: Callable[[Any, str], str],
        clock: Callable[[], float],
        full: Mapping[int, Callable[[], bool]] = MappingProxyType({}),
    ) -> None:
        self._begin = begin
        self._hot = hot
        self._full = full
        self._peer_of = peer_of
        self._clock = clock
        self._pacer: Pacer[Event] = Pacer(
            self._begin_waiting,
            Turns(self._address, within=self._peer),
            per_pass=PER_PASS,
            cost_of=self._cost,
            clock=clock,
        )
        self._waiting: dict[int, float] = {}  # since when, by call
        self._given_up: set[int] = set()  # while they waited
        self.arrived: dict[int, float] = {}  # when those came that begin now and had to wait

    def __len__(self) -> int:
        """Calls that have not begun."""
        return len(self._pacer)

    def take(self, events: list[Event]) -> None:
        """What the front says: calls begin, and those whose client left end, when it is their
        turn."""
        if self._pacer.begin_now(events, self._cost_of_all(events)):
            self._begin(events)
            return
        now, later, full = self._clock(), [], self._full
        at_once: list[Event] = []
        for event in events:
            if event[0] == EVENT_CALL:
                is_full = full.get(event[2])
                if is_full is not None and len(event[3]) < HOT_BYTES and is_full():
                    at_once.append(event)
                    continue
                self._waiting[event[1]] = now
            elif self._waiting.pop(event[1], None) is not None:
                self._given_up.add(event[1])
                continue
            later.append(event)
        if at_once:
            self._begin(at_once)
        self._pacer.add(later)

    def _begin_waiting(self, events: list[Event]) -> None:
        begun, now = [], self._clock()
        for event in events:
            if event[0] == EVENT_CALL:
                number = event[1]
                if number in self._given_up:
                    self._given_up.remove(number)
                    continue
                since = self.arrived[number] = self._waiting.pop(number)
                waited_s = now - since
                metadata, peer, left_s = event[5]
                if left_s is not None:
                    event = (*event[:5], (metadata, peer, max(0.0, left_s - waited_s)))
            begun.append(event)
        try:
            if begun:
                self._begin(begun)
        finally:
            self.arrived = {}

    def _cost_of_all(self, events: list[Event]) -> int:
        """The sum of `_cost`, which is not called for a small message of a hot method."""
        hot, cost = self._hot, 0
        for event in events:
            if event[0] == EVENT_CALL and event[2] in hot and len(event[3]) < HOT_BYTES:
                cost += 1
            else:
                cost += self._cost(event)
        return cost

    def _cost(self, event: Event) -> int:
        if event[0] != EVENT_CALL:
            return END_COST
        return 1 + len(event[3]) // HOT_BYTES if event[2] in self._hot else COST

    def _peer(self, event: Event) -> str:
        if event[0] != EVENT_CALL:
            return ""  # the front does not say whose call it was
        details = event[5]
        return self._peer_of(details[0], details[1])

    def _address(self, event: Event) -> str:
        return peer_group(self._peer(event))

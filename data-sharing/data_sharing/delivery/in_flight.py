"""InFlightQueue: instructions on their way, and the queues in which they wait for a platform.
In memory; the outbox knows all of them as well."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from data_sharing.delivery.platform_sessions import PlatformSession
from data_sharing.instruction import Instruction


@dataclass(slots=True, kw_only=True, eq=False)
class InFlight:
    """An instruction on its way. `held_by`: the platform that may have it."""

    instruction: Instruction
    deadline_ms: int
    attempt: int
    held_by: str = ""
    session: PlatformSession | None = None  # it was sent on this line
    tries: int = 0  # refusals and failures so far
    waiting: bool = False  # for its back-off
    why: str = "no platform has the application"

    @property
    def only_for(self) -> str:
        """The platform that alone may get it now; empty: any."""
        return self.instruction.platform or self.held_by


class InFlightQueue:
    """By id and by queue. A flight that moves on is not searched for in the queue where it was:
    whoever takes it from there asks `is_stale`."""

    def __init__(self) -> None:
        self._all: dict[str, InFlight] = {}
        self._by_application: dict[tuple[str, str, str], deque[InFlight]] = {}
        self._by_platform: dict[tuple[str, str], deque[InFlight]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def get(self, instruction_id: str) -> InFlight | None:
        return self._all.get(instruction_id)

    def has(self, flight: InFlight) -> bool:
        """Whether it is this one that is on its way, and not a later one of its instruction."""
        return self._all.get(flight.instruction.id) is flight

    def past(self, now_ms: int) -> list[InFlight]:
        """Those whose deadline is over."""
        return [one for one in self._all.values() if one.deadline_ms < now_ms]

    def add(self, flight: InFlight) -> None:
        self._all[flight.instruction.id] = flight

    def drop(self, flight: InFlight) -> None:
        self._all.pop(flight.instruction.id, None)

    def line_up(self, flight: InFlight) -> None:
        """Puts it at the end of the queue it belongs to."""
        what, only = flight.instruction, flight.only_for
        if only:
            queue = self._by_platform.setdefault((what.tenant, only), deque())
        else:
            key = (what.tenant, what.application, what.version)
            queue = self._by_application.setdefault(key, deque())
        queue.append(flight)

    def for_platform(self, tenant: str, name: str) -> deque[InFlight]:
        """That no other platform may get."""
        return self._by_platform.get((tenant, name), deque())

    def for_application(self, tenant: str, application: str, version: str) -> deque[InFlight]:
        """That any platform may get that has the application."""
        return self._by_application.get((tenant, application, version), deque())

    def is_stale(self, flight: InFlight, *, of: str) -> bool:
        """Whether it does not belong into the queue of that platform (empty: of any) any more."""
        return (
            not self.has(flight)
            or flight.session is not None
            or flight.waiting
            or flight.only_for != of
        )


class TimerQueue:
    """What is to be done at a time, Unix ms."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, at_ms: int, what: Callable[[], None]) -> bool:
        """Whether it is the next one now."""
        heapq.heappush(self._waiting, (at_ms, next(self._order), what))
        return self._waiting[0][2] is what

    def run(self, now_ms: int) -> None:
        """Does what is due."""
        while self._waiting and self._waiting[0][0] <= now_ms:
            heapq.heappop(self._waiting)[2]()

    def next_in_s(self, now_ms: int, most_s: float) -> float:
        """Seconds until something is due, at most so many."""
        if not self._waiting:
            return most_s
        return min(most_s, max(0.0, (self._waiting[0][0] - now_ms) / 1000))

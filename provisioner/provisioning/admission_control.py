"""AdmissionController: sheds load. How many clients may wait, and when others come back.

A client that would wait longer than it will is better told so at once. How long the wait is
follows from how many wait and how fast the store serves them (Little's law). Whoever is
turned away is given a time of its own: behind those who wait and those who were turned away
before, half as long to half as long again, so that a storm comes back as fast as it can be
served and no faster. Decisions are functions; the hot path compares one number, `limit`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from control_plane.errors import Unavailable
from control_plane.store.port import StoreUnavailable

MAX_WAITING = 20_000  # clients that may wait at the highest rate
MIN_WAITING = 1_000  # and at the lowest
MAX_WAIT_S = 3.0  # a longer wait than this is not begun; a client's own deadline is 5 s
MIN_RATE_PER_S = 200.0  # what even a struggling store is taken to do
BACKLOG = 50  # with fewer waiting, what is served does not show what could be
SAMPLE_WEIGHT = 0.1  # of the newest sample in the rate
RECOVERY = 1.05  # an estimate that no sample speaks against rises by this at each
MIN_RETRY_S, MAX_RETRY_S = 1.0, 30.0  # middle of the delays told

CROWDED = "this server has more clients waiting than it can take; try again"
CROWDED_BY_NEW = "this server has more new clients waiting than it can take; try again"

E = TypeVar("E", bound=Unavailable)


class Overloaded(Unavailable):
    """More clients wait than can be served in time. Retrying when told can help."""

    reason = "OVERLOADED"


class StoreAway(StoreUnavailable):
    """The store is away, and no new client is begun. Retrying when told can help."""


TURNED_AWAY = (Overloaded, StoreAway)
"""What new clients hear that are not begun at all."""


def waiting_limit(rate_per_s: float) -> int:
    """Those who are served within MAX_WAIT_S at this rate."""
    return int(min(MAX_WAITING, max(MIN_WAITING, rate_per_s * MAX_WAIT_S)))


def next_rate_per_s(rate_per_s: float, served: int, seconds: float, waiting: int) -> float:
    """The estimate after another sample: `served` clients in so many seconds, while at least
    `waiting` waited at its begin and its end."""
    if waiting >= BACKLOG:
        sample = served / seconds
        return max(MIN_RATE_PER_S, rate_per_s + SAMPLE_WEIGHT * (sample - rate_per_s))
    return min(rate_per_s * RECOVERY, MAX_WAITING / MAX_WAIT_S)


def retry_delay_s(ahead: float, rate_per_s: float, jitter: float, *, min_s: float) -> float:
    """When to come back, with `ahead` clients to be served before. jitter: 0.0 to 1.0."""
    served_after_s = ahead / rate_per_s
    return max(min_s, min(MAX_RETRY_S, served_after_s)) * (0.5 + jitter)


class AdmissionController:
    """One per server. jitter: 0.0 to 1.0, new at each call."""

    def __init__(self, *, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self.rate_per_s = MAX_WAITING / MAX_WAIT_S
        self.limit = MAX_WAITING  # clients that may wait now; 0: no new ones at all
        self.store_away = False  # and this server has no session to write with
        self.turned_away = 0
        self._waiting = 0
        self._served = 0
        self._to_come = 0.0  # turned away, and by what they were told not back yet

    def update(
        self, *, waiting: int, served: int, seconds: float, may_write: bool, connected: bool
    ) -> None:
        """At every interval: how many wait, how many were served ever, how long since the last
        update. may_write: whether this server has a session to write with; connected: whether
        the store answers."""
        self.rate_per_s = next_rate_per_s(
            self.rate_per_s, served - self._served, seconds, min(waiting, self._waiting)
        )
        self.limit = waiting_limit(self.rate_per_s) if may_write else 0
        self.store_away = not may_write and not connected
        self._waiting, self._served = waiting, served
        self._to_come = max(0.0, self._to_come - self.rate_per_s * seconds)

    def refusal(self, *, shows_ticket: bool = False, known: bool = False) -> Unavailable:
        """For one client that may not wait, one of TURNED_AWAY; it counts as turned away, unless it
        shows a ticket: then it is known, and answered by that. known: it has a home, as far as is
        known without asking the store."""
        if not shows_ticket and (delay_s := self.turn_away()) is not None:
            return Overloaded(CROWDED if known else CROWDED_BY_NEW, retry_after_s=delay_s)
        self.turned_away += not shows_ticket
        if self.store_away:
            return self.with_retry_delay(
                StoreAway("the store is away, new clients cannot be placed; try again")
            )
        if not self.limit:
            return self.with_retry_delay(
                Overloaded("this server begins a new session with the store; try again")
            )
        return Overloaded(
            CROWDED if known else CROWDED_BY_NEW, retry_after_s=self._next_delay_s(MIN_RETRY_S)
        )

    def turn_away(self) -> float | None:
        """When one is to come back that hears nothing but that too many wait, s; it counts as
        turned away. None: there is another reason, which `refusal` says."""
        if self.store_away or not self.limit:
            return None
        self.turned_away += 1
        return self._next_delay_s(MIN_RETRY_S)

    def with_retry_delay(self, error: E) -> E:
        """The same error for one client among many, with a delay of its own."""
        return error.with_retry_after(self._next_delay_s(error.retry_after_s or MIN_RETRY_S))

    def _next_delay_s(self, min_s: float) -> float:
        """Of one more client that is to come back."""
        self._to_come += 1.0
        return retry_delay_s(
            self._waiting + self._to_come, self.rate_per_s, self._jitter(), min_s=min_s
        )

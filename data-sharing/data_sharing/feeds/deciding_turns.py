"""DecidingTurns: which events a transaction decides, in turns of tenants, until there is no more
time for it.

While several tenants publish, transactions are short, for whoever publishes little waits for the
one that is under way and for its own. One in which somebody has got all that it had waiting is not
made longer by those who have a lot: they have the next one. Pure: the time is an argument, and the
same decisions are simulated in the tests.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from data_sharing.feeds.append_queue import AppendQueue, Part

# In one transaction, about. Not all that a few producers keep under way: while one group is
# synced, those whose events were in the group before it make their next.
EVENTS_AT_ONCE = 2_000
DECIDING_S = 0.05  # in one transaction; 2,000 events take as long where each takes 25 µs
SHARED_S = 0.002  # in one transaction while several tenants publish
TURN_S = 0.001  # of one tenant, while others wait
SHARED_FOR_S = 10.0  # since somebody else has published


class Publishing:
    """Who publishes, as far as one needs to know how long transactions may be."""

    def __init__(self) -> None:
        self._latest, self._other_at = "", -math.inf

    def note(self, tenant: str, now: float) -> None:
        """A tenant publishes. now: s."""
        if tenant != self._latest:
            if self._latest:
                self._other_at = now
            self._latest = tenant

    def seconds(self, now: float) -> float:
        """For how long a transaction decides."""
        return DECIDING_S if now - self._other_at > SHARED_FOR_S else SHARED_S


class Turn(NamedTuple):
    """Events of one tenant to be decided next. end: when to stop, s, after one at least."""

    tenant: str
    parts: list[Part]
    began: float
    end: float


class DecidingTurns:
    """Of one transaction. until: when it has decided for long enough, s."""

    def __init__(self, queue: AppendQueue, until: float) -> None:
        self._queue = queue
        self._until = until
        self._weight = EVENTS_AT_ONCE
        self._before = ""  # whose turn it was
        self._someone_has_all = False
        self.events = 0  # that were decided

    def next(self, now: float) -> Turn | None:
        """The next turn, of which `done` is to be told; None: this is all."""
        queue = self._queue
        while queue.tenants and self._weight > 0 and (not self._before or now < self._until):
            tenant = queue.next_tenant()
            if self._before and not queue.waits(self._before):
                self._someone_has_all = True
            if self._someone_has_all and queue.takes_longer(tenant, TURN_S):
                return None
            end = min(self._until, now + TURN_S) if queue.tenants > 1 else self._until
            parts = queue.take(tenant, seconds=end - now, weight=self._weight)
            if parts:  # it was not all answered before, with a failure
                self._before = tenant
                self._weight -= sum(part.weight for part in parts)
                return Turn(tenant, parts, now, end)
        return None

    def done(self, turn: Turn, kept: int, now: float) -> None:
        """So many events of a turn were decided, and it is that late now."""
        offered = sum(part.events for part in turn.parts)
        cut_after = turn.end - turn.began if kept < offered else None
        self._queue.charge(turn.tenant, kept, now - turn.began, cut_after=cut_after)
        self.events += kept

"""DecidingTurns: which events a transaction decides, in turns of tenants, until there is no more
time for it.

Between two turns is everything else that is ready, so whoever publishes meanwhile is still in the
transaction, next; and it is not made longer then. While several tenants publish, transactions are
short, for whoever publishes while one is made durable waits for that, and it takes longer the more
there is in it. One in which somebody has got all that it had waiting is not made longer by those
who have a lot: they have the next one. Pure: the time is an argument, and the same decisions are
simulated in the tests.
"""

from __future__ import annotations

from typing import NamedTuple

from data_sharing.feeds.append_queue import AppendQueue, Part
from data_sharing.feeds.publishing_tenants import PublishingTenants

# In one transaction, about. Not all that a few producers keep under way: while one group is
# synced, those whose events were in the group before it make their next.
EVENTS_AT_ONCE = 2_000
DECIDING_S = 0.05  # in one transaction; 2,000 events take as long where each takes 25 µs
SHARED_S = 0.002  # in one transaction while several tenants publish
TURN_S = 0.001  # of one tenant, while others publish
ALONE_S = 0.005  # of one that is alone
LITTLE_S = 0.002  # who has no more waiting is not made to wait for the next transaction


class Turn(NamedTuple):
    """Events of one tenant to be decided next. end: when to stop, s, after one at least."""

    tenant: str
    parts: list[Part]
    began: float
    end: float


class DecidingTurns:
    """Of one transaction. began: when, s."""

    def __init__(self, queue: AppendQueue, publishing: PublishingTenants, began: float) -> None:
        self._queue = queue
        self._publishing = publishing
        self._until = began + DECIDING_S  # it has decided for long enough then
        self._shared = False
        self._weight = EVENTS_AT_ONCE
        self._begun = False  # somebody had a turn
        self._someone_has_all = False
        self.events = 0  # that were decided

    @property
    def is_over(self) -> bool:
        """Whether nobody who publishes from now on is in it."""
        return self._someone_has_all or self._weight <= 0

    def next(self, now: float) -> Turn | None:
        """The next turn, of which `done` is to be told; None: this is all."""
        queue = self._queue
        if not self._shared and self._publishing.several(now):
            self._shared = True
            self._until = min(self._until, now + SHARED_S)
        while queue.tenants and self._weight > 0:
            tenant = queue.next_tenant()
            until = self._until
            is_late = self._begun and now >= until
            if is_late:
                until += TURN_S  # for who has come since, with little
                if now >= until:
                    return None
            if (is_late or self._someone_has_all) and queue.takes_longer(tenant, LITTLE_S):
                return None
            end = min(until, now + (TURN_S if self._shared or queue.tenants > 1 else ALONE_S))
            parts = queue.take(tenant, seconds=end - now, weight=self._weight)
            if parts:  # it was not all answered before, with a failure
                self._begun = True
                self._weight -= sum(part.weight for part in parts)
                return Turn(tenant, parts, now, end)
        return None

    def done(self, turn: Turn, kept: int, now: float) -> None:
        """So many events of a turn were decided, and it is that late now. What it has left is put
        back before."""
        offered = sum(part.events for part in turn.parts)
        cut_after = turn.end - turn.began if kept < offered else None
        self._queue.charge(turn.tenant, kept, now - turn.began, cut_after=cut_after)
        self._someone_has_all = self._someone_has_all or not self._queue.waits(turn.tenant)
        self.events += kept

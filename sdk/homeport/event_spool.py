"""EventSpool: events that wait to be published, in order, as many as there is room for.

Only the batch in front is ever under way, so that an event never overtakes another one, and a batch
that had no answer is sent again as it is: the service finds what it kept by source and id. Plain
values; whoever uses it from several threads holds a lock.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Spooled(NamedTuple, Generic[T]):
    """One that waits."""

    event: T
    size: int  # bytes
    since: float  # monotonic s


class EventSpool(Generic[T]):
    """most_events, most_bytes: that may wait; batch_events, batch_bytes: of one batch. hold_s: how
    long one may wait before it is given up."""

    def __init__(
        self,
        *,
        most_events: int,
        most_bytes: int,
        batch_events: int,
        batch_bytes: int,
        hold_s: float,
    ) -> None:
        self._most_events, self._most_bytes = most_events, most_bytes
        self._batch_events, self._batch_bytes = batch_events, batch_bytes
        self._hold_s = hold_s
        self._waiting: deque[Spooled[T]] = deque()
        self._under_way = 0  # of those in front
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, event: T, size: int, now: float) -> bool:
        """False: there is no room. An event larger than all of it has room where nothing waits."""
        if self._waiting and (
            len(self._waiting) >= self._most_events or self.bytes + size > self._most_bytes
        ):
            return False
        self._waiting.append(Spooled(event, size, now))
        self.bytes += size
        return True

    def begin(self) -> list[T]:
        """The next batch; the same one as before, until it is ended. Empty: nothing waits."""
        if not self._under_way:
            size = 0
            for one in self._waiting:
                if self._under_way and (
                    self._under_way >= self._batch_events or size + one.size > self._batch_bytes
                ):
                    break
                size += one.size
                self._under_way += 1
        return [self._waiting[place].event for place in range(self._under_way)]

    def end(self) -> None:
        """The batch in front was answered, or given up."""
        for _ in range(self._under_way):
            self.bytes -= self._waiting.popleft().size
        self._under_way = 0

    def is_given_up(self, now: float) -> bool:
        """Whether the first of the batch in front has waited for too long."""
        return bool(self._waiting) and now - self._waiting[0].since > self._hold_s

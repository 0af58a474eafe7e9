"""Joins: events of several inputs with one key, within a time of each other, and which of them
are used up.

The five contexts are those of Snoop (Chakravarthy, Krishnaprasad, Anwar, Kim: "Composite events
for active databases", VLDB 1994). An event is used up by a firing only: a combination whose `when`
is false leaves its events where they are.

| context | combinations with the arriving event | used up by a firing |
|---|---|---|
| unrestricted | all | nothing |
| recent | the newest of each input | nothing; a newer event replaces an older |
| chronicle | one: the oldest for which `when` holds | its events |
| continuous | each one, oldest first | the events of each |
| cumulative | one, of all events kept | all of them |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from data_sharing.rules.cell_cache import Awaiting, JoinState, StoredEvent
from data_sharing.rules.effects import EventRef
from data_sharing.rules.spec import Consumption

MOST_COMBINATIONS = 64  # looked at for one event; the others are left out and said to be

Combination = dict[str, list[StoredEvent]]  # events by input: one each, in cumulative all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """inputs: names of those that must come; absent: of those that must not."""

    inputs: tuple[str, ...]
    absent: tuple[str, ...]
    within_ms: int
    consume: Consumption
    keep: int
    shape: str

    def add(self, state: JoinState, name: str, event: StoredEvent) -> int:
        """Keeps the event. Returns how many were dropped to make room."""
        buffer = state.buffers.setdefault(name, [])
        if self.consume == "recent" and name in self.inputs:
            if buffer and _order(buffer[0]) > _order(event):
                return 0
            buffer[:] = [event]
            return 0
        buffer.append(event)
        buffer.sort(key=_order)
        over = len(buffer) - self.keep
        if over > 0:
            del buffer[:over]
        return max(0, over)

    def prune(self, state: JoinState, newest_ms: int, late_ms: int) -> None:
        """Lets go of events that no later one can meet."""
        oldest = newest_ms - late_ms - self.within_ms
        for name in list(state.buffers):
            left = [one for one in state.buffers[name] if one.time_ms >= oldest]
            if left:
                state.buffers[name] = left
            else:
                del state.buffers[name]

    def missing(self, state: JoinState) -> list[str]:
        """Inputs of which nothing is kept."""
        return [name for name in self.inputs if not state.buffers.get(name)]

    def combinations(
        self, state: JoinState, name: str, event: StoredEvent
    ) -> Iterator[Combination]:
        """Those that the event, which has arrived as input `name`, completes; oldest first. An
        event of a feed that several inputs watch never meets itself."""
        others = [one for one in self.inputs if one != name]
        buffers = [
            [
                stored
                for stored in state.buffers.get(one, ())
                if self._near(stored, event)
                and (stored.source, stored.id) != (event.source, event.id)
            ]
            for one in others
        ]
        if not all(buffers) or event not in state.buffers.get(name, ()):
            return
        if self.consume == "cumulative":
            own = [stored for stored in state.buffers[name] if self._near(stored, event)]
            yield {name: own, **dict(zip(others, buffers, strict=True))}
            return
        for chosen in product(*buffers):
            times = [event.time_ms, *(one.time_ms for one in chosen)]
            if max(times) - min(times) <= self.within_ms:
                partners = {one: [stored] for one, stored in zip(others, chosen, strict=True)}
                yield {name: [event], **partners}

    def consumes(self, combination: Combination) -> tuple[StoredEvent, ...]:
        """What a firing with it uses up."""
        if self.consume in ("unrestricted", "recent"):
            return ()
        return tuple(one for events in combination.values() for one in events)

    def remove(self, state: JoinState, used: tuple[StoredEvent, ...]) -> tuple[EventRef, ...]:
        """Removes them."""
        gone = {(one.source, one.id) for one in used}
        for name in list(state.buffers):
            left = [one for one in state.buffers[name] if (one.source, one.id) not in gone]
            if left:
                state.buffers[name] = left
            else:
                del state.buffers[name]
        return tuple(one.ref for one in used)

    def await_absence(self, state: JoinState, combination: Combination, late_ms: int) -> int | None:
        """Has the combination wait for what must stay absent. Returns when it fires, None where
        an absent input's event is already there."""
        times = [one.time_ms for events in combination.values() for one in events]
        from_ms, until_ms = min(times), min(times) + self.within_ms
        for name in self.absent:
            if any(from_ms <= one.time_ms <= until_ms for one in state.buffers.get(name, ())):
                return None
        due_ms = until_ms + late_ms
        state.awaiting.append(Awaiting(due_ms, until_ms, combination))
        return due_ms

    def stop_awaiting(self, state: JoinState, event: StoredEvent) -> list[Awaiting]:
        """An absent input's event has come: the combinations it stops, removed."""
        stopped = [
            one
            for one in state.awaiting
            if min(stored.time_ms for events in one.events.values() for stored in events)
            <= event.time_ms
            <= one.until_ms
        ]
        state.awaiting = [one for one in state.awaiting if one not in stopped]
        return stopped

    def _near(self, one: StoredEvent, other: StoredEvent) -> bool:
        return abs(one.time_ms - other.time_ms) <= self.within_ms


def _order(event: StoredEvent) -> tuple[int, int]:
    return (event.time_ms, event.position)

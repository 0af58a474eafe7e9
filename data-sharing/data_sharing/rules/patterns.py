"""Patterns: events of one key in an order, with what must not come in between or after.

The words are those of complex event processing: a pattern is made of steps, and a partial match
has seen the first of them. Which events count is what Flink's CEP library and MATCH_RECOGNIZE of
SQL (ISO/IEC 19075-5) have names for. Skip till next match: a partial match takes the next event
that its next step takes, and leaves all others out of account. Skip past last row: once a match
has fired, whatever began before its last event is over, so that no event is part of two firings.

Events count in the order in which they were accepted. A `without` in between ends the partial
matches that wait for the step behind it; one at the end has a match wait until its time is over,
and fire unless such an event comes. What each event is asked is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from control_plane.expressions.expression import Expression
from data_sharing.rules.cell_cache import PartialMatch, SequenceState, StoredEvent

Events: TypeAlias = Mapping[str, StoredEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternPart:
    """A step, or what must not come. name: of its input. place: in the rule's document. reads:
    variables that its condition looks at."""

    name: str
    condition: Expression | None
    place: str
    reads: frozenset[str] = frozenset()


Meets: TypeAlias = Callable[[PatternPart, Events], bool]  # whether its condition holds of them


class Advance(NamedTuple):
    """What one event did to the partial matches of a key. moved: now wait for their next step;
    awaiting: have seen all steps, and now wait that something stays absent; ended: by a `without`;
    complete: would be matches with it, and are as they were until the caller has decided."""

    moved: list[PartialMatch]
    awaiting: list[PartialMatch]
    ended: list[PartialMatch]
    complete: list[PartialMatch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """without: before each step, and at last after all of them. silence: one step, whose own next
    event is what must not come. keep: partial matches of a key."""

    steps: tuple[PatternPart, ...]
    without: tuple[tuple[PatternPart, ...], ...]
    within_ms: int
    keep: int
    shape: str
    silence: bool = False

    @property
    def parts(self) -> list[PatternPart]:
        """All of them, in their order."""
        after = [list(one) for one in self.without]
        steps = [[one] for one in self.steps]
        return [
            part for pair in zip(after, [*steps, []], strict=True) for some in pair for part in some
        ]

    @property
    def awaits(self) -> bool:
        """Whether a match waits that something stays absent."""
        return self.silence or bool(self.without[-1])

    def prune(self, state: SequenceState, newest_ms: int, late_ms: int) -> None:
        """Lets go of partial matches that no later event can complete. Those that have a timer go
        with it."""
        oldest = newest_ms - late_ms
        state.partials = [one for one in state.partials if one.due_ms or one.until_ms >= oldest]

    def advance(
        self,
        state: SequenceState,
        names: Collection[str],
        event: StoredEvent,
        late_ms: int,
        meets: Meets,
    ) -> Advance:
        """An event has come as these inputs. Changes the state, but for what is complete."""
        found = Advance([], [], [], [])
        left: list[PartialMatch] = []
        for one in state.partials:
            if event.time_ms > one.until_ms - (one.due_ms > 0):  # absence is over at its end
                left.append(one)
                continue
            step = self.steps[len(one.events)] if len(one.events) < len(self.steps) else None
            if step is not None and step.name in names:
                events = {**one.events, step.name: event}
                if meets(step, events):
                    left.append(self._taken(one, events, late_ms, found))
                    continue
            if self._ends(one, names, event, meets):
                found.ended.append(one)
            else:
                left.append(one)
        state.partials = left
        return found

    def _taken(
        self, one: PartialMatch, events: dict[str, StoredEvent], late_ms: int, found: Advance
    ) -> PartialMatch:
        """The partial match with one step more."""
        if len(events) < len(self.steps):
            moved = PartialMatch(events, one.until_ms)
            found.moved.append(moved)
            return moved
        if not self.awaits:
            found.complete.append(PartialMatch(events, one.until_ms))
            return one
        awaiting = PartialMatch(events, one.until_ms, one.until_ms + late_ms)
        found.awaiting.append(awaiting)
        return awaiting

    def _ends(
        self, one: PartialMatch, names: Collection[str], event: StoredEvent, meets: Meets
    ) -> bool:
        if self.silence:
            return event.time_ms >= first_of(one).time_ms
        return any(
            part.name in names and meets(part, {**one.events, part.name: event})
            for part in self.without[len(one.events)]
        )

    def begin(
        self,
        state: SequenceState,
        names: Collection[str],
        event: StoredEvent,
        late_ms: int,
        meets: Meets,
    ) -> PartialMatch | None:
        """A new partial match, where the event is a first step."""
        step = self.steps[0]
        events = {step.name: event}
        if step.name not in names or not meets(step, events):
            return None
        until_ms = event.time_ms + self.within_ms
        if self.silence and any(
            event.time_ms < first_of(one).time_ms < until_ms for one in state.partials
        ):
            return None  # one that came before it has ended its silence
        waits = self.awaits and len(self.steps) == 1
        made = PartialMatch(events, until_ms, until_ms + late_ms if waits else 0)
        state.partials.append(made)
        return made

    def make_room(self, state: SequenceState) -> list[PartialMatch]:
        """What goes because there are too many: those that began first."""
        over = max(0, len(state.partials) - self.keep)
        gone = state.partials[:over]
        del state.partials[:over]
        return gone

    def skip_past(self, state: SequenceState, match: PartialMatch) -> list[PartialMatch]:
        """A match has fired: removes what began before its last event was accepted; which."""
        last = max(one.position for one in match.events.values())
        gone = [one for one in state.partials if first_of(one).position <= last]
        state.partials = [one for one in state.partials if first_of(one).position > last]
        return gone


def first_of(one: PartialMatch) -> StoredEvent:
    """Its first step's event."""
    return next(iter(one.events.values()))

"""Occupancy: room and load of each unit as they are now, and who wants to hear of changes.

Decisions that are kept (see Chooser) hold for as long as nothing they looked at changed:
whether a unit has room, and which 5 % step its load is in. Most changes of room or load are
neither, and cost an assignment.
"""

from __future__ import annotations

from typing import Protocol

from provisioner.placement.choice import load_step


class Listener(Protocol):
    """Something that was decided by looking at a unit."""

    def forget(self) -> None:
        """What was looked at has changed."""
        ...


class Occupancy:
    """Lists by unit index: `room` in slots (full at 0 and below), `load` from 0 to 1.
    `reopened` counts how often a full unit got room again."""

    __slots__ = ("_listeners", "_steps", "load", "reopened", "room")

    def __init__(self, units: int) -> None:
        self.room = [0] * units
        self.load = [1.0] * units
        self._steps = [load_step(1.0)] * units
        self._listeners: list[set[Listener]] = [set() for _ in range(units)]
        self.reopened = 0

    def update(self, index: int, room: int, load: float) -> None:
        """A unit's room and load are these now."""
        step = load_step(load)
        had = self.room[index] > 0
        self.room[index], self.load[index] = room, load
        if step != self._steps[index] or had != (room > 0):
            self._steps[index] = step
            self.reopened += not had
            self._tell(index)

    def take(self, index: int) -> None:
        """One slot less."""
        left = self.room[index] = self.room[index] - 1
        if left == 0:
            self._tell(index)

    def listen(self, index: int, listener: Listener) -> None:
        """`listener.forget` is called at the next change of this unit, once."""
        self._listeners[index].add(listener)

    def ignore_all(self) -> None:
        """Nobody listens any more."""
        for listeners in self._listeners:
            listeners.clear()

    def _tell(self, index: int) -> None:
        listeners = self._listeners[index]
        if listeners:
            self._listeners[index] = set()
            for listener in listeners:
                listener.forget()

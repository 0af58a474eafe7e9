"""Occupancy: room and load of each unit as they are now, and who is notified of changes.

Decisions that are kept (see Chooser) hold for as long as nothing they looked at changed:
whether a unit has room, and which step its load is in. Most changes of room or load are
neither, and cost an assignment.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from provisioner.placement.choice import load_step


class OccupancyListener(Protocol):
    """Something that was decided by looking at a unit."""

    def forget(self) -> None:
        """What was looked at has changed."""
        ...


class Occupancy:
    """Lists by unit index: `room` in slots (full at 0 and below), `load` from 0 to 1; write
    them through `update` and `use_slot`. `is_open` (1: has room) and `steps` (of load) say the
    same as arrays that show each change at once. `changes` counts what listeners may be
    notified of."""

    __slots__ = (
        "_is_open", "_listeners", "_steps", "changes", "is_open", "load", "room", "steps",
    )  # fmt: skip

    def __init__(self, units: int) -> None:
        self.room = [0] * units
        self.load = [1.0] * units
        self._is_open = bytearray(units)
        self._steps = bytearray([load_step(1.0)]) * units
        # Views: the bytes are fast to write one by one, the arrays to read all at once.
        self.is_open: NDArray[np.uint8] = np.frombuffer(self._is_open, dtype=np.uint8)
        self.steps: NDArray[np.uint8] = np.frombuffer(self._steps, dtype=np.uint8)
        self._listeners: list[set[OccupancyListener]] = [set() for _ in range(units)]
        self.changes = 0

    def update(self, index: int, room: int, load: float) -> None:
        """A unit's room and load are these now."""
        step = load_step(load)
        had = self.room[index] > 0
        self.room[index], self.load[index] = room, load
        if step != self._steps[index] or had != (room > 0):
            self._steps[index] = step
            self._is_open[index] = room > 0
            self._notify(index)

    def use_slot(self, index: int) -> None:
        """A client took a slot of this unit."""
        left = self.room[index] = self.room[index] - 1
        if left == 0:
            self._is_open[index] = 0
            self._notify(index)

    def subscribe(self, index: int, listener: OccupancyListener) -> None:
        """`listener.forget` is called at the next change of this unit, once."""
        self._listeners[index].add(listener)

    def forget_all(self) -> None:
        """Notifies every listener, once, as if every unit had changed."""
        for index in range(len(self._listeners)):
            self._notify(index)

    def _notify(self, index: int) -> None:
        self.changes += 1
        listeners = self._listeners[index]
        if listeners:
            self._listeners[index] = set()
            for listener in listeners:
                listener.forget()

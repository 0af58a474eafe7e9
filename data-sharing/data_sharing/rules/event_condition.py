"""Event conditions: the plainest conditions over one event, asked of the event itself.

What `EventView` would make of the event for CEL is not made: texts, truth values, numbers and
whether a field is there are read where they stand. A field that is null is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from control_plane.expressions.direct import Direct, direct_over
from control_plane.expressions.tree import Node, Path
from data_sharing.event import Event
from data_sharing.rules.feed_schema import ATTRIBUTES

_TEXTS = frozenset(ATTRIBUTES) - {"data", "time"}


def event_condition(tree: Node, names: frozenset[str]) -> Direct[Event] | None:
    """names: of the variables that stand for the event. None: it asks more, or reads others."""
    return direct_over(tree, _OfEvent(names))


class _OfEvent:
    """An event that these variables stand for."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def value(self, path: Path) -> Callable[[Event], Any] | None:
        if len(path) < 2 or path[0] not in self._names:
            return None
        attribute = path[1]
        if len(path) == 2:
            if attribute not in _TEXTS:
                return None
            return lambda event: getattr(event, attribute)
        if attribute != "data":
            return None
        if len(path) == 3:
            name = path[2]
            return lambda event: event.data.get(name)
        steps = path[2:]
        return lambda event: _below(event, steps)

    def presence(self, path: Path, field: str) -> Callable[[Event], bool | None] | None:
        if len(path) < 2 or path[0] not in self._names or path[1] != "data":
            return None
        steps = path[2:]
        if not steps:
            return lambda event: event.data.get(field) is not None

        def present(event: Event) -> bool | None:
            found = _below(event, steps)
            return found.get(field) is not None if type(found) is dict else None

        return present


def _below(event: Event, steps: Path) -> Any:
    found: Any = event.data
    for name in steps:
        if type(found) is not dict:
            return None
        found = found.get(name)
    return found

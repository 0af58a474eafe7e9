"""The nodes of an index: what is asked of an event at each, and what is found.

A node copies itself for a change; what it then shares with the node that it was is never changed.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from control_plane.expressions.tree import Path
from data_sharing.event import Event
from data_sharing.rules.predicate_tests import test_of
from data_sharing.rules.predicates import Conjunct, Scalar
from data_sharing.rules.ranges import Ranges

T = TypeVar("T")


class Entry(Generic[T]):
    """A subscription at its place in the tree. rest: what the way there does not say already.
    Equal to itself alone."""

    __slots__ = ("rest", "test", "who")

    def __init__(self, who: T, rest: tuple[Conjunct, ...]) -> None:
        self.who = who
        self.rest = rest
        self.test = test_of(rest)


class Tests(Generic[T]):
    """What is asked of one field."""

    __slots__ = ("edit", "equals", "lengths", "prefixes", "present", "ranges")

    def __init__(self, edit: object) -> None:
        self.edit = edit
        self.equals: dict[Scalar, Node[T]] = {}
        self.lengths: tuple[int, ...] = ()  # of prefixes, in rising order
        self.prefixes: dict[str, Node[T]] = {}
        self.ranges: Ranges[Entry[T]] | None = None
        self.present: Node[T] | None = None

    def copy(self, edit: object) -> Tests[T]:
        made: Tests[T] = Tests(edit)
        made.equals, made.prefixes = self.equals.copy(), self.prefixes.copy()
        made.lengths, made.present = self.lengths, self.present
        made.ranges = None if self.ranges is None else self.ranges.copy()
        return made

    @property
    def empty(self) -> bool:
        """Whether nothing is asked."""
        ranges = self.ranges is not None and self.ranges.count
        return not (self.equals or self.prefixes or ranges or self.present)

    def ask(self, value: Any, event: Event, data: dict[str, Any], found: list[T]) -> None:
        """value: not null."""
        if self.present is not None:
            self.present.match(event, data, found)
        if isinstance(value, str):
            for length in self.lengths:
                if length > len(value):
                    break  # a slice would be the whole value, found before
                below = self.prefixes.get(value[:length])
                if below is not None:
                    below.match(event, data, found)
        elif isinstance(value, bool):
            pass
        elif isinstance(value, (int, float)):
            if self.ranges is not None:
                entries: list[Entry[T]] = []
                self.ranges.holding(value, entries)
                _admitted(entries, event, data, found)
        else:
            return
        if self.equals:
            node = self.equals.get(value)
            if node is not None:
                node.match(event, data, found)


class Field(Generic[T]):
    """What is asked of one field of `data` and of what lies below it, by the path from there. own:
    of the field itself, of which `paths` has it as well."""

    __slots__ = ("edit", "own", "paths")

    def __init__(self, edit: object) -> None:
        self.edit = edit
        self.own: Tests[T] | None = None
        self.paths: dict[Path, Tests[T]] = {}

    def copy(self, edit: object) -> Field[T]:
        made: Field[T] = Field(edit)
        made.own, made.paths = self.own, self.paths.copy()
        return made

    def ask(self, value: Any, event: Event, data: dict[str, Any], found: list[T]) -> None:
        """value: not null."""
        own = self.own
        if own is not None:
            own.ask(value, event, data, found)
            if len(self.paths) == 1:
                return
        if not isinstance(value, dict):
            return
        for path, tests in self.paths.items():
            if not path:
                continue
            at: Any = value
            for name in path:
                at = at.get(name) if isinstance(at, dict) else None
            if at is not None:
                tests.ask(at, event, data, found)


class Node(Generic[T]):
    """Subscriptions that a path through the tree has left over. Fields of `data` are kept by their
    first name, so that of an event with few fields only those are asked for. edit: the change that
    made it and may still change it; count: entries below, one under several places as often."""

    __slots__ = ("attributes", "count", "data", "edit", "entries", "split")

    def __init__(self, edit: object) -> None:
        self.edit = edit
        self.count = 0
        self.split = False
        self.entries: list[Entry[T]] = []
        self.attributes: dict[str, Tests[T]] = {}
        self.data: dict[str, Field[T]] = {}

    def copy(self, edit: object) -> Node[T]:
        made: Node[T] = Node(edit)
        made.count, made.split, made.entries = self.count, self.split, self.entries[:]
        made.attributes = self.attributes.copy()
        made.data = self.data.copy()
        return made

    def match(self, event: Event, data: dict[str, Any], found: list[T]) -> None:
        """data: the event's."""
        if self.entries:
            _admitted(self.entries, event, data, found)
        if not self.split:
            return
        for name, tests in self.attributes.items():
            tests.ask(getattr(event, name), event, data, found)
        asked = self.data
        if not asked:
            return
        if len(asked) < len(data):
            for name, field in asked.items():
                value = data.get(name)
                if value is not None:
                    field.ask(value, event, data, found)
        else:
            for name, value in data.items():
                below = asked.get(name)
                if below is not None and value is not None:
                    below.ask(value, event, data, found)


def _admitted(entries: list[Entry[T]], event: Event, data: dict[str, Any], found: list[T]) -> None:
    for entry in entries:
        test = entry.test
        if test is None or test.holds(event, data):
            found.append(entry.who)

"""The nodes of an index: what is asked of an event at each, and what is found.

A node copies itself for a change; what it then shares with the node that it was is never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from control_plane.expressions.tree import Path
from data_sharing.event import Event
from data_sharing.rules.predicate_tests import test_of
from data_sharing.rules.predicates import Conjunct, Scalar
from data_sharing.rules.ranges import Ranges

T = TypeVar("T")
_ABSENT: Any = object()


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

    def ask(self, value: Any, event: Event, found: list[T]) -> None:
        if self.present is not None:
            self.present.match(event, found)
        kind = type(value)
        if kind is str:
            for length in self.lengths:
                if length > len(value):
                    break  # a slice would be the whole value, found before
                below = self.prefixes.get(value[:length])
                if below is not None:
                    below.match(event, found)
        elif kind is int or kind is float:
            if self.ranges is not None:
                entries: list[Entry[T]] = []
                self.ranges.holding(value, entries)
                _admitted(entries, event, found)
        elif kind is not bool and value is not None:
            return
        if self.equals:
            node = self.equals.get(value)
            if node is not None:
                node.match(event, found)


class Field(Generic[T]):
    """What is asked of one field of `data` and of what lies below it, by the path from there."""

    __slots__ = ("edit", "paths")

    def __init__(self, edit: object) -> None:
        self.edit = edit
        self.paths: dict[Path, Tests[T]] = {}

    def copy(self, edit: object) -> Field[T]:
        made: Field[T] = Field(edit)
        made.paths = self.paths.copy()
        return made

    def ask(self, value: Any, event: Event, found: list[T]) -> None:
        for path, tests in self.paths.items():
            at = value
            for name in path:
                at = at.get(name, _ABSENT) if isinstance(at, dict) else _ABSENT
                if at is _ABSENT:
                    break
            else:
                tests.ask(at, event, found)


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

    def match(self, event: Event, found: list[T]) -> None:
        if self.entries:
            _admitted(self.entries, event, found)
        if not self.split:
            return
        for name, tests in self.attributes.items():
            tests.ask(getattr(event, name), event, found)
        asked = self.data
        if not asked:
            return
        data = event.data
        if len(asked) < len(data):
            for name, field in asked.items():
                value = data.get(name, _ABSENT)
                if value is not _ABSENT:
                    field.ask(value, event, found)
        else:
            for name, value in data.items():
                below = asked.get(name)
                if below is not None:
                    below.ask(value, event, found)


def _admitted(entries: Sequence[Entry[T]], event: Event, found: list[T]) -> None:
    for entry in entries:
        test = entry.test
        if test is None or test(event):
            found.append(entry.who)

"""Predicate tests: conjuncts as objects that are asked about an event, for what an index has found.

Each says what `predicates.admits` says of the same conjuncts, without going through them as values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from control_plane.expressions.tree import Path
from data_sharing.event import Event
from data_sharing.rules.predicates import Atom, Conjunct, Equals, Prefix, Range, Scalar


class Test:
    """Of one event."""

    __slots__ = ()

    def holds(self, event: Event, data: dict[str, Any]) -> bool:
        """data: the event's."""
        raise NotImplementedError


def test_of(conjuncts: Sequence[Conjunct]) -> Test | None:
    """Whether all of them hold; None: there is nothing to look at."""
    tests = [_some([_atom(atom) for atom in one]) for one in conjuncts]
    if len(tests) < 2:
        return tests[0] if tests else None
    return _Every(tuple(tests))


def _some(tests: Sequence[Test]) -> Test:
    return tests[0] if len(tests) == 1 else _Some(tuple(tests))


def _atom(atom: Atom) -> Test:
    if isinstance(atom, Equals):
        values = frozenset(atom.values) - {None}  # which no field is for a condition
        if len(values) == 1:
            return _Equal(atom.path, *values)
        return _Among(atom.path, values)
    if isinstance(atom, Prefix):
        return _Begins(atom.path, atom.text)
    if isinstance(atom, Range):
        return _Within(atom.path, atom.low, atom.high)
    return _Read(atom.path)


class _Every(Test):
    __slots__ = ("_tests",)

    def __init__(self, tests: tuple[Test, ...]) -> None:
        self._tests = tests

    def holds(self, event: Event, data: dict[str, Any]) -> bool:
        for one in self._tests:  # noqa: SIM110  # a generator costs more than what it asks
            if not one.holds(event, data):
                return False
        return True


class _Some(Test):
    __slots__ = ("_tests",)

    def __init__(self, tests: tuple[Test, ...]) -> None:
        self._tests = tests

    def holds(self, event: Event, data: dict[str, Any]) -> bool:
        for one in self._tests:  # noqa: SIM110  # as above
            if one.holds(event, data):
                return True
        return False


class _Read(Test):
    """Of what stands at one path; in itself whether anything but null does."""

    __slots__ = ("_first", "_of", "_rest")

    def __init__(self, path: Path) -> None:
        self._of = "" if path[0] == "data" else path[0]
        self._first = path[0] if self._of else path[1]
        self._rest = path[2:]

    def _value(self, event: Event, data: dict[str, Any]) -> Any:
        """None where nothing stands there."""
        if self._of:
            return getattr(event, self._of)
        found: Any = data.get(self._first)
        for name in self._rest:
            if not isinstance(found, dict):
                return None
            found = found.get(name)
        return found

    def holds(self, event: Event, data: dict[str, Any]) -> bool:
        return self._value(event, data) is not None


class _Equal(_Read):
    __slots__ = ("_wanted",)

    def __init__(self, path: Path, wanted: Scalar) -> None:
        super().__init__(path)
        self._wanted = wanted

    def holds(self, event: Event, data: dict[str, Any]) -> bool:
        return bool(self._value(event, data) == self._wanted)


class _Among(_Read):
    __slots__ = ("_values",)

    def __init__(self, path: Path, values: frozenset[Scalar]) -> None:
        super().__init__(path)
        self._values = values

    def holds(self, event: Event, data: dict[str, Any]) -> bool:
        value = self._value(event, data)
        return not isinstance(value, (list, dict)) and value in self._values


class _Begins(_Read):
    __slots__ = ("_text",)

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(path)
        self._text = text

    def holds(self, event: Event, data: dict[str, Any]) -> bool:
        value = self._value(event, data)
        return isinstance(value, str) and value.startswith(self._text)


class _Within(_Read):
    __slots__ = ("_high", "_low")

    def __init__(self, path: Path, low: float, high: float) -> None:
        super().__init__(path)
        self._low, self._high = low, high

    def holds(self, event: Event, data: dict[str, Any]) -> bool:
        value = self._value(event, data)
        kind = type(value)
        return (kind is int or kind is float) and self._low <= value <= self._high

"""Predicate tests: conjuncts as functions of an event, for what an index has found.

Each says what `predicates.admits` says of the same conjuncts, without going through them as values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from control_plane.expressions.tree import Path
from data_sharing.event import Event
from data_sharing.rules.predicates import Atom, Conjunct, Equals, Prefix, Range

Test: TypeAlias = Callable[[Event], bool]
_ABSENT: Any = object()  # equal to no value, and of no type that is asked for


def test_of(conjuncts: Sequence[Conjunct]) -> Test | None:
    """Whether all of them hold; None: there is nothing to look at."""
    return _every([_some([_atom(atom) for atom in one]) for one in conjuncts])


def _every(tests: Sequence[Test]) -> Test | None:
    """In halves, so that many do not nest deep."""
    if len(tests) < 2:
        return tests[0] if tests else None
    half = len(tests) // 2
    one, other = _every(tests[:half]), _every(tests[half:])
    assert one is not None
    assert other is not None
    return lambda event: one(event) and other(event)


def _some(tests: Sequence[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    half = len(tests) // 2
    one, other = _some(tests[:half]), _some(tests[half:])
    return lambda event: one(event) or other(event)


def _atom(atom: Atom) -> Test:
    read = _reader(atom.path)
    if isinstance(atom, Equals):
        return _equals(read, atom)
    if isinstance(atom, Prefix):
        text = atom.text

        def begins(event: Event) -> bool:
            value = read(event)
            return isinstance(value, str) and value.startswith(text)

        return begins
    if isinstance(atom, Range):
        low, high = atom.low, atom.high

        def within(event: Event) -> bool:
            value = read(event)
            kind = type(value)
            return (kind is int or kind is float) and low <= value <= high

        return within
    return lambda event: read(event) is not _ABSENT


def _equals(read: Callable[[Event], Any], atom: Equals) -> Test:
    if len(atom.values) == 1:
        (wanted,) = atom.values
        return lambda event: bool(read(event) == wanted)
    values = frozenset(atom.values)

    def among(event: Event) -> bool:
        value = read(event)
        return not isinstance(value, (list, dict)) and value in values

    return among


def _reader(path: Path) -> Callable[[Event], Any]:
    """What stands there; _ABSENT where nothing does."""
    first = path[0]
    if first != "data":
        return lambda event: getattr(event, first)
    name, rest = path[1], path[2:]
    if not rest:
        return lambda event: event.data.get(name, _ABSENT)

    def below(event: Event) -> Any:
        found = event.data.get(name, _ABSENT)
        for one in rest:
            if not isinstance(found, dict):
                return _ABSENT
            found = found.get(one, _ABSENT)
        return found

    return below

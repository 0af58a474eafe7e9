"""Predicates: what an event must have for a condition to hold, lifted out of its syntax tree.

A conjunct is a list of atoms of which one at least must hold. Lifting never loses an event:
what it does not understand it leaves out, and CEL still judges every event that gets through.
A field that is missing or null, or has another type, makes a comparison no truth value, so the
condition does not hold, and the index may leave the event out as well.

Of many conditions it is known besides that what was lifted says all that they say
(`says_all`): what an index has found is then not asked once more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from control_plane.expressions.tree import Call, Constant, Items, Node, Path, Select, path_of
from data_sharing.event import Event

Scalar: TypeAlias = str | int | float | bool | None
_EXACT = 2**53  # integers beyond may be told apart by Python and not by CEL's doubles
MOST_ALTERNATIVES = 64  # atoms in one conjunct; more are not lifted


class Equals(NamedTuple):
    path: Path
    values: tuple[Scalar, ...]


class Range(NamedTuple):
    """low <= value <= high. A bound that the condition excludes is the next double; around whole
    numbers from 2**53 on bounds give way to both sides, and CEL sorts them out."""

    path: Path
    low: float
    high: float


class Prefix(NamedTuple):
    path: Path
    text: str


class Present(NamedTuple):
    path: Path


Atom: TypeAlias = Equals | Range | Prefix | Present
Conjunct: TypeAlias = tuple[Atom, ...]

_MIRRORED = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_", "_==_": "_==_"}


def conjuncts_of(tree: Node, roots: frozenset[str]) -> tuple[Conjunct, ...]:
    """What must hold of the event that the variables in `roots` stand for; paths are below it,
    as ("data", "speed")."""
    return _merged([one for one in _conjuncts(tree, roots) if len(one) <= MOST_ALTERNATIVES])


def says_all(tree: Node, roots: frozenset[str]) -> bool:
    """Whether the condition holds of just those events that `conjuncts_of` it admit."""
    return _says_all(tree, roots) and all(
        len(one) <= MOST_ALTERNATIVES for one in _conjuncts(tree, roots)
    )


def admits(conjuncts: Sequence[Conjunct], event: Event) -> bool:
    """Whether all that must hold of the event does. Where not, an index may leave it out."""
    return all(any(_holds(atom, event) for atom in one) for one in conjuncts)


def _holds(atom: Atom, event: Event) -> bool:
    if atom.path[0] != "data":
        value: Any = getattr(event, atom.path[0])
    else:
        value = event.data
        for name in atom.path[1:]:
            if not isinstance(value, Mapping) or name not in value:
                return False
            value = value[name]
    if value is None:
        return False
    if isinstance(atom, Equals):
        return not isinstance(value, (list, Mapping)) and value in atom.values
    if isinstance(atom, Prefix):
        return isinstance(value, str) and value.startswith(atom.text)
    if isinstance(atom, Range):
        return type(value) in (int, float) and atom.low <= value <= atom.high
    return True


def _conjuncts(node: Node, roots: frozenset[str]) -> list[Conjunct]:
    if isinstance(node, Select):
        return _presence(node, roots)
    if not isinstance(node, Call):
        return []
    if node.function == "_&&_":
        return [one for arg in node.args for one in _conjuncts(arg, roots)]
    if node.function == "_||_":
        covers = [_best(_merged(_conjuncts(arg, roots))) for arg in node.args]
        if any(cover is None for cover in covers):
            return []
        return [_united([atom for cover in covers if cover is not None for atom in cover])]
    atom = _atom(node, roots)
    return [] if atom is None else [(atom,)]


def _says_all(node: Node, roots: frozenset[str]) -> bool:
    """As `says_all`, where nothing was left out for its length."""
    if isinstance(node, Select):
        return node.test_only and bool(_presence(node, roots))
    if not isinstance(node, Call):
        return False
    if node.function == "_&&_":
        return all(_says_all(arg, roots) for arg in node.args)
    if node.function == "_||_":
        return all(
            _says_all(arg, roots) and len(_merged(_conjuncts(arg, roots))) == 1 for arg in node.args
        )
    atom = _atom(node, roots)
    if isinstance(atom, Equals):
        return all(_is_itself(value) for value in atom.values)
    if isinstance(atom, Range):
        return node.function != "_==_" and _is_near(node)
    return atom is not None


def _is_itself(value: Scalar) -> bool:
    """Whether what is equal to it here is so in CEL as well: 1 is not true there."""
    kind = type(value)
    return kind is str or ((kind is int or kind is float) and value not in (0, 1))


def _is_near(comparison: Call) -> bool:
    """Whether the number that is compared with is one that doubles have, and so have those around
    it."""
    numbers = [one.value for one in comparison.args if isinstance(one, Constant)]
    return all(isinstance(one, (int, float)) and abs(one) < _EXACT for one in numbers)


def _presence(node: Select, roots: frozenset[str]) -> list[Conjunct]:
    if node.test_only:
        before = path_of(node.operand)
        path = None if before is None else (*before, node.field)
        below = _below(path, roots)
        return [] if below is None else [(Present(below),)]
    below = _below(path_of(node), roots)  # a truth value of the event's own
    return [] if below is None else [(Equals(below, (True,)),)]


def _atom(call: Call, roots: frozenset[str]) -> Atom | None:
    if call.function == "startsWith" and call.target is not None:
        path, text = _below(path_of(call.target), roots), call.args[0]
        if path is not None and isinstance(text, Constant) and isinstance(text.value, str):
            return Prefix(path, text.value)
        return None
    if len(call.args) != 2 or call.target is not None:
        return None
    left, right = call.args
    if call.function == "@in":
        path = _below(path_of(left), roots)
        if path is None or not isinstance(right, Items) or not right.is_list:
            return None
        return _one_of(path, right.items)
    function = call.function
    if function not in _MIRRORED:
        return None
    if isinstance(left, Constant):
        left, right, function = right, left, _MIRRORED[function]
    path = _below(path_of(left), roots)
    if path is None or not isinstance(right, Constant) or isinstance(right.value, bytes):
        return None
    if isinstance(right.value, float) and math.isnan(right.value):
        return None
    return _comparison(path, function, right.value)


def _one_of(path: Path, items: Sequence[Node]) -> Equals | None:
    values: list[Scalar] = []
    for item in items:
        if not isinstance(item, Constant) or isinstance(item.value, bytes):
            return None
        number = item.value if isinstance(item.value, (int, float)) else 0
        if not abs(number) < _EXACT:
            return None
        values.append(item.value)
    return Equals(path, tuple(values))


def _comparison(path: Path, function: str, value: Scalar) -> Atom | None:
    if isinstance(value, (bool, str)) or value is None:
        return Equals(path, (value,)) if function == "_==_" else None
    if function == "_==_" and abs(value) < _EXACT:
        return Equals(path, (value,))
    try:
        bound = float(value)
    except OverflowError:
        return None
    below, above = math.nextafter(bound, -math.inf), math.nextafter(bound, math.inf)
    if not abs(value) < _EXACT:  # it may be rounded: the bound gives way to both sides
        if function == "_==_":
            return Range(path, below, above)
        return Range(path, -math.inf, above) if function[1] == "<" else Range(path, below, math.inf)
    if function[1] == "<":
        return Range(path, -math.inf, below if function == "_<_" else bound)
    return Range(path, above if function == "_>_" else bound, math.inf)


def _below(path: Path | None, roots: frozenset[str]) -> Path | None:
    """Below the event; None: it is not the event's, or not of what the index looks at."""
    if path is None or path[0] not in roots or len(path) < 2:
        return None
    if path[1] == "data":
        return path[1:] if len(path) > 2 else None
    return path[1:] if len(path) == 2 and path[1] in _TEXTS else None


_TEXTS = ("id", "source", "type", "subject", "key")


def _merged(conjuncts: Sequence[Conjunct]) -> tuple[Conjunct, ...]:
    """Ranges of one path become one."""
    ranges: dict[Path, Range] = {}
    others: list[Conjunct] = []
    for one in conjuncts:
        atom = one[0]
        if len(one) > 1 or not isinstance(atom, Range):
            others.append(one)
            continue
        known = ranges.get(atom.path, atom)
        low, high = max(known.low, atom.low), min(known.high, atom.high)
        ranges[atom.path] = Range(atom.path, low, high)
    return (*others, *((one,) for one in ranges.values()))


def _united(atoms: list[Atom]) -> Conjunct:
    """Equalities of one path become one."""
    equals: dict[Path, list[Scalar]] = {}
    others: list[Atom] = []
    for atom in atoms:
        if isinstance(atom, Equals):
            equals.setdefault(atom.path, []).extend(atom.values)
        else:
            others.append(atom)
    return (*(Equals(path, tuple(values)) for path, values in equals.items()), *others)


def _best(conjuncts: Sequence[Conjunct]) -> Conjunct | None:
    """The one that lets fewest through, by its kind alone."""
    return min(conjuncts, key=_looseness, default=None)


def _looseness(conjunct: Conjunct) -> float:
    return sum(looseness(atom) for atom in conjunct)


def looseness(atom: Atom) -> float:
    """A guess of the share of events it lets through, where nothing else is known."""
    if isinstance(atom, Equals):
        return 0.02 * len(atom.values)
    if isinstance(atom, Prefix):
        return 0.05 if atom.text else 1.0
    if isinstance(atom, Range):
        return 0.2 if math.isfinite(atom.low) and math.isfinite(atom.high) else 0.5
    return 0.8

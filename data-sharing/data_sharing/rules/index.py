"""FeedIndex: finds the subscriptions that an event can match, without trying the others.

Subscriptions of one feed form a decision tree after Aguilera et al., "Matching events in a
content-based subscription system" (PODC 1999), with access predicates as in Fabret et al., SIGMOD
2001: each subscription is filed under the one conjunct that lets fewest events through, and where
many share an equality or a prefix they are told apart by their other conjuncts below it. What an
event costs grows with the fields that subscriptions ask for and with those it concerns, not with
all of them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from control_plane.expressions.tree import Path
from data_sharing.event import Event
from data_sharing.rules.intervals import Interval, Intervals
from data_sharing.rules.predicates import (
    Atom,
    Conjunct,
    Equals,
    Prefix,
    Range,
    Scalar,
    looseness,
)

_ABSENT: Any = object()
_FEW = 4  # subscriptions that are not worth telling apart further
_DEEPEST = 4


class Subscription(NamedTuple):
    """Somebody interested in events of a feed: `number` says who."""

    number: int
    conjuncts: tuple[Conjunct, ...]


class _Tests:
    """What is asked of one field."""

    __slots__ = ("equals", "lengths", "prefixes", "present", "ranges")

    def __init__(self) -> None:
        self.equals: dict[Scalar, _Node] = {}
        self.prefixes: dict[str, _Node] = {}
        self.lengths: tuple[int, ...] = ()
        self.ranges: Intervals[int] | None = None
        self.present: tuple[int, ...] = ()

    def ask(self, value: Any, event: Event, found: list[int]) -> None:
        if self.present:
            found.extend(self.present)
        kind = type(value)
        if kind is str:
            for length in self.lengths:  # in rising order
                if length > len(value):
                    break  # a slice would be the whole value, found before
                below = self.prefixes.get(value[:length])
                if below is not None:
                    below.match(event, found)
        elif kind is int or kind is float:
            if self.ranges is not None:
                self.ranges.holding(value, found)
        elif kind is not bool and value is not None:
            return
        if self.equals:
            node = self.equals.get(value)
            if node is not None:
                node.match(event, found)


class _Node:
    """Watches that a path through the tree has left over. Fields of `data` are kept by their
    first name, so that of an event with few fields only those are asked for."""

    __slots__ = ("always", "attributes", "data")

    def __init__(self) -> None:
        self.always: tuple[int, ...] = ()
        self.attributes: list[tuple[str, _Tests]] = []
        self.data: dict[str, list[tuple[Path, _Tests]]] = {}

    def match(self, event: Event, found: list[int]) -> None:
        if self.always:
            found.extend(self.always)
        for name, tests in self.attributes:
            tests.ask(getattr(event, name), event, found)
        if not self.data:
            return
        data = event.data
        for name in self.data.keys() & data.keys():  # goes through the smaller of them
            _ask_all(data[name], self.data[name], event, found)


def _ask_all(value: Any, asked: list[tuple[Path, _Tests]], event: Event, found: list[int]) -> None:
    for rest, tests in asked:
        at = value
        for name in rest:
            at = at.get(name, _ABSENT) if isinstance(at, Mapping) else _ABSENT
            if at is _ABSENT:
                break
        else:
            tests.ask(at, event, found)


class FeedIndex:
    """Of the subscriptions on one feed of one tenant. Immutable."""

    __slots__ = ("_once", "_root", "subscriptions")

    def __init__(self, subscriptions: Iterable[Subscription]) -> None:
        self.subscriptions = tuple(subscriptions)
        self._root = _build(self.subscriptions, 0)
        # Only a subscription with alternatives is filed in several places and can be found twice.
        self._once = all(
            len(one) == 1 for subscription in self.subscriptions for one in subscription.conjuncts
        )

    def touched(self, event: Event) -> Sequence[int]:
        """Numbers of the subscriptions that the event can concern, each once, in no order."""
        found: list[int] = []
        self._root.match(event, found)
        if len(found) < 2 or self._once:
            return found
        return list(dict.fromkeys(found))


def _build(subscriptions: Sequence[Subscription], depth: int) -> _Node:
    """A node for these subscriptions, whose conjuncts say what is still to be asked."""
    node = _Node()
    always: list[int] = []
    filed: dict[Path, list[tuple[Atom, Subscription]]] = defaultdict(list)
    crowd = _Crowd(subscriptions)
    for subscription in subscriptions:
        access = crowd.access(subscription) if depth < _DEEPEST else None
        if access is None:
            always.append(subscription.number)
            continue
        rest = Subscription(
            subscription.number, tuple(one for one in subscription.conjuncts if one is not access)
        )
        for atom in access:
            filed[atom.path].append((atom, rest))
    node.always = tuple(always)
    by_name: dict[str, list[tuple[Path, _Tests]]] = defaultdict(list)
    for path, entries in filed.items():
        tests = _tests(entries, depth)
        if path[0] == "data":
            by_name[path[1]].append((path[2:], tests))
        else:
            node.attributes.append((path[0], tests))
    node.data = dict(by_name)
    return node


def _tests(entries: Sequence[tuple[Atom, Subscription]], depth: int) -> _Tests:
    tests = _Tests()
    equals: dict[Scalar, dict[int, Subscription]] = defaultdict(dict)
    prefixes: dict[str, dict[int, Subscription]] = defaultdict(dict)
    ranges: list[Interval[int]] = []
    present: list[int] = []
    for atom, subscription in entries:
        if isinstance(atom, Equals):
            for value in atom.values:
                equals[value][subscription.number] = subscription
        elif isinstance(atom, Prefix):
            prefixes[atom.text][subscription.number] = subscription
        elif isinstance(atom, Range):
            ranges.append(Interval(atom.low, atom.high, subscription.number))
        else:
            present.append(subscription.number)
    tests.equals = {value: _below(found.values(), depth) for value, found in equals.items()}
    tests.prefixes = {text: _below(found.values(), depth) for text, found in prefixes.items()}
    tests.lengths = tuple(sorted({len(text) for text in prefixes}))
    tests.ranges = Intervals(ranges) if ranges else None
    tests.present = tuple(present)
    return tests


def _below(subscriptions: Iterable[Subscription], depth: int) -> _Node:
    here = tuple(subscriptions)
    if len(here) > _FEW:
        return _build(here, depth + 1)
    node = _Node()
    node.always = tuple(subscription.number for subscription in here)
    return node


class _Crowd:
    """How selective an atom is among these subscriptions: a value that many ask for is presumably
    common in events as well."""

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        self._of = len(subscriptions)
        self._asking: Counter[tuple[Path, Scalar]] = Counter()
        spans: dict[Path, list[float]] = defaultdict(list)
        for subscription in subscriptions:
            for atom in (atom for one in subscription.conjuncts for atom in one):
                if isinstance(atom, Equals):
                    self._asking.update((atom.path, value) for value in atom.values)
                elif isinstance(atom, Prefix):
                    self._asking[atom.path, "\0" + atom.text] += 1
                elif isinstance(atom, Range):
                    spans[atom.path] += [end for end in atom[1:] if math.isfinite(end)]
        self._spans = {path: (min(ends), max(ends)) for path, ends in spans.items() if ends}

    def access(self, subscription: Subscription) -> Conjunct | None:
        """The conjunct to file the subscription under; None: it has none."""
        return min(subscription.conjuncts, key=self._looseness, default=None)

    def _looseness(self, conjunct: Conjunct) -> float:
        return sum(self._share(atom) for atom in conjunct)

    def _share(self, atom: Atom) -> float:
        if isinstance(atom, Equals):
            asking = sum(self._asking[atom.path, value] for value in atom.values)
            return max(asking / self._of * 0.9, 1e-6 * len(atom.values))
        if isinstance(atom, Prefix):
            return max(self._asking[atom.path, "\0" + atom.text] / self._of * 0.9, 2e-6)
        if isinstance(atom, Range):
            low, high = self._spans.get(atom.path, (0.0, 0.0))
            if high <= low:
                return looseness(atom)
            covered = min(atom.high, high) - max(atom.low, low)
            return 0.05 + 0.9 * max(0.0, covered) / (high - low)
        return looseness(atom)

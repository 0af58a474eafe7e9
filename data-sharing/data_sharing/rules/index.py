"""FeedIndex: finds the subscriptions whose predicates an event satisfies, not trying the others.

Subscriptions of one feed form a decision tree after Aguilera et al., "Matching events in a
content-based subscription system" (PODC 1999), with access predicates as in Fabret et al., SIGMOD
2001: each subscription is filed under the one conjunct that is presumed to let fewest events
through, by its kind and by how many others are filed there; where many come to share a place they
are told apart by their other conjuncts below it. Its remaining conjuncts are looked at where it is
found. So what an event costs grows with the fields that subscriptions ask for and with those it
concerns, not with all of them, and which ones it finds follows from each subscription alone:
those that `predicates.admits`.

Subscriptions come and go one by one. An index never changes: `with_changes` makes the next one,
which copies the nodes on the way to what is changed and shares all others.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from control_plane.expressions.tree import Path
from data_sharing.event import Event
from data_sharing.rules.index_nodes import Entry, Field, Node, Tests
from data_sharing.rules.predicates import (
    Atom,
    Conjunct,
    Equals,
    Prefix,
    Range,
    Scalar,
    looseness,
)
from data_sharing.rules.ranges import Interval, Ranges

T = TypeVar("T")
_FEW = 4  # subscriptions that are not worth telling apart further
_DEEPEST = 4


class Subscription(NamedTuple, Generic[T]):
    """Somebody interested in events of a feed. who: hashable, and equal to nobody else."""

    who: T
    conjuncts: tuple[Conjunct, ...]


class FeedIndex(Generic[T]):
    """Of the subscriptions on one feed of one tenant. Immutable."""

    __slots__ = ("_asked", "_root", "_several", "subscriptions")

    def __init__(self, subscriptions: Iterable[Subscription[T]] = ()) -> None:
        self.subscriptions: Mapping[T, Subscription[T]] = {}
        self._root: Node[T] = Node(None)
        self._several = 0
        self._asked: dict[Path, int] = {}  # how often of which field
        self._change(subscriptions, ())

    def with_changes(
        self, added: Iterable[Subscription[T]] = (), removed: Iterable[T] = ()
    ) -> FeedIndex[T]:
        """Without those removed, which it has, and with those added, which it then has not."""
        made: FeedIndex[T] = FeedIndex.__new__(FeedIndex)
        made.subscriptions, made._root = self.subscriptions, self._root
        made._several, made._asked = self._several, self._asked
        made._change(added, removed)
        return made

    def _change(self, added: Iterable[Subscription[T]], removed: Iterable[T]) -> None:
        edit: _Edit[T] = _Edit()
        root = self._root = edit.own(self._root)
        subscriptions, asked = dict(self.subscriptions), Counter(self._asked)
        for who in removed:
            gone = subscriptions.pop(who)
            edit.remove(root, who, gone.conjuncts)
            self._several -= _has_alternatives(gone)
            asked.subtract(_paths(gone))
        for one in added:
            subscriptions[one.who] = one
            edit.add(root, Entry(one.who, one.conjuncts), 0)
            self._several += _has_alternatives(one)
            asked.update(_paths(one))
        self.subscriptions, self._asked = subscriptions, +asked

    @property
    def paths(self) -> Collection[Path]:
        """The fields that it looks at in events: nothing else changes what it finds."""
        return self._asked.keys()

    def touched(self, event: Event) -> Sequence[T]:
        """The subscriptions whose predicates the event satisfies, each once, in no order."""
        found: list[T] = []
        data = event.data
        self._root.match(event, data if isinstance(data, dict) else dict(data), found)
        if len(found) > 1 and self._several:
            return list(dict.fromkeys(found))
        return found


def _paths(subscription: Subscription[T]) -> Iterator[Path]:
    return (atom.path for conjunct in subscription.conjuncts for atom in conjunct)


def _has_alternatives(subscription: Subscription[T]) -> bool:
    """Whether it may be filed in several places, and found twice."""
    return any(len(one) > 1 for one in subscription.conjuncts)


class _Edit(Generic[T]):
    """One change of an index. It changes the nodes that it has made or copied, no others."""

    def own(self, node: Node[T] | None) -> Node[T]:
        """The node, or a copy of it, to be changed here; where there is none, a new one."""
        if node is None:
            return Node(self)
        return node if node.edit is self else node.copy(self)

    def add(self, node: Node[T], entry: Entry[T], depth: int) -> None:
        """node: to be changed."""
        node.count += 1
        if node.split:
            self._place(node, entry, depth)
            return
        node.entries.append(entry)
        if len(node.entries) > _FEW and depth < _DEEPEST:
            node.split = True
            entries, node.entries = node.entries, []
            for one in entries:
                self._place(node, one, depth)

    def _place(self, node: Node[T], entry: Entry[T], depth: int) -> None:
        """Under the conjunct that is presumed to let fewest through; where it has none, here."""
        if not entry.rest:
            node.entries.append(entry)
            return
        access = min(entry.rest, key=lambda one: _cost(node, one))
        below = Entry(entry.who, _without(entry.rest, access))
        for atom in access:
            tests = self._tests(node, atom.path)
            if isinstance(atom, Range):
                if tests.ranges is None:
                    tests.ranges = Ranges()
                tests.ranges.add(Interval(atom.low, atom.high, below))
                continue
            for key in _keys(atom):
                child = self._child(tests, atom, key)
                self.add(child, below, depth + 1)

    def remove(self, node: Node[T], who: T, rest: tuple[Conjunct, ...]) -> None:
        """node: to be changed. One that is there."""
        node.count -= 1
        for at, entry in enumerate(node.entries):
            if entry.who == who:
                del node.entries[at]
                return
        access = next(one for one in rest if _is_under(node, one, who, _without(rest, one)))
        below = _without(rest, access)
        for atom in access:
            tests = self._tests(node, atom.path)
            if isinstance(atom, Range):
                assert tests.ranges is not None
                (entry, *_) = _at(tests.ranges, atom, who)
                tests.ranges.remove(Interval(atom.low, atom.high, entry))
            else:
                for key in _keys(atom):
                    self.remove(self._child(tests, atom, key), who, below)
                    _drop_where_empty(tests, atom, key)
            if tests.empty:
                self._forget(node, atom.path)

    def _tests(self, node: Node[T], path: Path) -> Tests[T]:
        """What is asked of the field there, to be changed."""
        if path[0] != "data":
            tests = node.attributes.get(path[0])
            if tests is None or tests.edit is not self:
                tests = Tests(self) if tests is None else tests.copy(self)
                node.attributes[path[0]] = tests
            return tests
        field = node.data.get(path[1])
        if field is None or field.edit is not self:
            field = node.data[path[1]] = Field(self) if field is None else field.copy(self)
        tests = field.paths.get(path[2:])
        if tests is None or tests.edit is not self:
            tests = Tests(self) if tests is None else tests.copy(self)
            field.paths[path[2:]] = tests
            if len(path) == 2:
                field.own = tests
        return tests

    def _forget(self, node: Node[T], path: Path) -> None:
        """Nothing is asked of the field any more."""
        if path[0] != "data":
            del node.attributes[path[0]]
            return
        field = node.data[path[1]]
        del field.paths[path[2:]]
        if len(path) == 2:
            field.own = None
        if not field.paths:
            del node.data[path[1]]

    def _child(self, tests: Tests[T], atom: Atom, key: Scalar) -> Node[T]:
        """Where those are that ask for this, to be changed."""
        if isinstance(atom, Equals):
            child = tests.equals[key] = self.own(tests.equals.get(key))
        elif isinstance(atom, Prefix):
            child = tests.prefixes[atom.text] = self.own(tests.prefixes.get(atom.text))
            if len(atom.text) not in tests.lengths:
                tests.lengths = tuple(sorted((*tests.lengths, len(atom.text))))
        else:
            child = tests.present = self.own(tests.present)
        return child


def _keys(atom: Atom) -> Iterator[Scalar]:
    """One for each place that the atom has in a node; each once, though 1, 1.0 and true are one."""
    return iter(dict.fromkeys(atom.values) if isinstance(atom, Equals) else (None,))


def _without(rest: tuple[Conjunct, ...], access: Conjunct) -> tuple[Conjunct, ...]:
    return tuple(one for one in rest if one is not access)


def _drop_where_empty(tests: Tests[T], atom: Atom, key: Scalar) -> None:
    if isinstance(atom, Equals):
        if not tests.equals[key].count:
            del tests.equals[key]
    elif isinstance(atom, Prefix):
        if not tests.prefixes[atom.text].count:
            del tests.prefixes[atom.text]
            tests.lengths = tuple(sorted({len(text) for text in tests.prefixes}))
    elif tests.present is not None and not tests.present.count:
        tests.present = None


# Reading a node


def _seen(node: Node[T], path: Path) -> Tests[T] | None:
    if path[0] != "data":
        return node.attributes.get(path[0])
    field = node.data.get(path[1])
    return None if field is None else field.paths.get(path[2:])


def _below(tests: Tests[T], atom: Atom, key: Scalar) -> Node[T] | None:
    if isinstance(atom, Equals):
        return tests.equals.get(key)
    return tests.prefixes.get(atom.text) if isinstance(atom, Prefix) else tests.present


def _at(ranges: Ranges[Entry[T]], atom: Range, who: T) -> list[Entry[T]]:
    return [one for one in ranges.belonging_to(atom.low, atom.high) if one.who == who]


def _is_under(node: Node[T], access: Conjunct, who: T, rest: tuple[Conjunct, ...]) -> bool:
    """Whether somebody is filed under this conjunct: at each of its places, with this rest. Another
    conjunct may share some of the places. One that no event satisfies, `in []`, has no place and
    is preferred to all others."""
    for atom in access:
        tests = _seen(node, atom.path)
        if isinstance(atom, Range):
            ranges = None if tests is None else tests.ranges
            if ranges is None or not any(
                _is_same(one.rest, rest) for one in _at(ranges, atom, who)
            ):
                return False
            continue
        for key in _keys(atom):
            below = None if tests is None else _below(tests, atom, key)
            if below is None or not _has(below, who, rest):
                return False
    return True


def _has(node: Node[T], who: T, rest: tuple[Conjunct, ...]) -> bool:
    if any(entry.who == who and _is_same(entry.rest, rest) for entry in node.entries):
        return True
    return any(_is_under(node, one, who, _without(rest, one)) for one in rest)


def _is_same(one: tuple[Conjunct, ...], other: tuple[Conjunct, ...]) -> bool:
    """Whether these are the very same conjuncts."""
    return len(one) == len(other) and all(map(operator.is_, one, other))


def _cost(node: Node[T], conjunct: Conjunct) -> float:
    """A guess of how many subscriptions an event finds for nothing where one more is filed there:
    a value that many ask for is presumably common in events as well."""
    return sum(_cost_of(_seen(node, atom.path), atom) for atom in conjunct)


def _cost_of(tests: Tests[T] | None, atom: Atom) -> float:
    if tests is None:
        return looseness(atom)
    if isinstance(atom, Range):
        crowd = 0.0 if tests.ranges is None else tests.ranges.crowd(atom.low, atom.high)
        return looseness(atom) * (1 + crowd)
    below = [_below(tests, atom, key) for key in _keys(atom)]
    crowd = sum(one.count for one in below if one is not None) / max(1, len(below))
    return looseness(atom) * (1 + crowd)

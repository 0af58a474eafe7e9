"""Cost: what an expression can cost to evaluate at most, worked out before it ever is. Pure.

CEL's specification has such an estimate (https://github.com/google/cel-go, checker/cost.go); the
package used here has none, so it is made from the syntax tree. A unit is about 20 ns: a node that
is evaluated once. What a loop costs depends on how long its list is, which only an event says; so
it is worked out how many items fit into the budget, and a longer list is a fault when it comes.

Measured with cel-expr-python 0.1.3: a node 18 ns; a byte of text that is made anew, 25 ns; and
`map` and `filter` copy all they have collected at every item, 50 to 300 ns for each of them. CEL
itself ends an evaluation after 10,000 iterations, all loops together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from control_plane.expressions.tree import (
    Call,
    Comprehension,
    Constant,
    Ident,
    Items,
    Node,
    Path,
    Select,
    children,
    path_of,
)

BUDGET = 500_000  # units: about 10 ms
MOST_TEXT = 1 << 20  # characters that an expression may make of a text
MOST_ITERATIONS = 10_000  # CEL's own bound
UNKNOWN_TEXT = 65_536  # characters of a text of an event, which is no larger
LIMITS = (10_000, 3_000, 1_000, 300, 100, 30, 10)  # of items in a loop, tried in turn
_COPIED_ITEM = 5
_SEARCHED = 16  # characters for a unit
_COMPARING = frozenset(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "startsWith", "endsWith"))
_SEARCHING = frozenset(("contains", "indexOf", "lastIndexOf", "matches", "size"))
_MAKING = frozenset(
    ("replace", "split", "join", "lowerAscii", "upperAscii", "trim", "reverse", "substring",
     "charAt", "format", "strings.quote", "string", "bytes")
)  # fmt: skip


class Loop(NamedTuple):
    """A list that is looped over; most: the items it may have."""

    path: Path
    most: int


class CostEstimate(NamedTuple):
    """units: of the whole expression at worst. costliest: the part that costs most, by the place
    in the text at which it stands. text: characters of the longest text that it makes."""

    units: int
    costliest: int
    text: int
    text_at: int
    loops: tuple[Loop, ...] = ()


def estimate(tree: Node) -> CostEstimate:
    """With the longest lists that fit into the budget; where none do, with the shortest."""
    for most in LIMITS:
        found = _Estimator(most).estimate(tree)
        if found.units <= BUDGET:
            break
    return found


class _Around(NamedTuple):
    """What is around a node. times: how often it is evaluated. bound: names of loops, and how many
    items each of their lists has."""

    times: int
    bound: Mapping[str, int]


class _Estimator:
    """Of one tree, where lists of unknown length have `most` items."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._units = 0
        self._dearest, self._dearest_at = 0, 0
        self._text, self._text_at = 0, 0
        self._loops: dict[Path, int] = {}

    def estimate(self, tree: Node) -> CostEstimate:
        self._add(tree, _Around(1, {}))
        loops = tuple(Loop(path, most) for path, most in self._loops.items())
        return CostEstimate(self._units, self._dearest_at, self._text, self._text_at, loops)

    def _add(self, node: Node, around: _Around) -> None:
        own = around.times
        if isinstance(node, Call):
            own += self._of_call(node, around)
        if isinstance(node, Comprehension):
            own += self._of_loop(node, around)
        else:
            for child in children(node):
                self._add(child, around)
        self._units += own
        if own > self._dearest:
            self._dearest, self._dearest_at = own, node.at

    def _of_loop(self, loop: Comprehension, around: _Around) -> int:
        """Of the loop itself, and what is inside besides."""
        items = self._items(loop.over, around)
        path = path_of(loop.over)
        if path is not None and path[0] not in around.bound:
            self._loops[path] = min(items, self._loops.get(path, items))
        self._add(loop.over, around)
        times = min(around.times * items, MOST_ITERATIONS)
        bound = {**around.bound, **dict.fromkeys(loop.names, max(items, 1))}
        for part in loop.inside:
            self._add(part, _Around(times, bound))
        return times * items * _COPIED_ITEM // 2 if _collects(loop) else 0

    def _items(self, node: Node, around: _Around) -> int:
        """Of a list, or a map, that is looped over."""
        if isinstance(node, Items):
            return len(node.items)
        path = path_of(node)
        if path is not None and path[0] not in around.bound:
            return self._most
        if isinstance(node, Comprehension):
            return self._items(node.over, around)
        if isinstance(node, Call) and node.function in ("_+_", "_?_:_"):
            sides = [self._items(one, around) for one in node.args[-2:]]
            return sum(sides) if node.function == "_+_" else max(sides)
        return MOST_ITERATIONS  # of the item of a list, or made of a text

    def _of_call(self, call: Call, around: _Around) -> int:
        operands = call.args if call.target is None else (call.target, *call.args)
        if call.function == "@in":
            return around.times * self._looked_through(call.args[1])
        if call.function in _COMPARING:  # as far as the shorter one goes
            return min(self._read(one, around) for one in operands) // _SEARCHED
        if call.function in _SEARCHING:
            return sum(self._read(one, around) for one in operands) // _SEARCHED
        if call.function not in _MAKING and call.function != "_+_":
            return 0
        made = self._text_of(call)
        if made > self._text:
            self._text, self._text_at = made, call.at
        if call.function == "_+_":
            return 0 if any(isinstance(one, Items) for one in call.args) else made // _SEARCHED
        return self._shared(call, around) * made + sum(self._read(one, around) for one in operands)

    def _looked_through(self, node: Node) -> int:
        """The values of a list that something is looked for in."""
        return len(node.items) if isinstance(node, Items) else UNKNOWN_TEXT // 2

    def _read(self, node: Node, around: _Around) -> int:
        """Characters of an operand, as often as they are read."""
        return self._shared(node, around) * self._text_of(node)

    def _shared(self, node: Node, around: _Around) -> int:
        """How often a node is evaluated as if for all items of a list at once: these share one
        event, so what is done to each of them costs no more than what is done to all of it."""
        items = [around.bound[name] for name in _names(node) if name in around.bound]
        return max(1, around.times // max(items, default=1))

    def _text_of(self, node: Node) -> int:
        """Characters that a value has at most, were it a text or a list of texts."""
        if isinstance(node, Constant):
            return len(node.value) if isinstance(node.value, (str, bytes)) else 0
        if isinstance(node, (Ident, Select)):
            return 0 if isinstance(node, Select) and node.test_only else UNKNOWN_TEXT
        if isinstance(node, Items):
            return sum(map(self._text_of, node.items))
        if isinstance(node, Comprehension):
            each = max(map(self._text_of, node.inside), default=0)
            of_items = not _names_within(node.inside) - node.names
            return each if of_items else each * self._items(node.over, _Around(1, {}))
        return self._text_of_call(node)

    def _text_of_call(self, call: Call) -> int:
        texts = [self._text_of(one) for one in call.args]
        target = self._text_of(call.target) if call.target is not None else 0
        match call.function:
            case "_+_" | "format":
                return target + sum(texts)
            case "_?_:_":
                return max(texts[1:])
            case "replace":
                found = call.args[0]
                least = len(found.value) if isinstance(found, Constant) and isinstance(
                    found.value, str) else 1  # fmt: skip
                replaced = (target + 1) // max(least, 1) if least else target + 1
                return target + replaced * texts[1]
            case "join":
                return target + UNKNOWN_TEXT * sum(texts)
            case "strings.quote":
                return 2 * sum(texts)
            case "_[_]" | "string" | "bytes" | "dyn":
                return max(target, UNKNOWN_TEXT if call.function == "_[_]" else sum(texts))
            case "size" | "indexOf" | "lastIndexOf" | "matches" | "contains":
                return 0
            case _ if call.function in _MAKING:
                return target
            case _:
                return 32  # a number, an instant, a truth value, written out


def _collects(loop: Comprehension) -> bool:
    """Whether it makes a list, as `map` and `filter` do."""
    return isinstance(loop.inside[0], Items)


def _names(node: Node) -> set[str]:
    """The variables that a node reads."""
    return set(_idents(node))


def _names_within(nodes: tuple[Node, ...]) -> set[str]:
    return set().union(*map(_names, nodes))


def _idents(node: Node) -> Iterator[str]:
    if isinstance(node, Ident):
        yield node.name
    for child in children(node):
        yield from _idents(child)

"""Direct: the plainest reads and conditions without CEL, in a fifth of its time.

A path; a path compared with a constant; has(path); and, or and not of such. An answer is given
only where the types at hand leave no doubt what CEL would say, which a property test holds it to;
everything else (a missing field, a whole number that meets a fraction's constant beyond 2**53, a
list) is None: ask CEL.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from control_plane.expressions.tree import Call, Constant, Items, Node, Path, Select, path_of

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)
Direct: TypeAlias = Callable[[S], bool | None]
"""Of what holds the values (a mapping by variable, an event), to what the condition comes to there;
None: ask CEL."""


class Reads(Protocol[S_contra]):
    """How what stands at a path is read. Each gives None for a path that is not read so."""

    def value(self, path: Path) -> Callable[[S_contra], Any] | None:
        """A text, a truth value or a number; None: ask CEL. A number may be a whole one where CEL
        has a fraction, and the other way round, where the two are equal."""
        ...

    def presence(self, path: Path, field: str) -> Callable[[S_contra], bool | None] | None:
        """Whether the map at the path has the field; None: ask CEL."""
        ...


_EXACT = 2**53  # whole numbers below it are the same as fractions
_INT_END = 2**63
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "_<_": operator.lt, "_<=_": operator.le, "_>_": operator.gt, "_>=_": operator.ge,
}  # fmt: skip
_EQUALITIES: Mapping[str, Callable[[Any, Any], bool]] = {"_==_": operator.eq, "_!=_": operator.ne}
_MIRRORED = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}


def read(path: Path, values: Mapping[str, Any]) -> Any:
    """What stands at a path, where CEL would give the very same value; None: ask CEL."""
    found = _at(path, values)
    kind = type(found)
    if kind is str or kind is float or kind is bool:
        return found
    return found if kind is int and -_INT_END <= found < _INT_END else None


def _at(path: Path, values: Mapping[str, Any]) -> Any:
    found: Any = values
    for name in path:
        if type(found) is not dict:
            return None
        found = found.get(name)
    return found


class _OfValues:
    """Values of variables by name."""

    def value(self, path: Path) -> Callable[[Mapping[str, Any]], Any]:
        return lambda values: read(path, values)

    def presence(self, path: Path, field: str) -> Callable[[Mapping[str, Any]], bool | None]:
        def present(values: Mapping[str, Any]) -> bool | None:
            found = _at(path, values)
            return field in found if type(found) is dict else None

        return present


_OF_VALUES = _OfValues()


def direct_of(node: Node) -> Direct[Mapping[str, Any]] | None:
    """Of values by variable. None: it is nothing so plain."""
    return direct_over(node, _OF_VALUES)


def direct_over(node: Node, reads: Reads[S]) -> Direct[S] | None:
    """The same of whatever is read so."""
    if isinstance(node, Select):
        return _presence(node, reads) if node.test_only else _truth(node, reads)
    if not isinstance(node, Call):
        return None
    if node.function in ("_&&_", "_||_"):
        parts = [direct_over(arg, reads) for arg in node.args]
        if any(part is None for part in parts):
            return None
        return _joined([part for part in parts if part], decides=node.function == "_||_")
    if node.function == "!_":
        inner = direct_over(node.args[0], reads)
        return None if inner is None else _negated(inner)
    if node.function == "startsWith" and node.target is not None:
        return _compared(node.target, node.args[0], str.startswith, (str,), reads)
    if len(node.args) != 2 or node.target is not None:
        return None
    left, right = node.args
    if node.function == "@in":
        return _among(left, right, reads)
    function = node.function
    if isinstance(left, Constant):
        left, right, function = right, left, _MIRRORED.get(function, function)
    if function in _EQUALITIES:
        return _compared(left, right, _EQUALITIES[function], (str, bool, int, float), reads)
    if function in _ORDERS:
        return _compared(left, right, _ORDERS[function], (int, float), reads)
    return None


def _compared(
    left: Node,
    right: Node,
    says: Callable[[Any, Any], bool],
    kinds: Sequence[type],
    reads: Reads[S],
) -> Direct[S] | None:
    """A path with a constant of one of these types."""
    at = _reader(left, reads)
    if at is None or not isinstance(right, Constant) or type(right.value) not in kinds:
        return None
    constant: Any = right.value
    kind = type(constant)

    def same(values: S) -> bool | None:
        found = at(values)
        return says(found, constant) if type(found) is kind else None

    def number(values: S) -> bool | None:
        found = at(values)
        exact = type(found) in (int, float) and -_EXACT < found < _EXACT
        return says(found, constant) if exact else None

    if kind not in (int, float):
        return same
    return number if -_EXACT < constant < _EXACT else None


def _among(left: Node, right: Node, reads: Reads[S]) -> Direct[S] | None:
    """A path in a list of texts."""
    at = _reader(left, reads)
    if at is None or not isinstance(right, Items) or not right.is_list:
        return None
    if not all(isinstance(one, Constant) and type(one.value) is str for one in right.items):
        return None
    texts = frozenset(one.value for one in right.items if isinstance(one, Constant))

    def among(values: S) -> bool | None:
        found = at(values)
        return found in texts if type(found) is str else None

    return among


def _reader(node: Node, reads: Reads[S]) -> Callable[[S], Any] | None:
    path = path_of(node)
    return None if path is None else reads.value(path)


def _presence(node: Select, reads: Reads[S]) -> Direct[S] | None:
    before = path_of(node.operand)
    return None if before is None else reads.presence(before, node.field)


def _truth(node: Select, reads: Reads[S]) -> Direct[S] | None:
    at = _reader(node, reads)
    if at is None:
        return None

    def true(values: S) -> bool | None:
        found = at(values)
        return found if type(found) is bool else None

    return true


def _negated(inner: Direct[S]) -> Direct[S]:
    def negated(values: S) -> bool | None:
        said = inner(values)
        return None if said is None else not said

    return negated


def _joined(parts: Sequence[Direct[S]], *, decides: bool) -> Direct[S]:
    """Or, where `decides` is True; and, where it is False. As in CEL, one part that decides it
    outweighs others that cannot be evaluated."""

    def joined(values: S) -> bool | None:
        doubt = False
        for part in parts:
            said = part(values)
            if said is decides:
                return decides
            doubt = doubt or said is None
        return None if doubt else not decides

    return joined

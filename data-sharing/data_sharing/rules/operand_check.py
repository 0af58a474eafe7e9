"""Operand check: whether an expression can fail on a value that its feeds' schemas allow.

CEL's checker knows events as maps of anything, so a text plus a number, or a double minus an int,
fails only when an event comes. Here the types of fields follow from the schema, as the event's
view has them, and every operator is asked which of them it takes. What fails on every allowed
value is refused; what fails on some is a warning, unless the expression (or the rule's `when`)
asks first: `size(x) > 3` for an index, a comparison for a divisor, `type(x) == double` for a
type. Of fields whose type no schema says, only the certain is told. Overflow of 64 bits is not
looked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product

from control_plane.errors import InvalidInput
from control_plane.expressions.environment import place
from control_plane.expressions.expression import Expression
from control_plane.expressions.tree import (
    Call,
    Comprehension,
    Constant,
    Ident,
    Items,
    Node,
    Select,
    children,
    path_of,
)
from control_plane.printable import quoted
from data_sharing.rules.document_faults import FaultCollector
from data_sharing.rules.operands import (
    ANY_KIND,
    ARGUMENTS,
    COMPARING,
    GIVES,
    NUMBERS,
    OVERLOADS,
    PARSING,
    UNKNOWN,
    Kinds,
    Operand,
    TypesOf,
    of_constant,
    of_kind,
    of_values,
)

_PLACE = re.compile(r", at=\d+")


class OperandCheck:
    """Of the expressions of one rule or forecast, one after another: what an earlier one asks
    first, guards the later ones as well."""

    def __init__(self, types_of: TypesOf, faults: FaultCollector) -> None:
        self._types_of = types_of
        self._faults = faults
        self._guards: set[tuple[str, str]] = set()  # what is asked of what

    def check(self, expression: Expression, field: str) -> Operand:
        """Says what is wrong, at `field`. Returns what it gives."""
        self._note_guards(expression.tree)
        walk = _Walk(expression.text, field, self._types_of, self._guards, self._faults)
        return walk.operand(expression.tree, {})

    def _note_guards(self, node: Node) -> None:
        parts = children(node)
        if isinstance(node, Call) and (word := _asks(node)):
            self._guards.update((word, _text(part)) for part in parts)
        for part in parts:
            self._note_guards(part)


class _Walk:
    """Through one expression."""

    def __init__(
        self,
        text: str,
        field: str,
        types_of: TypesOf,
        guards: set[tuple[str, str]],
        faults: FaultCollector,
    ) -> None:
        self._text, self._field = text, field
        self._types_of, self._guards, self._faults = types_of, guards, faults

    def operand(self, node: Node, bound: Mapping[str, Operand]) -> Operand:
        """bound: what comprehensions around it bind."""
        if isinstance(node, Constant):
            return of_constant(node)
        path = path_of(node)
        if path is not None and path[0] not in bound:
            return self._types_of(path) or UNKNOWN
        if isinstance(node, Ident):
            return bound.get(node.name, UNKNOWN)
        if isinstance(node, Select):
            inner = self.operand(node.operand, bound)
            if node.test_only:
                return of_kind("bool")
            return UNKNOWN if inner.types is None else of_values(inner.types.property(node.field))
        if isinstance(node, Items):
            for one in node.items:
                self.operand(one, bound)
            return of_kind("list" if node.is_list else "map")
        if isinstance(node, Comprehension):
            return self._comprehension(node, bound)
        return self._call(node, bound)

    def _comprehension(self, node: Comprehension, bound: Mapping[str, Operand]) -> Operand:
        over = self.operand(node.over, bound)
        item = UNKNOWN
        if over.kinds == {"list"} and over.types is not None:
            item = of_values(over.types.item())
        elif over.kinds == {"map"} and over.known:
            item = of_kind("string")
        inside = {
            **bound,
            **{name: UNKNOWN if name.startswith(("@", "__")) else item for name in node.names},
        }
        for part in node.inside:
            self.operand(part, inside)
        return UNKNOWN

    def _call(self, node: Call, bound: Mapping[str, Operand]) -> Operand:
        parts = children(node)
        found = [self.operand(part, bound) for part in parts]
        if node.function == "_[_]" and len(found) == 2:
            return self._index(node, found)
        overloads = OVERLOADS.get(node.function)
        if overloads is not None and len(found) == 2:
            return self._operator(node, overloads, found[0], found[1])
        if node.function in ("_==_", "_!=_"):
            self._compared_with_null(node)
        for part, operand, takes in zip(
            parts, found, ARGUMENTS.get(node.function, ()), strict=False
        ):
            self._argument(node, part, operand, takes)
        if node.function in PARSING and len(found) == 1:
            self._parsed(node, parts[0], found[0])
        if node.function == "_?_:_" and len(found) == 3:
            kinds = found[1].kinds | found[2].kinds
            return Operand(kinds, found[1].known and found[2].known)
        if node.function == "-_" and len(found) == 1:
            return Operand(found[0].kinds & NUMBERS or NUMBERS, found[0].known)
        given = GIVES.get(node.function)
        return UNKNOWN if given is None else of_kind(given)

    def _operator(
        self,
        node: Call,
        overloads: Mapping[tuple[str, str], str],
        left: Operand,
        right: Operand,
    ) -> Operand:
        pairs = list(product(left.kinds, right.kinds))
        taken = [pair for pair in pairs if pair in overloads]
        sign = node.function.strip("_")
        if not taken:
            self._refuse(node, f"{_is(node.args[0], left)}, {_is(node.args[1], right)}: "
                               f"{sign} cannot take them{_fix(node, left, right)}")  # fmt: skip
            return UNKNOWN
        if len(taken) < len(pairs):
            for arg, one, other in zip(node.args, (left, right), (right, left), strict=True):
                fails = {
                    kind
                    for kind in one.kinds
                    if not any(
                        (kind, o) in overloads or (o, kind) in overloads for o in other.kinds
                    )
                }
                if one.known and fails and len(one.kinds) > 1 and not self._guarded("type", arg):
                    self._warn(
                        node,
                        f"{_is(arg, one)}: {sign} fails where it is {_or(fails)}; ask "
                        f"`type({_name(arg)}) == …` first",
                    )
        if node.function in ("_/_", "_%_") and {"int"} == {overloads[pair] for pair in taken}:
            self._divided(node, right)
        kinds = frozenset(overloads[pair] for pair in taken)
        return Operand(kinds, left.known or right.known)

    def _divided(self, node: Call, by: Operand) -> None:
        divisor = node.args[1]
        if isinstance(divisor, Constant):
            if divisor.value == 0:
                self._refuse(node, "divides by zero")
            return
        never_zero = by.types is not None and by.types.never_zero
        if by.known and not never_zero and not self._guarded("value", divisor):
            name = _name(divisor)
            self._warn(node, f"{name} may be 0, by which an int cannot be divided; ask whether it "
                             f"is first ({name} != 0), or divide doubles")  # fmt: skip

    def _argument(self, node: Call, part: Node, operand: Operand, takes: Kinds) -> None:
        name = node.function.strip("_")
        if not operand.kinds & takes:
            hint = ""
            if "int" in takes and "double" in operand.kinds:
                hint = f"; write int({_name(part)})"
            self._refuse(node, f"{_is(part, operand)}: {name} takes {_or(takes)}{hint}")
        elif operand.known and not operand.kinds <= takes and not self._guarded("type", part):
            fails = operand.kinds - takes
            self._warn(node, f"{_is(part, operand)}: {name} fails where it is {_or(fails)}; ask "
                             f"`type({_name(part)}) == …` first")  # fmt: skip

    def _parsed(self, node: Call, part: Node, operand: Operand) -> None:
        """A text of an event becomes a number or a time."""
        types, form = operand.types, PARSING[node.function]
        if types is None or not operand.known or "string" not in operand.kinds:
            return
        if self._guarded("value", part) or (form and types.has_format(form)):
            return
        name, what = _name(part), node.function
        self._warn(node, f"{name} may be a text that is no {what}, and {what}({name}) fails on it; "
                         f"ask `{name}.matches('…')` first")  # fmt: skip

    def _index(self, node: Call, found: list[Operand]) -> Operand:
        of, at = found[0], node.args[1]
        types = of.types
        if isinstance(at, Constant) and type(at.value) is int and types is not None:
            short = of.kinds == {"list"} and of.known and at.value >= types.least_items
            if short and not self._guarded("size", node.args[0]):
                name = _name(node.args[0])
                self._warn(node, f"{name} may have fewer than {at.value + 1} items; ask "
                                 f"`size({name}) > {at.value}` first, or give it minItems in "
                                 "the feed's schema")  # fmt: skip
            return of_values(types.item(at.value))
        if types is not None and of.kinds == {"list"}:
            return of_values(types.item())
        return UNKNOWN

    def _compared_with_null(self, node: Call) -> None:
        if node.function != "_==_":
            return
        for one, other in (node.args, reversed(node.args)):
            path = path_of(one)
            if isinstance(other, Constant) and other.value is None and path is not None:
                found = self._types_of(path)
                if found is not None and found.types is not None:
                    name = ".".join(path)
                    self._refuse(node, f"{name} is never null: a null is as if it were not "
                                       f"there; write !has({name})")  # fmt: skip

    def _guarded(self, word: str, node: Node) -> bool:
        return (word, _text(node)) in self._guards

    def _refuse(self, node: Node, complaint: str) -> None:
        self._faults.found.append(InvalidInput(self._field, self._said(node, complaint)))

    def _warn(self, node: Node, complaint: str) -> None:
        self._faults.warn(self._said(node, complaint))

    def _said(self, node: Node, complaint: str) -> str:
        return f"{self._field}: {place(self._text, node.at)}: {complaint}"


def _text(node: Node) -> str:
    """Equal for parts of expressions that are equal, wherever they stand."""
    path = path_of(node)
    return ".".join(path) if path else _PLACE.sub("", repr(node))


def _asks(call: Call) -> str:
    """What it finds out about the fields it is given: size, type, value; empty: nothing, as a
    comparison of two fields."""
    if call.function in ("size", "type"):
        return call.function
    constant = any(isinstance(one, Constant) for one in children(call))
    return "value" if constant and call.function in (*COMPARING, "matches") else ""


def _fix(node: Call, left: Operand, right: Operand) -> str:
    """How doubles and ints come together."""
    for arg, one, other in zip(node.args, (left, right), (right, left), strict=True):
        if node.function == "_%_" and "double" in one.kinds and "int" not in one.kinds:
            return f"; write int({_name(arg)}), or say `integer` in the feed's schema"
        if one.kinds == {"int"} and "double" in other.kinds:
            if isinstance(arg, Constant):
                return f"; write {_constant(arg.value)}.0"
            return f"; write double({_name(arg)})"
    return ""


def _is(node: Node, operand: Operand) -> str:
    if isinstance(node, Constant):
        return f"{_constant(node.value)} is {_or(operand.kinds)}"
    name = _name(node)
    if operand.kinds == ANY_KIND:
        return f"{name} is anything"
    if operand.types is None or "double" not in operand.kinds:
        return f"{name} is {_or(operand.kinds)}"
    if not operand.known:
        return f"{name} is double where it is a number, for no schema calls it integer"
    return f"{name} is {_or(operand.kinds)}, for its schema does not call it integer"


def _constant(value: object) -> str:
    """As CEL writes it.

    >>> _constant(None), _constant(True), _constant("a"), _constant(b"a")
    ('null', 'true', '"a"', 'b"a"')
    """
    if isinstance(value, bytes):
        return f"b{quoted(value)}"
    return quoted(value)


def _name(node: Node) -> str:
    path = path_of(node)
    return ".".join(path) if path else "this"


def _or(kinds: Kinds | set[str]) -> str:
    return " or ".join(sorted(kinds))

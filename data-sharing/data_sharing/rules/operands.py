"""Operands: the CEL types that a value in an expression may have, and which of them each operator
and function takes.

From the CEL specification, "List of standard definitions"
(https://github.com/google/cel-spec/blob/master/doc/langdef.md), and the package's extension of
texts. Comparisons take ints and doubles together, arithmetic does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import NamedTuple

from control_plane.expressions.tree import Constant, Path
from data_sharing.rules.value_types import FRACTION, WHOLE, ValueTypes

Kinds = frozenset[str]
NUMBERS = frozenset(("int", "double", "uint"))
_TIMES = frozenset(("timestamp", "duration"))
ANY_KIND = NUMBERS | _TIMES | {"bool", "string", "bytes", "list", "map", "null", "type"}
_BOOL = frozenset(("bool",))
_ANY_NUMBER = frozenset((WHOLE, FRACTION))
_SENT: Mapping[str, frozenset[str]] = {
    "int": frozenset((WHOLE,)), "uint": frozenset((WHOLE,)), "double": _ANY_NUMBER,
    "duration": _ANY_NUMBER, "timestamp": frozenset(("string",)), "string": frozenset(("string",)),
    "bool": frozenset(("boolean",)), "list": frozenset(("array",)), "map": frozenset(("object",)),
    "null": frozenset(("null",)),
}  # fmt: skip
_OF_JSON = {"string": "string", "boolean": "bool", "array": "list", "object": "map"}


class Operand(NamedTuple):
    """kinds: CEL types that it may have. known: from a schema, a constant or an operator that
    gives no other. types: of the place in an event, where it is one."""

    kinds: Kinds
    known: bool
    types: ValueTypes | None = None


UNKNOWN = Operand(ANY_KIND, known=False)
TypesOf = Callable[[Path], Operand | None]
"""What a path from a variable may be; None: nothing is known of it."""


def of_kind(*kinds: str) -> Operand:
    return Operand(frozenset(kinds), known=True)


def of_values(types: ValueTypes) -> Operand:
    """What the event's view makes of values of these types. A null is not there."""
    kinds = {_OF_JSON[name] for name in types.types if name in _OF_JSON}
    if FRACTION in types.types:
        kinds.add("double")
    elif WHOLE in types.types:
        kinds.add("int")
    if not kinds:
        return Operand(ANY_KIND, known=False, types=types)
    return Operand(frozenset(kinds), types.known, types)


def json_types_of(operand: Operand) -> frozenset[str]:
    """What becomes of it where it is sent; empty: nothing is known of that."""
    found = frozenset().union(*(_SENT.get(kind, frozenset()) for kind in operand.kinds))
    return found if operand.kinds <= set(_SENT) else frozenset()


def _overloads() -> Mapping[str, Mapping[tuple[str, str], str]]:
    same = {(kind, kind): kind for kind in NUMBERS}
    ordered = dict.fromkeys(product(NUMBERS, NUMBERS), "bool")
    ordered |= {(kind, kind): "bool" for kind in ("bool", "string", "bytes", *_TIMES)}
    plus = {**same, **{(kind, kind): kind for kind in ("string", "bytes", "list", "duration")}}
    plus |= {("timestamp", "duration"): "timestamp", ("duration", "timestamp"): "timestamp"}
    minus = {**same, ("timestamp", "timestamp"): "duration", ("duration", "duration"): "duration"}
    minus |= {("timestamp", "duration"): "timestamp"}
    found = {"_+_": plus, "_-_": minus, "_*_": same, "_/_": same}
    found["_%_"] = {("int", "int"): "int", ("uint", "uint"): "uint"}
    found |= dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_"), ordered)
    return found


# Operators of two operands, to what they give; functions, to what each argument must be, the
# target of a method first; and what calls give, whatever they get.
OVERLOADS = _overloads()
_TEXT = frozenset(("string",))
_INT = frozenset(("int",))
ARGUMENTS: Mapping[str, tuple[Kinds, ...]] = {
    "!_": (_BOOL,), "_&&_": (_BOOL, _BOOL), "_||_": (_BOOL, _BOOL), "_?_:_": (_BOOL,),
    "-_": (frozenset(("int", "double")),),
    "startsWith": (_TEXT, _TEXT), "endsWith": (_TEXT, _TEXT), "contains": (_TEXT, _TEXT),
    "matches": (_TEXT, _TEXT), "lowerAscii": (_TEXT,), "upperAscii": (_TEXT,), "trim": (_TEXT,),
    "split": (_TEXT, _TEXT, _INT), "replace": (_TEXT, _TEXT, _TEXT, _INT),
    "indexOf": (_TEXT, _TEXT, _INT), "lastIndexOf": (_TEXT, _TEXT, _INT),
    "charAt": (_TEXT, _INT), "substring": (_TEXT, _INT, _INT),
    "size": (frozenset(("string", "bytes", "list", "map")),),
    "timestamp": (frozenset(("string", "int", "timestamp")),),
    "duration": (frozenset(("string", "int", "duration")),),
    "int": (frozenset((*NUMBERS, "string", "timestamp", "duration")),),
    "double": (frozenset((*NUMBERS, "string")),),
}  # fmt: skip
GIVES = {
    "int": "int", "double": "double", "uint": "uint", "string": "string", "size": "int",
    "timestamp": "timestamp", "duration": "duration", "@in": "bool", "_==_": "bool",
    "_!=_": "bool", "!_": "bool", "_&&_": "bool", "_||_": "bool", "startsWith": "bool",
    "endsWith": "bool", "contains": "bool", "matches": "bool", "lowerAscii": "string",
    "upperAscii": "string", "trim": "string", "replace": "string", "substring": "string",
    "charAt": "string", "indexOf": "int", "lastIndexOf": "int", "split": "list", "type": "type",
}  # fmt: skip
PARSING = {"int": "", "double": "", "duration": "", "timestamp": "date-time"}
"""Functions that read a text and fail on one that they cannot read, to JSON Schema's format of what
they can, where it has one."""
COMPARING = frozenset(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"))


def of_constant(node: Constant) -> Operand:
    value = node.value
    if value is None:
        return of_kind("null")
    if isinstance(value, bool):
        return of_kind("bool")
    if isinstance(value, bytes):
        return of_kind("bytes")
    if isinstance(value, int):
        return of_kind("int")  # a constant with u is one as well, which no field meets
    return of_kind("double" if isinstance(value, float) else "string")

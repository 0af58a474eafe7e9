"""FeedSchema: what a feed's JSON Schema says of the fields that an expression reads.

Finds fields that no event can have, misspelt ones and comparisons that can never hold before a
rule runs. What may be there is what the validator accepts (see ValueTypes). A schema that names
fields and is silent about others allows any other one: such a field is a warning, and refused
where its name looks like one of those that are named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from control_plane.errors import InvalidInput
from control_plane.expressions.environment import place
from control_plane.expressions.expression import Expression
from control_plane.expressions.tree import (
    Call,
    Comprehension,
    Constant,
    Node,
    Path,
    children,
    path_of,
    paths_read,
)
from data_sharing.rules.value_types import ValueTypes, values_of

ATTRIBUTES = ("id", "source", "type", "subject", "key", "time", "data")
MOST_FOUND = 64  # paths that are remembered of one feed
ANY = frozenset(("string", "number", "boolean", "null", "array", "object"))
_STRING = frozenset(("string",))
_NUMBER = frozenset(("number",))
_OF_ATTRIBUTE = dict.fromkeys(("id", "source", "type", "subject", "key"), _STRING)

# What each side of an operator may be; same: both sides must share a type.
_ORDERED = frozenset(("string", "number", "boolean"))
_TEXT_METHODS = frozenset(
    ("startsWith", "endsWith", "contains", "matches", "lowerAscii", "upperAscii", "split", "trim",
     "replace", "indexOf", "charAt", "substring")
)  # fmt: skip
_COMPARING = frozenset(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"))
_ARITHMETIC = frozenset(("_-_", "_*_", "_/_", "_%_"))


class SchemaField(NamedTuple):
    """types: JSON types the field may have. missing: how far down the path nothing can be, or
    only what looks misspelt; -1: it may be there. near: names that are there, where it is
    missing. spoken_of: whether the schema names what is missing, by itself or by patterns, and
    leaves no value for it. unnamed: how far down the first field is that the schema does not name,
    and allows by silence; -1: none is."""

    types: frozenset[str]
    missing: int = -1
    near: tuple[str, ...] = ()
    unnamed: int = -1
    spoken_of: bool = False


class FeedSchema:
    """Of one feed. `schema` None: nothing is known of its data. values: the types of an event's
    data and of what is in it."""

    def __init__(self, feed: str, schema: Mapping[str, Any] | None) -> None:
        self.feed = feed
        self.values: ValueTypes = values_of(schema)
        self._found: dict[Path, SchemaField] = {}  # of what many rules read

    def find(self, path: Path) -> SchemaField:
        """Of a path below the event, as ("data", "speed")."""
        known = self._found.get(path)
        if known is None:
            known = self._find(path)
            if len(self._found) < MOST_FOUND:
                self._found[path] = known
        return known

    def _find(self, path: Path) -> SchemaField:
        if not path:
            return SchemaField(ANY)
        if path[0] not in ATTRIBUTES:
            return SchemaField(frozenset(), 0, ATTRIBUTES)
        if path[0] != "data":
            return SchemaField(_OF_ATTRIBUTE.get(path[0], ANY))
        found, unnamed = self.values, -1
        for depth, name in enumerate(path[1:], start=1):
            if not found.property(name).possible or found.misspelt(name):
                near = tuple(sorted(found.names - {name}))
                return SchemaField(frozenset(), depth, near, spoken_of=found.speaks_of(name))
            if unnamed < 0 and found.allows_by_silence(name):
                unnamed = depth
            found = found.property(name)
        types = frozenset("number" if one == "integer" else one for one in found.types)
        return SchemaField(types, unnamed=unnamed)


def check(
    expression: Expression,
    roots: Mapping[str, FeedSchema],
    field: str,
    returns: frozenset[str] = frozenset(),
    warn: Callable[[str], None] = lambda _: None,
) -> None:
    """That what the expression reads of events is in their schemas, and is used as what it is.
    roots: schema by the variable's name. returns: JSON types that its result may have; empty:
    any. warn: called with what may go wrong. Raises InvalidInput with line and column."""
    for path, _, at in paths_read(expression.tree):
        schema = roots.get(path[0])
        if schema is None:
            continue
        found = schema.find(path[1:])
        if found.missing >= 0:
            name = ".".join(path[1 : 2 + found.missing])
            if found.spoken_of:
                raise InvalidInput(
                    field,
                    f"{field}: {place(expression.text, at)}: no event of feed {schema.feed} can "
                    f'have "{name}": its schema speaks of it, by its name or by patterns, all of '
                    "which hold, and no value is all of that",
                )
            close = get_close_matches(path[1 + found.missing], found.near, n=1)
            meant = f'; did you mean "{close[0]}"' if close else ""
            if not close and found.near:
                meant = f"; it has {', '.join(found.near[:12])}"
            raise InvalidInput(
                field,
                f"{field}: {place(expression.text, at)}: feed {schema.feed} has no field "
                f'"{name}"{meant}',
            )
        if found.unnamed >= 0:
            name = ".".join(path[1 : 2 + found.unnamed])
            warn(
                f"{field}: {place(expression.text, at)}: the schema of feed {schema.feed} does not "
                f'name "{name}", and only allows it'
            )
    _check_types(expression.tree, expression.text, roots, field)
    types = _known(expression.tree, roots)
    if returns and types and not types & returns:
        raise InvalidInput(
            field,
            f"{field}: {_name(expression.tree)} is {_list(types)}, and must be {_list(returns)}",
        )


def _check_types(node: Node, text: str, roots: Mapping[str, FeedSchema], field: str) -> None:
    if isinstance(node, Call):
        complaint = _misuse(node, roots)
        if complaint:
            raise InvalidInput(field, f"{field}: {place(text, node.at)}: {complaint}")
    if isinstance(node, Comprehension):
        roots = {name: of for name, of in roots.items() if name not in node.names}
    for child in children(node):
        _check_types(child, text, roots, field)


def _misuse(call: Call, roots: Mapping[str, FeedSchema]) -> str:
    if call.function in _TEXT_METHODS and call.target is not None:
        types = _known(call.target, roots)
        if types and not types & _STRING:
            return f"{_name(call.target)} is {_list(types)}, and {call.function} needs a text"
        return ""
    if len(call.args) != 2:
        return ""
    left, right = (_known(arg, roots) for arg in call.args)
    if call.function in _ARITHMETIC:
        for arg, types in zip(call.args, (left, right), strict=True):
            # A timestamp or duration is a call or `now`, of which nothing is known here.
            if types and not types & _NUMBER and path_of(arg):
                return f"{_name(arg)} is {_list(types)}, and no number"
        return ""
    if call.function not in _COMPARING or not left or not right:
        return ""
    shared = left & right
    if call.function not in ("_==_", "_!=_"):
        shared &= _ORDERED
    if shared:
        return ""
    arg, types, other = (
        (call.args[0], left, right) if path_of(call.args[0]) else (call.args[1], right, left)
    )
    return f"{_name(arg)} is {_list(types)}, and is compared with {_list(other)}"


def _known(node: Node, roots: Mapping[str, FeedSchema]) -> frozenset[str]:
    """The JSON types it may have; empty: unknown."""
    if isinstance(node, Constant):
        return frozenset((_type_of(node.value),)) - {"other"}
    path = path_of(node)
    if path is None or path[0] not in roots or path[1:2] == ("time",):
        return frozenset()
    return roots[path[0]].find(path[1:]).types


def _type_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    return "object" if isinstance(value, dict) else "other"


def _name(node: Node) -> str:
    path = path_of(node)
    return ".".join(path) if path else "this"


def _list(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))

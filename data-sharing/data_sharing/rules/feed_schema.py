"""FeedSchema: what a feed's JSON Schema says of the fields that an expression reads.

Finds misspelt fields and comparisons that can never hold before a rule runs. It knows less than
JSON Schema: where a schema is open (no properties, additionalProperties, patternProperties) or
too clever (if, not, dynamic references), a field is taken to be there and of any type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
ANY = frozenset(("string", "number", "boolean", "null", "array", "object"))
_STRING = frozenset(("string",))
_NUMBER = frozenset(("number",))
_OF_ATTRIBUTE = dict.fromkeys(("id", "source", "type", "subject", "key"), _STRING)
_DEEPEST = 16

# What each side of an operator may be; same: both sides must share a type.
_ORDERED = frozenset(("string", "number", "boolean"))
_TEXT_METHODS = frozenset(
    ("startsWith", "endsWith", "contains", "matches", "lowerAscii", "upperAscii", "split", "trim",
     "replace", "indexOf", "charAt", "substring")
)  # fmt: skip
_COMPARING = frozenset(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"))
_ARITHMETIC = frozenset(("_-_", "_*_", "_/_", "_%_"))


class SchemaField(NamedTuple):
    """types: JSON types the field may have. missing: how far down the path nothing is; -1: it
    may be there. near: names that are there, where it is missing."""

    types: frozenset[str]
    missing: int = -1
    near: tuple[str, ...] = ()


class FeedSchema:
    """Of one feed. `schema` None: nothing is known of its data. values: the types of an event's
    data and of what is in it."""

    def __init__(self, feed: str, schema: Mapping[str, Any] | None) -> None:
        self.feed = feed
        self._schema = {} if schema is None else schema
        self.values: ValueTypes = values_of(self._schema)

    def find(self, path: Path) -> SchemaField:
        """Of a path below the event, as ("data", "speed")."""
        if not path:
            return SchemaField(ANY)
        if path[0] not in ATTRIBUTES:
            return SchemaField(frozenset(), 0, ATTRIBUTES)
        if path[0] != "data":
            return SchemaField(_OF_ATTRIBUTE.get(path[0], ANY))
        schemas = list(self._alternatives(self._schema, 0))
        for depth, name in enumerate(path[1:], start=1):
            below = [found for one in schemas for found in self._property(one, name)]
            if not below:
                near = {known for one in schemas for known in one.get("properties", {})}
                return SchemaField(frozenset(), depth, tuple(sorted(near)))
            schemas = [deep for one in below for deep in self._alternatives(one, 0)]
        types = frozenset().union(*(_types(one) for one in schemas)) if schemas else ANY
        return SchemaField(types or ANY)

    def _alternatives(self, schema: Any, depth: int) -> Iterator[Mapping[str, Any]]:
        """The schema with what it refers to; of a conjunction, its parts one by one."""
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            yield {}
            return
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield from self._alternatives(self._resolve(reference), depth + 1)
            return
        parts = [part for word in ("allOf", "anyOf", "oneOf") for part in schema.get(word, ())]
        if parts and "properties" not in schema:
            for part in parts:
                yield from self._alternatives(part, depth + 1)
            return
        # Where properties and alternatives stand together, either may have the field.
        yield {**schema, "additionalProperties": True} if parts else schema

    def _resolve(self, reference: str) -> Any:
        if not reference.startswith("#"):
            return {}
        found: Any = self._schema
        for step in reference[1:].strip("/").split("/") if reference != "#" else ():
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name, {}) if isinstance(found, Mapping) else {}
        return found

    def _property(self, schema: Mapping[str, Any], name: str) -> Iterator[Any]:
        properties = schema.get("properties")
        if isinstance(properties, Mapping) and name in properties:
            if properties[name] is not False:
                yield properties[name]
            return
        if not _types(schema) & {"object"} and schema:
            return
        additional = schema.get("additionalProperties")
        if isinstance(additional, Mapping):
            yield additional
            return
        closed = isinstance(properties, Mapping) if additional is None else additional is False
        if not closed or "patternProperties" in schema:
            yield {}


def check(
    expression: Expression,
    roots: Mapping[str, FeedSchema],
    field: str,
    returns: frozenset[str] = frozenset(),
) -> None:
    """That what the expression reads of events is in their schemas, and is used as what it is.
    roots: schema by the variable's name. returns: JSON types that its result may have; empty:
    any. Raises InvalidInput with line and column."""
    for path, _, at in paths_read(expression.tree):
        schema = roots.get(path[0])
        if schema is None:
            continue
        found = schema.find(path[1:])
        if found.missing >= 0:
            wrong = path[1 + found.missing]
            close = get_close_matches(wrong, found.near, n=1)
            meant = f'; did you mean "{close[0]}"' if close else ""
            if not close and found.near:
                meant = f"; it has {', '.join(found.near[:12])}"
            raise InvalidInput(
                field,
                f"{field}: {place(expression.text, at)}: feed {schema.feed} has no field "
                f'"{".".join(path[1 : 2 + found.missing])}"{meant}',
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


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    said = schema.get("type")
    if said is None:
        values = [schema["const"]] if "const" in schema else schema.get("enum", [])
        if isinstance(values, list) and values:
            return frozenset(_type_of(value) for value in values)
        return ANY
    names = [said] if isinstance(said, str) else said
    return frozenset("number" if name == "integer" else str(name) for name in names)


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

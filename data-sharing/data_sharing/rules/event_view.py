"""EventView: an event as expressions read it, made of the event as its producer wrote it.

JSON has one type of number, CEL has two that do not mix. Which of them a number is follows from
the feed's schema and never from how the number was written:

| the schema says | the expression reads |
|---|---|
| `integer` | an int where it fits 64 bits (2.0 and 2e0 are integers as well), else a double |
| `number`, nothing, or there is no schema | a double, as CEL maps JSON |

A field that is null is not there; lists hold their nulls. Only the paths that are read are made,
so nothing else of an event can break a rule or cost it anything. The event itself stays as it is.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from control_plane.expressions.environment import Environment, ValueType
from control_plane.expressions.expression import Expression
from control_plane.expressions.tree import Path, paths_read
from control_plane.expressions.values import instant
from data_sharing.rules.feed_schema import ATTRIBUTES, FeedSchema
from data_sharing.rules.value_types import ValueTypes, values_of

EVENT = Environment({"event": ValueType.OBJECT})
MOST_LEVELS = 64  # what lies deeper is not there
_INT_END = 2**63
_EXACT = 2**53
_MOST = sys.float_info.max
_ANYTHING = values_of(None)


class _Readable(Protocol):
    """An event, or one that is kept."""

    @property
    def time_ms(self) -> int: ...

    @property
    def data(self) -> Mapping[str, Any]: ...


class _Field(NamedTuple):
    """A field that is read; below None: all of it, else these fields of it alone."""

    name: str
    types: ValueTypes
    below: tuple[_Field, ...] | None


class EventView:
    """How events of one feed are read along some paths. Immutable."""

    __slots__ = ("_attributes", "_data")

    def __init__(self, schema: FeedSchema, paths: Iterable[Path]) -> None:
        """paths: below the event, as ("data", "speed"); an empty one reads all of it."""
        read = set(paths)
        every = () in read
        names = {path[0] for path in read if path}
        self._attributes = tuple(
            name for name in ATTRIBUTES if name != "data" and (every or name in names)
        )
        self._data: _Field | None = None
        if every or "data" in names:
            below = {path[1:] for path in read if path and path[0] == "data"}
            self._data = _field("data", schema.values, {()} if every else below)

    def of(self, event: _Readable) -> dict[str, Any]:
        """What CEL reads."""
        seen: dict[str, Any] = {}
        for name in self._attributes:
            seen[name] = instant(event.time_ms) if name == "time" else getattr(event, name)
        data = self._data
        if data is not None:
            fields, below = event.data, data.below
            seen["data"] = (
                _object(fields, data.types, 0) if below is None else _selected(fields, below)
            )
        return seen


class EventExpression:
    """An expression over `event` alone, with how it reads events of its feed."""

    __slots__ = ("_field", "_steps", "_text", "_view", "expression")

    def __init__(self, expression: Expression, schema: FeedSchema) -> None:
        self.expression = expression
        paths = [path[1:] for path, _, _ in paths_read(expression.tree) if path[0] == "event"]
        self._view = EventView(schema, paths)
        path = (expression.path or ())[1:]
        self._text = path[0] if len(path) == 1 and path[0] in _TEXTS else ""
        self._steps = path[1:] if len(path) > 1 and path[0] == "data" else ()
        self._field = schema.values
        for name in self._steps:
            self._field = self._field.property(name)

    def of(self, event: _Readable) -> Any:
        """Its value, or a Fault. A plain path needs neither CEL nor the view."""
        if self._text:
            return getattr(event, self._text)
        if self._steps:
            found: Any = event.data
            for name in self._steps:
                found = found.get(name) if type(found) is dict else None
            kind = type(found)
            if kind is str or kind is bool:
                return found
            if kind is int or kind is float:
                return number(found, self._field)
        return self.expression.evaluate(EVENT.bind({"event": self._view.of(event)}))


_TEXTS = frozenset(ATTRIBUTES) - {"data", "time"}


def number(value: int | float, types: ValueTypes) -> int | float:
    """A JSON number as CEL has it: an int where the schema says so and it fits 64 bits, else the
    nearest double."""
    if types.whole:
        if type(value) is float:
            whole = value.is_integer() and -_INT_END <= value < _INT_END
            return int(value) if whole else value
        if -_INT_END <= value < _INT_END:
            return value
    return double(value)


def double(value: int | float) -> float:
    """The nearest double; of what is beyond doubles, the greatest of them."""
    try:
        return float(value)
    except OverflowError:
        return _MOST if value > 0 else -_MOST


def json_number(value: float) -> int | float | None:
    """A double as JSON has it, after RFC 8785 (ECMAScript): without a fraction where it is whole,
    as far as whole doubles stand for one integer each. None: JSON has no such number.

    >>> json_number(2.0), json_number(0.5), json_number(float("inf"))
    (2, 0.5, None)
    """
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def seen_without_schema(value: Any) -> Any:
    """Any JSON value as CEL reads it where no schema says what it is."""
    return _value(value, _ANYTHING, 0)


def _field(name: str, types: ValueTypes, paths: set[Path]) -> _Field:
    """paths: below the field."""
    if () in paths:
        return _Field(name, types, None)
    names = sorted({path[0] for path in paths})
    return _Field(
        name,
        types,
        tuple(
            _field(one, types.property(one), {path[1:] for path in paths if path[0] == one})
            for one in names
        ),
    )


def _selected(found: Mapping[str, Any], fields: tuple[_Field, ...]) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, types, below in fields:
        value = found.get(name)
        if value is None:
            continue
        kind = type(value)
        if kind is str or kind is bool:
            seen[name] = value
        elif kind is int or kind is float:
            seen[name] = number(value, types)
        elif below is not None and kind is dict:
            seen[name] = _selected(value, below)
        else:
            seen[name] = _value(value, types, 1)
    return seen


def _value(value: Any, types: ValueTypes, level: int) -> Any:
    """Of JSON."""
    kind = type(value)
    if kind is int or kind is float:
        return number(value, types)
    if kind is dict:
        return _object(value, types, level) if level < MOST_LEVELS else None
    if kind is list:
        if level >= MOST_LEVELS:
            return None
        return [_value(one, types.item(at), level + 1) for at, one in enumerate(value)]
    return value


def _object(value: Mapping[str, Any], types: ValueTypes, level: int) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, one in value.items():
        made = _value(one, types.property(name), level + 1)
        if made is not None:
            seen[name] = made
    return seen

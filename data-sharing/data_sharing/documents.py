"""Documents that people write: YAML 1.2's core schema (so that `on` and `no` are words), or JSON.

A key that stands twice is an error, because one of both would be lost in silence; so are anchors
and aliases, with which a short text can become a huge one. Size, nesting and numbers of parts are
bounded, and counted while the text is read. What is read is what JSON can say.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any, TypeVar

import msgspec
import yaml

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from data_sharing.unknown_fields import hint

MOST_BYTES = 1_048_576
MOST_LEVELS = 64
MOST_PARTS = 100_000  # mappings, lists, keys and values
MOST_DIGITS = 400  # of a number; the largest double has 309
T = TypeVar("T")
_PLACE = re.compile(r" - at `\$\.?(.*)`$")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Core(_Loader):  # type: ignore[misc]
    """Resolves nulls, truth values and numbers, and no dates or other words."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way


# The tags of YAML 1.2.2, 10.3.2, with the letters that they begin with.
_TAGS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
for _tag, (_pattern, _first) in _TAGS.items():
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)
_BASES = {"0o": 8, "0x": 16}


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value
        if not isinstance(key, str):
            raise yaml.YAMLError(f"line {line}: a list or mapping cannot be a key")
        if key in found:
            raise yaml.YAMLError(f"line {line}: the key {quoted(key)} stands there twice; keep one")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _whole(digits: str) -> int:
    """Raises ValueError for more digits than any number that is meant has."""
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits; at most {MOST_DIGITS}")
    return int(digits, _BASES.get(digits[:2], 10))


_Core.add_constructor("tag:yaml.org,2002:int", lambda _, node: _whole(node.value))
_Core.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def value_of(text: str, name: str, *, most_bytes: int = MOST_BYTES) -> Any:
    """What the text says, as plain values. `name` stands in the message of InvalidInput."""
    try:
        too_large = len(text) > most_bytes or len(text.encode()) > most_bytes
    except UnicodeEncodeError:
        raise InvalidInput(name, f"{name}: holds half a character, which is no UTF-8") from None
    if too_large:
        raise InvalidInput(name, f"{name}: larger than {most_bytes:,} bytes")
    found = _json(text, name) if text.lstrip().startswith("{") else _yaml(text, name)
    complaint = _not_plain(found)
    if complaint:
        raise InvalidInput(name, f"{name}: {complaint}")
    return found


def _yaml(text: str, name: str) -> Any:
    loader = None
    try:
        _check_events(text)
        loader = _Core(text)
        return loader.get_single_data()
    except RecursionError:
        raise InvalidInput(name, f"{name}: {_TOO_DEEP}") from None
    except (yaml.YAMLError, ValueError) as error:
        said = " ".join(str(error).split())
        said = _TOO_DEEP if "nesting depth" in said else f"not YAML: {said}"  # libyaml's own bound
        raise InvalidInput(name, f"{name}: {said}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _check_events(text: str) -> None:
    """Before anything is made of it. Raises yaml.YAMLError."""
    depth = parts = 0
    for event in yaml.parse(text, Loader=_Core):
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.YAMLError(f"line {line}: anchors and aliases are not supported")
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
            continue
        parts += 1
        if depth > MOST_LEVELS:
            raise yaml.YAMLError(f"line {line}: {_TOO_DEEP}")
        if parts > MOST_PARTS:
            raise yaml.YAMLError(f"line {line}: {_TOO_MANY}")


_TOO_DEEP = f"nested deeper than {MOST_LEVELS} levels"
_TOO_MANY = f"more than {MOST_PARTS:,} keys and values"


def _json(text: str, name: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise ValueError(f"the key {quoted(twice)} stands there twice; keep one")
        return found

    try:
        return json.loads(text, object_pairs_hook=once, parse_int=_whole)
    except RecursionError:
        raise InvalidInput(name, f"{name}: {_TOO_DEEP}") from None
    except ValueError as error:
        raise InvalidInput(name, f"{name}: not JSON: {error}") from None


def _not_plain(value: Any) -> str:
    """What JSON cannot say: .nan, sets, bytes, halves of characters; or more than is taken, or
    nested deeper. Empty where all is well."""
    todo: list[tuple[Any, int]] = [(value, 0)]
    parts = 0
    while todo:
        one, depth = todo.pop()
        parts += 1
        if parts > MOST_PARTS:
            return _TOO_MANY
        if isinstance(one, (dict, list)):
            if depth >= MOST_LEVELS:
                return _TOO_DEEP
            todo += [(inner, depth + 1) for inner in one]
            if isinstance(one, dict):
                todo += [(inner, depth + 1) for inner in one.values()]
        elif complaint := _not_plain_scalar(one):
            return complaint
    return ""


def _not_plain_scalar(value: Any) -> str:
    if isinstance(value, str):
        halves = not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value)
        return f"holds half a character, which is no UTF-8: {quoted(value)}" if halves else ""
    if isinstance(value, float):
        return "" if isfinite(value) else f"holds the number {value}, which JSON has not"
    plain = value is None or isinstance(value, (bool, int))
    return "" if plain else f"holds a {type(value).__name__}, which JSON has not"


def read_as(value: Any, kind: type[T], name: str) -> T:
    """The value as a struct. Raises InvalidInput naming the place in it."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        said = str(error)
        found = _PLACE.search(said)
        place = f"{name}.{found[1]}" if found and found[1] else name
        complaint = said[: found.start()] if found else said
        complaint += hint(complaint, kind, found[1] if found else "")
        raise InvalidInput(place, f"{place}: {complaint}") from None

"""Documents that people write: YAML 1.2's core schema (so that `on` and `no` are words), or JSON.

A key that stands twice is an error, because one of both would be lost in silence; so are anchors
and aliases, with which a short text can become a huge one. What is read is what JSON can say.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any, TypeVar

import msgspec
import yaml

from control_plane.errors import InvalidInput

MOST_BYTES = 1_048_576
T = TypeVar("T")
_PLACE = re.compile(r" - at `\$\.?(.*)`$")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Core(_Loader):  # type: ignore[misc]
    """Resolves true, false, null and numbers, and no dates or other words."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way


_Core.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)$"), list("tf"))
_Core.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:~|null|)$"), ["~", "n", ""])
_Core.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?[0-9]+$"), list("-+0123456789")
)
_Core.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?$"),
    list("-+0123456789"),
)


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value
        if not isinstance(key, str):
            raise yaml.YAMLError(f"line {line}: a list or mapping cannot be a key")
        if key in found:
            raise yaml.YAMLError(f"line {line}: the key {key!r} stands there twice; keep one")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_Core.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
_Core.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def value_of(text: str, name: str, *, most_bytes: int = MOST_BYTES) -> Any:
    """What the text says, as plain values. `name` stands in the message of InvalidInput."""
    if len(text.encode()) > most_bytes:
        raise InvalidInput(name, f"{name}: larger than {most_bytes:,} bytes")
    found = _json(text, name) if text.lstrip().startswith("{") else _yaml(text, name)
    try:
        complaint = _not_plain(found)
    except RecursionError:
        complaint = "nested too deep"
    if complaint:
        raise InvalidInput(name, f"{name}: {complaint}")
    return found


def _yaml(text: str, name: str) -> Any:
    loader = None
    try:
        for token in yaml.scan(text, Loader=_Core):
            if isinstance(token, (yaml.AnchorToken, yaml.AliasToken)):
                line = token.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: anchors and aliases are not supported")
        loader = _Core(text)
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(name, f"{name}: not YAML: {' '.join(str(error).split())}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _json(text: str, name: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(key for n, (key, _) in enumerate(pairs) if key in dict(pairs[:n]))
            raise ValueError(f"the key {twice!r} stands there twice; keep one")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(name, f"{name}: not JSON: {error}") from None


def _not_plain(value: Any) -> str:
    """What JSON cannot say: .nan, sets, bytes, halves of characters; empty where all is well."""
    if isinstance(value, dict):
        return next(filter(None, (_not_plain(one) for pair in value.items() for one in pair)), "")
    if isinstance(value, list):
        return next(filter(None, map(_not_plain, value)), "")
    if isinstance(value, str):
        halves = any("\ud800" <= letter <= "\udfff" for letter in value)
        return f"holds half a character, which is no UTF-8: {value!r:.80}" if halves else ""
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
        raise InvalidInput(place, f"{place}: {complaint}") from None

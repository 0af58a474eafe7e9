"""YAML as people write manifests in, without its traps.

Keys that stand twice, anchors (which make small texts into huge values), merge keys and dates
that YAML makes out of text are refused, each with its line: what is read is what JSON can say.
"""

from __future__ import annotations

from collections.abc import Hashable
from math import isfinite
from typing import Any

import yaml

MAX_BYTES = 256 * 1024
_MERGE = "tag:yaml.org,2002:merge"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class BadYaml(Exception):
    """One sentence that says where and what."""


class _Plain(yaml.SafeLoader):
    """See the module. The loader in Python, because that of C would expand anchors first."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise BadYaml(f"line {line}: anchors and aliases are not taken; write it out")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def _mapping(loader: _Plain, node: yaml.MappingNode) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if key_node.tag == _MERGE:
            raise BadYaml(f"line {line}: `<<` is not taken; write the keys out")
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable) or not isinstance(key, str):
            raise BadYaml(f"line {line}: the key {key!r} is not text; put it in quotes")
        if key in found:
            raise BadYaml(f"line {line}: the key {key!r} stands there twice; keep one")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _text(loader: _Plain, node: yaml.ScalarNode) -> str:
    return str(node.value)


_Plain.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Plain.add_constructor(_TIMESTAMP, _text)


def read_yaml(text: str) -> Any:
    """The one document of a text. Raises BadYaml."""
    if len(text.encode()) > MAX_BYTES:
        raise BadYaml(f"is larger than {MAX_BYTES // 1024} KiB")
    try:
        loader = _Plain(text)
        try:
            document = loader.get_single_data()
        finally:
            loader.dispose()
        _check_plain(document)
    except (yaml.YAMLError, ValueError) as error:
        raise BadYaml(f"is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise BadYaml("is nested too deep") from error
    return document


def _check_plain(value: Any) -> None:
    """Raises BadYaml for what JSON cannot say: .nan, sets, bytes, halves of characters."""
    if isinstance(value, dict):
        for key, one in value.items():
            _check_plain(key)
            _check_plain(one)
    elif isinstance(value, list):
        for one in value:
            _check_plain(one)
    elif isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise BadYaml(f"holds half a character, which is no UTF-8: {value!r:.80}")
    elif isinstance(value, float):
        if not isfinite(value):
            raise BadYaml(f"holds the number {value}, which JSON has not")
    elif not (value is None or isinstance(value, (bool, int))):
        raise BadYaml(f"holds a {type(value).__name__}, which JSON has not")

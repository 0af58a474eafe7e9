"""YAML files that operators write: read within bounds, with what is wrong in a line of words.

Size, nesting, anchors and long numbers are refused before anything is made of the text: with
aliases a short text is a huge one. A key that stands twice is a problem that the reader gets, for
YAML lets the later one win in silence. What the values mean is the reader's.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from control_plane.printable import quoted, why_unreadable

MOST_BYTES = 8 << 20  # of a file: some 40,000 units
MOST_LEVELS = 16
MOST_DIGITS = 4_000  # of a number; Python reads 4,300
_LONG_NUMBER = re.compile(rf"[-+]?[0-9_]{{{MOST_DIGITS + 1},}}")
_MERGE = "tag:yaml.org,2002:merge"


class UnreadableYaml(Exception):
    """A text is no YAML, or goes past a bound; the message says where and what, without a name."""


# libyaml's parser, where PyYAML has it, takes a seventh of the time.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeys(_Loader):  # type: ignore[misc]
    """YAML lets a later key win over an earlier one in silence; this loader reports each."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.problems: list[str] = []


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        line = key_node.start_mark.line + 1
        if key_node.tag == _MERGE:
            raise yaml.YAMLError(f"line {line}: `<<` is not supported; write the keys out")
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.YAMLError(f"line {line}: a list or mapping cannot be a key")
        if key in seen:
            loader.problems.append(
                f"line {line}: the key {quoted(key)} stands there twice; keep one"
            )
        seen.add(key)
    mapping: dict[Any, Any] = loader.construct_mapping(node, deep=True)
    return mapping


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_text(path: Path, *, most_bytes: int = MOST_BYTES) -> str:
    """The text of a file. Raises UnreadableYaml where it cannot be read, or is larger."""
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise UnreadableYaml(f"is larger than {most_bytes:,} bytes; split it")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableYaml(f"cannot be read: {why_unreadable(error)}") from error


def parse(text: str) -> tuple[Any, list[str]]:
    """What a text says, and the keys that stand there twice, a sentence each. Raises
    UnreadableYaml."""
    try:
        _check_events(text)
        loader = _UniqueKeys(text)
        try:
            return loader.get_single_data(), loader.problems
        finally:
            loader.dispose()
    # ValueError: a date such as 2024-02-31; RecursionError: too many brackets.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnreadableYaml(f"is not YAML: {' '.join(str(error).split())}") from error


def _check_events(text: str) -> None:
    """Raises yaml.YAMLError."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError(f"line {line}: anchors and aliases are not supported")
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]:
            raise yaml.YAMLError(f"line {line}: `<<` is not supported; write the keys out")
        elif isinstance(event, yaml.ScalarEvent) and _LONG_NUMBER.fullmatch(event.value):
            raise yaml.YAMLError(
                f"line {line}: a number has {len(event.value):,} digits; at most {MOST_DIGITS}"
            )
        if depth > MOST_LEVELS:
            raise yaml.YAMLError(f"line {line}: nested deeper than {MOST_LEVELS} levels")

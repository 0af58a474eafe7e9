"""The fleet file: reads the units that an operator wrote down in YAML or JSON.

Everything wrong with a file is reported together, each with the entry and key it is about.
Nothing is guessed: an unknown key is an error, because it is most often a misspelt one.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from control_plane.errors import FaultyFile
from control_plane.fleet.entry import read_entry
from control_plane.fleet.unit import UnitSpec
from control_plane.fleet.validation import shown
from control_plane.printable import printable, quoted, why_unreadable

MOST_BYTES = 8 << 20  # of a file: some 40,000 units
MOST_LEVELS = 16
MOST_DIGITS = 4_000  # of a number; Python reads 4,300
_LONG_NUMBER = re.compile(rf"[-+]?[0-9_]{{{MOST_DIGITS + 1},}}")
MERGE = "tag:yaml.org,2002:merge"
SAMPLE = Path(__file__).with_name("sample.yaml")


class BadFleetFile(FaultyFile):
    """`problems` holds one sentence for each thing that is wrong."""

    reason = "BAD_FLEET_FILE"

    def __init__(self, name: str, problems: list[str]) -> None:
        super().__init__("units", "\n".join(f"{name}: {problem}" for problem in problems))
        self.problems = problems


class FleetEntry(NamedTuple):
    """One unit of a file. given: the fields it says something of, be it null; the id is not
    among them."""

    spec: UnitSpec
    given: frozenset[str]


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
        if key_node.tag == MERGE:
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


def _check_events(text: str) -> None:
    """Before anything is made of it: with aliases a short text is a huge one. Raises
    yaml.YAMLError."""
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


def read_fleet(path: Path) -> tuple[UnitSpec, ...]:
    """The units of a file, in its order. Raises BadFleetFile."""
    return parse_fleet(_text_of(path), str(path))


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise BadFleetFile(str(path), [f"is larger than {MOST_BYTES:,} bytes; split it"])
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFleetFile(str(path), [f"cannot be read: {why_unreadable(error)}"]) from error


def parse_fleet(text: str, name: str) -> tuple[UnitSpec, ...]:
    """The same for a text; `name` stands in the messages."""
    return tuple(entry.spec for entry in parse_entries(text, name))


def parse_entries(text: str, name: str) -> tuple[FleetEntry, ...]:
    """The same, with what each entry says and what it leaves out."""
    try:
        _check_events(text)
        loader = _UniqueKeys(text)
        try:
            document = loader.get_single_data()
        finally:
            loader.dispose()
    # ValueError: a date such as 2024-02-31; RecursionError: too many brackets.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadFleetFile(name, [f"is not YAML: {' '.join(str(error).split())}"]) from error
    if not isinstance(document, Mapping) or not isinstance(document.get("units"), list):
        raise BadFleetFile(name, [*loader.problems, "needs a list of units under the key `units`"])
    problems = loader.problems + [
        f"unknown key {shown(key)} beside `units`; remove it" for key in document if key != "units"
    ]
    units: list[FleetEntry] = []
    seen: dict[str, int] = {}
    for place, entry in enumerate(document["units"]):
        where = f"units[{place}]"
        if isinstance(entry, Mapping) and entry.get("id") is not None:
            where += f" ({printable(shown(entry['id'], str))})"
        unit, wrong = read_entry(entry)
        problems += [f"{where}: {problem}" for problem in wrong]
        if unit is None:
            continue
        if unit.id in seen:
            problems.append(
                f"{where}: the id {unit.id} is taken by units[{seen[unit.id]}]; ids are unique"
            )
            continue
        seen[unit.id] = place
        given = frozenset(key for key in entry if key != "id")
        units.append(FleetEntry(spec=unit, given=given))
    if problems:
        raise BadFleetFile(name, problems)
    return tuple(units)

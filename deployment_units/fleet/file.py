"""The fleet file: units as an operator writes them down, YAML or JSON.

Everything wrong with a file is reported together, each with the entry and key it is about.
Nothing is guessed: an unknown key is an error, because it is most often a misspelt one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from control_plane.errors import HomeportError, InvalidInput
from deployment_units.fleet.unit import Position, ServedAreas, UnitId, UnitSpec
from deployment_units.fleet.validation import check_unit

T = TypeVar("T")
SAMPLE = Path(__file__).with_name("sample.yaml")
_REQUIRED = ("id", "endpoint", "position", "country", "capacity")
_KEYS = frozenset({*_REQUIRED, "weight", "labels", "serves", "tenants"})


class BadFleetFile(HomeportError):
    """`problems` holds one sentence for each thing that is wrong."""

    reason = "BAD_FLEET_FILE"

    def __init__(self, name: str, problems: list[str]) -> None:
        super().__init__("\n".join(f"{name}: {problem}" for problem in problems))
        self.problems = problems


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets a later key win over an earlier one in silence; this does not."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if isinstance(key, list | dict):
            raise yaml.YAMLError(f"line {line}: a list or mapping cannot be a key")
        if key in seen:
            raise yaml.YAMLError(f"line {line}: the key {key!r} stands there twice")
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_fleet(path: Path) -> tuple[UnitSpec, ...]:
    """The units of a file, in its order. Raises BadFleetFile."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFleetFile(str(path), [f"cannot be read: {error}"]) from error
    return parse_fleet(text, str(path))


def parse_fleet(text: str, name: str) -> tuple[UnitSpec, ...]:
    """The same for a text; `name` stands in the messages."""
    try:
        document = yaml.load(text, Loader=_UniqueKeys)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-02-31
        raise BadFleetFile(name, [f"is not YAML: {' '.join(str(error).split())}"]) from error
    if not isinstance(document, Mapping) or not isinstance(document.get("units"), list):
        raise BadFleetFile(name, ["needs a list of units under the key `units`"])
    problems = [
        f"unknown key {key!r} beside `units`; remove it" for key in document if key != "units"
    ]
    units: list[UnitSpec] = []
    seen: dict[str, int] = {}
    for place, entry in enumerate(document["units"]):
        where = f"units[{place}]"
        if isinstance(entry, Mapping) and entry.get("id") is not None:
            where += f" ({entry['id']})"
        unit, wrong = _unit(entry)
        problems += [f"{where}: {problem}" for problem in wrong]
        if unit is None:
            continue
        if unit.id in seen:
            problems.append(
                f"{where}: the id {unit.id} is taken by units[{seen[unit.id]}]; ids are unique"
            )
            continue
        seen[unit.id] = place
        units.append(unit)
    if problems:
        raise BadFleetFile(name, problems)
    return tuple(units)


def _unit(entry: Any) -> tuple[UnitSpec | None, list[str]]:
    """The unit of an entry, or everything that is wrong with it."""
    if not isinstance(entry, Mapping):
        return None, ["a unit is a mapping with id, endpoint, position, …"]
    problems = [
        f"unknown key {key!r}; a unit has {', '.join(sorted(_KEYS))}"
        for key in entry
        if key not in _KEYS
    ]
    problems += [f"{key} is missing" for key in _REQUIRED if entry.get(key) is None]

    def read(reader: Callable[..., T], instead: T, *arguments: Any) -> T:
        try:
            return reader(*arguments)
        except InvalidInput as error:
            problems.append(error.message)
            return instead

    present = {key: value for key, value in entry.items() if value is not None}
    nothing: Mapping[str, Any] = {}
    position = read(_position_part, None, present)
    serves = read(_part, nothing, present, "serves", {"countries", "continents"})
    latitude = longitude = 0.0
    if position is not None:
        latitude = read(_number, 0.0, position, "latitude", "position.latitude")
        longitude = read(_number, 0.0, position, "longitude", "position.longitude")
    spec = UnitSpec(
        id=UnitId(read(_text, "", present, "id")),
        endpoint=read(_text, "", present, "endpoint"),
        position=Position(latitude=latitude, longitude=longitude),
        country=read(_text, "", present, "country"),
        capacity=read(_capacity, 1, present),
        weight=read(_number, 1.0, present, "weight", "weight") if "weight" in entry else 1.0,
        labels=read(_labels, {}, present),
        serves=ServedAreas(
            countries=read(_texts, (), serves, "countries"),
            continents=read(_texts, (), serves, "continents"),
        ),
        tenants=read(_texts, (), present, "tenants"),
    )
    if not problems:
        read(check_unit, spec, spec, "unit")
    return (None if problems else spec), problems


def _position_part(entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """None when it is missing, which is told already."""
    return _part(entry, "position", {"latitude", "longitude"}) if "position" in entry else None


def _capacity(entry: Mapping[str, Any]) -> int:
    capacity = entry.get("capacity", 1)
    if not isinstance(capacity, int) or isinstance(capacity, bool):
        raise InvalidInput("capacity", f"capacity {capacity!r} is not a whole number of clients")
    return capacity


def _labels(entry: Mapping[str, Any]) -> Mapping[str, str]:
    labels = entry.get("labels") or {}
    if not isinstance(labels, Mapping):
        raise InvalidInput("labels", "labels is a mapping of names to texts")
    for name, value in labels.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidInput(
                "labels", f"labels has {name!r}: {value!r}, which is not text; put it in quotes"
            )
    return dict(labels)


def _part(entry: Mapping[str, Any], key: str, known: set[str]) -> Mapping[str, Any]:
    part = entry.get(key) or {}
    if not isinstance(part, Mapping):
        raise InvalidInput(key, f"{key} is a mapping of {', '.join(sorted(known))}")
    for name in part:
        if name not in known:
            raise InvalidInput(f"{key}.{name}", f"unknown key {key}.{name}")
    return part


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key, "")  # what is missing is told already
    if not isinstance(value, str):
        # YAML reads NO (Norway) as false and 007 as 7: quotes help.
        raise InvalidInput(key, f"{key} {value!r} is not a text; put it in quotes")
    return value


def _texts(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = entry.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidInput(key, f"{key} is a list of texts; put NO and other words in quotes")
    return tuple(values)


def _number(entry: Mapping[str, Any], key: str, field: str) -> float:
    value = entry.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidInput(field, f"{field} {value!r} is not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise InvalidInput(field, f"{field} is too large a number") from error

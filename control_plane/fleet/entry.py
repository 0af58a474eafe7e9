"""Reads one entry of a fleet file: a UnitSpec, or everything that is wrong with it.

Types are checked here, because YAML guesses them (NO is false, 007 is 7); what a unit may
hold is checked in `validation`. Each key is checked, whatever is wrong with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from control_plane.errors import InvalidInput
from control_plane.fleet.unit import Position, ServedAreas, UnitId, UnitSpec
from control_plane.fleet.validation import shown, unit_faults

T = TypeVar("T")
_KEYS = ("id", "endpoint", "position", "country", "capacity",
         "weight", "labels", "serves", "tenants")  # fmt: skip


def read_entry(entry: object) -> tuple[UnitSpec | None, list[str]]:
    """The unit, or None and one sentence for each thing that is wrong."""
    reader = _EntryReader()
    unit = reader.top(entry)
    if unit is None:
        return None, reader.problems
    nothing: Mapping[str, Any] = {}
    position = reader.required(unit, "position", _part("latitude", "longitude"), None)
    serves = reader.optional(unit, "serves", _part("countries", "continents"), nothing)
    latitude = longitude = 0.0
    if position is not None:
        latitude = reader.required(position, "position.latitude", _number, 0.0)
        longitude = reader.required(position, "position.longitude", _number, 0.0)
    spec = UnitSpec(
        id=UnitId(reader.required(unit, "id", _text, "")),
        endpoint=reader.required(unit, "endpoint", _text, ""),
        position=Position(latitude=latitude, longitude=longitude),
        country=reader.required(unit, "country", _text, ""),
        capacity=reader.required(unit, "capacity", _whole_number, 0),
        weight=reader.optional(unit, "weight", _number, 1.0),
        labels=reader.optional(unit, "labels", _labels, {}),
        serves=ServedAreas(
            countries=reader.optional(serves, "serves.countries", _texts, ()),
            continents=reader.optional(serves, "serves.continents", _texts, ()),
        ),
        tenants=reader.optional(unit, "tenants", _texts, ()),
    )
    for fault in unit_faults(spec, prefix="", id_name="id"):
        reader.add_problem(fault.field, fault.message)
    return (None if reader.problems else spec), reader.problems


class _EntryReader:
    """Reads values of an entry and collects problems, one for each key."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._faulty: set[str] = set()

    def add_problem(self, path: str, problem: str) -> None:
        """Records a problem, unless the field, or what it is part of, has one already."""
        if path not in self._faulty and path.partition(".")[0] not in self._faulty:
            self._faulty.add(path)
            self.problems.append(problem)

    def top(self, entry: object) -> Mapping[str, Any] | None:
        """The entry itself."""
        if not isinstance(entry, Mapping):
            self.problems.append("a unit is a mapping with id, endpoint, position, …")
            return None
        self.problems += [
            f"unknown key {shown(key)}; a unit has {', '.join(sorted(_KEYS))}"
            for key in entry
            if key not in _KEYS
        ]
        return entry

    def required(
        self, source: Mapping[str, Any], path: str, read: Callable[[Any, str], T], instead: T
    ) -> T:
        """The value at the end of `path`; `instead` where it is missing or wrong."""
        if source.get(path.rpartition(".")[2]) is None:
            self.add_problem(path, f"{path} is missing")
            return instead
        return self.optional(source, path, read, instead)

    def optional(
        self, source: Mapping[str, Any], path: str, read: Callable[[Any, str], T], instead: T
    ) -> T:
        """The same, but what is missing is not wrong."""
        value = source.get(path.rpartition(".")[2])
        if value is None:
            return instead
        try:
            return read(value, path)
        except InvalidInput as fault:
            self.add_problem(path, fault.message)
            return instead


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(field, f"{field} {shown(value)} is not a text; put it in quotes")
    return value


def _texts(value: Any, field: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidInput(field, f"{field} is a list of texts; put NO and other words in quotes")
    return tuple(value)


def _whole_number(value: Any, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInput(field, f"{field} {shown(value)} is not a whole number of clients")
    return value


def _number(value: Any, field: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidInput(field, f"{field} {shown(value)} is not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise InvalidInput(field, f"{field} is too large a number") from error


def _part(*known: str) -> Callable[[Any, str], Mapping[str, Any]]:
    """A reader of a mapping with these keys and no others."""

    def read(value: Any, field: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise InvalidInput(field, f"{field} is a mapping of {', '.join(known)}")
        for key in value:
            if key not in known:
                raise InvalidInput(
                    field, f"unknown key {field}.{shown(key, str)}; use {', '.join(known)}"
                )
        return value

    return read


def _labels(value: Any, field: str) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidInput(field, f"{field} is a mapping of names to texts")
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise InvalidInput(
                field,
                f"{field} has {shown(name)}: {shown(text)}, which is not text; put it in quotes",
            )
    return dict(value)

"""One entry of a fleet file as a UnitSpec, or everything that is wrong with it.

Types are checked here, because YAML guesses them (NO is false, 007 is 7); what a unit may
hold is checked in `validation`. Each key is looked at whatever is wrong with the others.
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
    reading = _Reading()
    unit = reading.top(entry)
    if unit is None:
        return None, reading.problems
    nothing: Mapping[str, Any] = {}
    position = reading.required(unit, "position", _part("latitude", "longitude"), None)
    serves = reading.optional(unit, "serves", _part("countries", "continents"), nothing)
    latitude = longitude = 0.0
    if position is not None:
        latitude = reading.required(position, "position.latitude", _number, 0.0)
        longitude = reading.required(position, "position.longitude", _number, 0.0)
    spec = UnitSpec(
        id=UnitId(reading.required(unit, "id", _text, "")),
        endpoint=reading.required(unit, "endpoint", _text, ""),
        position=Position(latitude=latitude, longitude=longitude),
        country=reading.required(unit, "country", _text, ""),
        capacity=reading.required(unit, "capacity", _whole_number, 0),
        weight=reading.optional(unit, "weight", _number, 1.0),
        labels=reading.optional(unit, "labels", _labels, {}),
        serves=ServedAreas(
            countries=reading.optional(serves, "serves.countries", _texts, ()),
            continents=reading.optional(serves, "serves.continents", _texts, ()),
        ),
        tenants=reading.optional(unit, "tenants", _texts, ()),
    )
    for fault in unit_faults(spec, prefix="", id_name="id"):
        reading.note(fault.field, fault.message)
    return (None if reading.problems else spec), reading.problems


class _Reading:
    """Reads values and keeps what is wrong, once for each key of the entry."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._faulty: set[str] = set()

    def note(self, path: str, problem: str) -> None:
        """Unless that field, or what it is part of, is known to be wrong."""
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
        self, source: Mapping[str, Any], path: str, reader: Callable[[Any, str], T], instead: T
    ) -> T:
        """The value at the end of `path`; `instead` where it is missing or wrong."""
        if source.get(path.rpartition(".")[2]) is None:
            self.note(path, f"{path} is missing")
            return instead
        return self.optional(source, path, reader, instead)

    def optional(
        self, source: Mapping[str, Any], path: str, reader: Callable[[Any, str], T], instead: T
    ) -> T:
        """The same, but what is missing is not wrong."""
        value = source.get(path.rpartition(".")[2])
        if value is None:
            return instead
        try:
            return reader(value, path)
        except InvalidInput as fault:
            self.note(path, fault.message)
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

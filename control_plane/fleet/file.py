"""The fleet file: reads the units that an operator wrote down in YAML or JSON.

Everything wrong with a file is reported together, each with the entry and key it is about.
Nothing is guessed: an unknown key is an error, because it is most often a misspelt one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from control_plane.errors import FaultyFile
from control_plane.fleet.entry import read_entry
from control_plane.fleet.unit import UnitSpec
from control_plane.fleet.validation import shown
from control_plane.printable import printable
from control_plane.yaml_files import UnreadableYaml, parse, read_text

SAMPLE = Path(__file__).with_name("sample.yaml")
TWO_UNITS = Path(__file__).with_name("two_units.yaml")  # London and Stockholm


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


def read_fleet(path: Path) -> tuple[UnitSpec, ...]:
    """The units of a file, in its order. Raises BadFleetFile."""
    try:
        text = read_text(path)
    except UnreadableYaml as error:
        raise BadFleetFile(str(path), [str(error)]) from error
    return parse_fleet(text, str(path))


def parse_fleet(text: str, name: str) -> tuple[UnitSpec, ...]:
    """The same for a text; `name` stands in the messages."""
    return tuple(entry.spec for entry in parse_entries(text, name))


def parse_entries(text: str, name: str) -> tuple[FleetEntry, ...]:
    """The same, with what each entry says and what it leaves out."""
    try:
        document, problems = parse(text)
    except UnreadableYaml as error:
        raise BadFleetFile(name, [str(error)]) from error
    if not isinstance(document, Mapping) or not isinstance(document.get("units"), list):
        raise BadFleetFile(name, [*problems, "needs a list of units under the key `units`"])
    problems += [
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

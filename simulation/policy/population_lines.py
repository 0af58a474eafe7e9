"""Population lines: clients of a file, an object a line (NDJSON), read strictly.

    {"client_id": "phone-5", "ip": "81.2.69.142", "unit": "dublin"}
    {"client_id": "phone-6", "at": {"country": "IE", "latitude": 51.9, "longitude": -8.5}}

Where a client is, is said as in cases of a policy; with neither, nobody knows. `unit` is where it
lives now; `attributes`, an object of texts, what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from control_plane.errors import InvalidInput
from provisioner.geo.location import NOWHERE, Location
from provisioner.placement.attributes import NO_ATTRIBUTES, Attributes
from provisioner.policy.fields import Fields, Problems
from simulation.policy.cases import AT_FIELDS, location_at, read_attributes

MOST_LINE_BYTES = 65_536
LINE_FIELDS = ("client_id", "ip", "at", "unit", "attributes")
_decode = msgspec.json.Decoder().decode


class PopulationEntry(NamedTuple):
    """One client. unit: in which it lives; empty: in none, or nobody says. attributes: that it
    has."""

    client_id: str
    location: Location
    unit: str
    attributes: Attributes = NO_ATTRIBUTES


def population_entries(
    lines: Iterable[tuple[int, bytes]], locate: Callable[[str], Location]
) -> Iterator[PopulationEntry]:
    """Of numbered lines. locate: where an address is. Raises InvalidInput for the first that is
    none, naming it."""
    for number, line in lines:
        problems = Problems()
        entry = _entry(line, problems, locate)
        if problems.found or entry is None:
            said = "; ".join(problems.found)
            raise InvalidInput("population", f"line {number}: {said}")
        yield entry


def _entry(
    line: bytes, problems: Problems, locate: Callable[[str], Location]
) -> PopulationEntry | None:
    if len(line) > MOST_LINE_BYTES:
        problems.add("", f"longer than {MOST_LINE_BYTES:,} bytes; a line is one client")
        return None
    try:
        said: Any = _decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        problems.add("", 'is not JSON, such as {"client_id": "phone-5", "ip": "81.2.69.142"}')
        return None
    fields = Fields(said, "", LINE_FIELDS, problems)
    client_id = fields.text("client_id")
    if fields.given and (not client_id or "/" in client_id):
        fields.problem("client_id", "say which client it is, without a slash")
    if fields.has("ip") and fields.has("at"):
        fields.problem("at", "the client is where `ip` says already; give one of them")
    location = location_at(fields.part("at", AT_FIELDS)) if fields.has("at") else NOWHERE
    address, unit = fields.text("ip"), fields.text("unit")
    if address and not problems.found:
        location = _located(address, problems, locate)
    return PopulationEntry(client_id, location, unit, read_attributes(fields))


def _located(address: str, problems: Problems, locate: Callable[[str], Location]) -> Location:
    try:
        return locate(address)
    except InvalidInput as error:
        problems.add("ip", error.message)
        return NOWHERE

"""Measured latencies from a file, for simulations and tests of policies. Read strictly.

A list of entries; of those whose `when` is of a client's place and that know a unit, the first
counts for that unit. Where none does, distance tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.yaml_files import UnreadableYaml, parse
from provisioner.policy.faulty import FaultyPolicy
from provisioner.policy.fields import Fields, Problems
from provisioner.policy.latency_caps import MOST_LATENCY_MS
from simulation.policy.hook_stand_ins import Area, read_area

MOST_ENTRIES = 10_000
MOST_UNITS = 1_000  # of an entry


class FaultyLatencies(FaultyPolicy):
    """What is wrong with a file of latencies, a sentence each."""

    reason = "FAULTY_LATENCIES"


@dataclass(frozen=True, slots=True)
class MeasuredLatencies:
    """entries: of an area, ms by unit id."""

    entries: tuple[tuple[Area, Mapping[str, float]], ...]

    def of(self, cell: str, country: str, continent: str) -> Mapping[str, float]:
        """As Latencies has it."""
        found: dict[str, float] = {}
        for area, ms in reversed(self.entries):
            if area.has(country, continent):
                found.update(ms)
        return found


def read_latencies(text: str) -> MeasuredLatencies:
    """Raises FaultyLatencies with all that is wrong."""
    try:
        said, doubled = parse(text)
    except UnreadableYaml as error:
        raise FaultyLatencies([f"the file of latencies {error}"]) from error
    problems = Problems(doubled)
    fields = Fields(said, "", ("measured",), problems)
    entries = []
    for at, one in enumerate(fields.entries("measured", most=MOST_ENTRIES)):
        entry = Fields(one, f"measured[{at}]", ("when", "ms"), problems)
        area = read_area(entry.part("when", ("countries", "continents")))
        names = entry.names("ms")[:MOST_UNITS]
        ms = entry.part("ms", names)
        if entry.given and not names:
            entry.problem("ms", "there is none; give ms by unit")
        entries.append(
            (area, {name: ms.number(name, 1.0, low=0.0, high=MOST_LATENCY_MS) for name in names})
        )
    if fields.given and not entries and not problems.found:
        problems.add("measured", "there is none; give a list of places and their latencies")
    if problems.found:
        raise FaultyLatencies(problems.found)
    return MeasuredLatencies(tuple(entries))

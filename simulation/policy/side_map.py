"""The map of one side of a simulation: where its clients are, and which units they live in."""

from __future__ import annotations

from collections.abc import Sequence

from simulation.maps.svg_map import MOST_PLACES, MapPlace, MapUnit, svg_map
from simulation.policy.comparison import Side
from simulation.policy.figures import Document, Scenario


def side_map(
    scenario: Scenario,
    side: Side,
    document: Document,
    *,
    when: str,
    without: Sequence[str] = (),
    most_places: int = MOST_PLACES,
) -> str:
    """An SVG element. document: of the side; when: before or after; without: units that take
    nobody."""
    units = [
        MapUnit(
            id=str(unit.id),
            latitude=unit.position.latitude,
            longitude=unit.position.longitude,
            clients=shown["clients"],
            used=shown["load"],
            taken_out=unit.id in without,
        )
        for unit, shown in zip(scenario.units, document["units"], strict=True)
    ]
    title = f"Clients and units {when}"
    return svg_map(units, _places(scenario, side), title=title, most_places=most_places)


def _places(scenario: Scenario, side: Side) -> list[MapPlace]:
    by_place: dict[tuple[float, float], dict[int, float]] = {}
    for (number, unit), n in side.flows.items():
        at = scenario.locations[number]
        if at.latitude is not None and at.longitude is not None:
            here = by_place.setdefault((at.latitude, at.longitude), {})
            here[unit] = here.get(unit, 0.0) + n
    return [
        MapPlace(
            latitude=latitude,
            longitude=longitude,
            clients=sum(units.values()),
            unit=max(units, key=lambda unit: (units[unit], -unit)),
        )
        for (latitude, longitude), units in by_place.items()
    ]

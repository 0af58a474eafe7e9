"""Units in the report: where they are, how full they were, and how they filled. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulation.load.report.plots import Curve, plot
from simulation.load.report.tables import table
from simulation.maps.svg_map import MapUnit, colours, svg_map

MOST_CURVES = 12  # units whose filling is drawn: those that took most
MOST_ROWS = 200
TITLE = "Units: as large as their clients are many, their rings as full as they are"


def units_section(result: Mapping[str, Any]) -> str:
    """HTML; empty where the caller could not see the fleet."""
    units = result.get("units") or []
    if not units:
        return ""
    shown = sorted(units, key=lambda unit: unit["clients_before"] - unit["clients"])
    on_map = [_on_map(unit) for unit in shown]
    hues = dict(zip((unit["unit"] for unit in shown), colours(on_map), strict=True))
    rows = [
        [
            str(unit["unit"]), f"{unit['clients_before']:,}", f"{unit['clients']:,}",
            f"{unit['capacity']:,}", f"{share(unit['clients'], unit['capacity']):.0%}",
            f"{result['homes'].get(unit['unit'], 0):,}",
        ]
        for unit in shown[:MOST_ROWS]
    ]  # fmt: skip
    return "\n".join(
        [
            "<h2>How units filled</h2>",
            f"<figure>{svg_map(on_map, [], title=TITLE)}</figure>",
            _filling(shown[:MOST_CURVES], result.get("filling") or [], hues),
            table(("unit", "clients before", "after", "room for", "used", "answers"), rows),
        ]
    )


def share(clients: float, capacity: float) -> float:
    """Of the capacity in use, 0.0 to 1.0; a unit without any is full."""
    return min(1.0, clients / capacity) if capacity else 1.0


def _on_map(unit: Mapping[str, Any]) -> MapUnit:
    return MapUnit(
        id=str(unit["unit"]),
        latitude=unit["latitude"],
        longitude=unit["longitude"],
        clients=float(unit["clients"]),
        used=share(unit["clients"], unit["capacity"]),
    )


def _filling(
    units: Sequence[Mapping[str, Any]],
    samples: Sequence[Mapping[str, Any]],
    hues: Mapping[str, str],
) -> str:
    """How full each was at each second that was looked at."""
    if len(samples) < 2:
        return ""
    last = int(max(sample["at"] for sample in samples))
    curves = []
    for unit in units:
        values: list[float | None] = [None] * (last + 1)
        before = 0
        for sample in samples:
            at = max(0, int(sample["at"]))
            used = 100.0 * share(sample["clients"].get(unit["unit"], 0), unit["capacity"])
            for second in range(before, at + 1):
                values[second] = used
            before = at + 1
        curves.append(Curve(name=str(unit["unit"]), colour=hues[unit["unit"]], values=values))
    return plot(curves, title="How full units were", unit="% of their capacity")

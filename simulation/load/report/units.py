"""Units in the report: how full they were and became, and how they filled. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulation.load.report.plots import Curve, plot
from simulation.load.report.tables import table

MOST_CURVES = 12  # units whose filling is drawn: those that took most
MOST_ROWS = 200
HUES = (
    "#f6b73c", "#4cc3f0", "#ef6f8e", "#7bd88f", "#b794f6", "#ff9466",
    "#4fd1c5", "#e6d96a", "#6f9bff", "#f08bd2", "#a3d65c", "#d9a679",
)  # fmt: skip


def units_section(result: Mapping[str, Any]) -> str:
    """HTML; empty where the caller could not see the fleet."""
    units = result.get("units") or []
    if not units:
        return ""
    shown = sorted(units, key=lambda unit: unit["clients_before"] - unit["clients"])
    hues = {unit["unit"]: HUES[at % len(HUES)] for at, unit in enumerate(shown)}
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
            _filling(shown[:MOST_CURVES], result.get("filling") or [], hues),
            table(("unit", "clients before", "after", "room for", "used", "answers"), rows),
        ]
    )


def share(clients: float, capacity: float) -> float:
    """Of the capacity in use, 0.0 to 1.0; a unit without any is full."""
    return min(1.0, clients / capacity) if capacity else 1.0


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

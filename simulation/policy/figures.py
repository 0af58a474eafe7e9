"""Figures: what an outcome says to an operator, as one document of plain values.

Distances are great circles, and latencies what distance costs alone
(`provisioner.placement.latency`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from control_plane.fleet.unit import UnitSpec
from provisioner.geo.location import Location
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.geodesy import distances_km, unit_vectors
from provisioner.placement.latency import latency_ms
from simulation.policy.arrivals import HOURS, activity, local_hour
from simulation.policy.comparison import ComparedSides, Side

Document: TypeAlias = dict[str, Any]

DISTANCE_BINS_KM = (100, 250, 500, 1_000, 2_000, 4_000, 8_000, 20_100)
QUANTILES = (0.5, 0.9, 0.99)
_MOST_AT_A_TIME = 1 << 18  # distances
MOST_MOVES = 50  # rows that a document has


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What was simulated. units: in the order of the fleet; certainty: of the country of a
    location, a word; prices: of each unit for a client, None: nobody asked; others: clients of
    other tenants by unit; most_moves: ways that a document has."""

    tenant: str
    engine: str
    population: str
    fleet: PlacementFleet
    units: Sequence[UnitSpec]
    locations: Sequence[Location]
    certainty: Callable[[Location], str]
    without: Sequence[str] = ()
    growth: float = 1.0
    sun: bool = False
    seed: int = 0
    prices: Mapping[str, float] | None = None
    others: Mapping[str, int] | None = None
    most_moves: int = MOST_MOVES


def document_of(scenario: Scenario, outcome: ComparedSides) -> Document:
    """All of it."""
    moved = sum(n for (one, other), n in outcome.moves.items() if one != other)
    both = sum(outcome.moves.values())
    rows = sorted(
        ((n, one, other) for (one, other), n in outcome.moves.items() if one != other and n >= 0.5),
        key=lambda row: (-row[0], row[1:]),
    )
    return {
        "tenant": scenario.tenant,
        "engine": scenario.engine,
        "population": scenario.population,
        "without": list(scenario.without),
        "growth": scenario.growth,
        "sun": scenario.sun,
        "seed": scenario.seed,
        "before": _side(scenario, outcome.before),
        "after": _side(scenario, outcome.after),
        "moved": {
            "clients": round(moved),
            "share": _share(moved, both),
            "ways": len(rows),
            "largest": [
                {"from": _named(scenario, one), "to": _named(scenario, other), "clients": round(n)}
                for n, one, other in rows[: scenario.most_moves]
            ],
        },
    }


def _named(scenario: Scenario, unit: int) -> str | None:
    return str(scenario.units[unit].id) if unit >= 0 else None


def _share(part: float, whole: float) -> float:
    return round(part / whole, 6) if whole else 0.0


def _side(scenario: Scenario, side: Side) -> Document:
    count = len(scenario.units)
    clients = np.zeros(count)
    for (_, unit), n in side.flows.items():
        if unit >= 0:
            clients[unit] += n
    placed = float(clients.sum())
    distances, weights = _distances(scenario, side)
    others = scenario.others or {}
    document = {
        "clients": round(side.clients),
        "placed": round(placed),
        "unplaced": round(side.clients - placed),
        "unplaced_share": _share(max(0.0, side.clients - placed), side.clients),
        "rules": {rule: round(n) for rule, n in sorted(side.rules.items()) if n >= 0.5},
        "distance_km": _quantiles(distances, weights),
        "latency_ms": {
            name: None if km is None else round(latency_ms(km), 1)
            for name, km in _quantiles(distances, weights).items()
        },
        "distances": _histogram(distances, weights),
        "residency": _residency(scenario, side),
        "units": [
            {
                "id": str(unit.id),
                "clients": round(float(n)),
                "capacity": unit.capacity,
                "load": _share(float(n) + others.get(str(unit.id), 0), unit.capacity),
                "over_time": [round(float(one)) for one in side.over_time[:, at]],
            }
            for at, (unit, n) in enumerate(zip(scenario.units, clients, strict=True))
        ],
    }
    if scenario.sun:
        _add_active(scenario, side, document)
    if scenario.prices is not None:
        known = scenario.prices
        prices = [known.get(str(unit.id)) for unit in scenario.units]
        priced = [(n, price) for n, price in zip(clients, prices, strict=True) if price is not None]
        document["cost"] = {
            "total": round(float(sum(n * price for n, price in priced)), 2),
            "clients_without_price": round(placed - float(sum(n for n, _ in priced))),
        }
    return document


def _distances(scenario: Scenario, side: Side) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of clients whose position is known: km, and how many they are."""
    known = [one.latitude is not None for one in scenario.locations]
    flows = [(number, unit, n) for (number, unit), n in side.flows.items() if unit >= 0]
    flows = [flow for flow in flows if known[flow[0]]]
    if not flows:
        return np.zeros(0), np.zeros(0)
    numbers, units, weights = (np.array(column) for column in zip(*flows, strict=True))
    places = np.array([(one.latitude or 0.0, one.longitude or 0.0) for one in scenario.locations])
    here = unit_vectors(places[:, 0], places[:, 1])
    found: list[NDArray[np.float64]] = []
    for begin in range(0, len(flows), _MOST_AT_A_TIME):
        part = slice(begin, begin + _MOST_AT_A_TIME)
        found.append(distances_km(here[numbers[part]], scenario.fleet.vectors[units[part]]))
    return np.concatenate(found), weights.astype(np.float64)


def _quantiles(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> dict[str, float | None]:
    names = ["mean", *(f"p{round(q * 100)}" for q in QUANTILES)]
    if not len(values) or not weights.sum():
        return dict.fromkeys(names)
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    total = cumulative[-1]
    found = [float((values * weights).sum() / total)]
    for q in QUANTILES:
        at = int(np.searchsorted(cumulative, q * total))
        found.append(float(values[order[min(at, len(order) - 1)]]))
    return {name: round(one, 1) for name, one in zip(names, found, strict=True)}


def _histogram(values: NDArray[np.float64], weights: NDArray[np.float64]) -> list[Document]:
    at = np.searchsorted(np.array(DISTANCE_BINS_KM), values)
    counts = np.bincount(at, weights=weights, minlength=len(DISTANCE_BINS_KM))
    return [
        {"up_to_km": edge, "clients": round(float(n))}
        for edge, n in zip(DISTANCE_BINS_KM, counts, strict=False)
    ]


def _residency(scenario: Scenario, side: Side) -> list[Document]:
    """Clients by how well their country is known, and whether they live in it."""
    found: dict[str, dict[str, float]] = {}
    for (number, unit), n in side.flows.items():
        location = scenario.locations[number]
        word = scenario.certainty(location)
        row = found.setdefault(
            word, dict.fromkeys(("same_country", "same_continent", "elsewhere", "unplaced"), 0.0)
        )
        if unit < 0:
            row["unplaced"] += n
        elif location.country and scenario.units[unit].country == location.country:
            row["same_country"] += n
        elif location.continent and scenario.fleet.units[unit].continent == location.continent:
            row["same_continent"] += n
        else:
            row["elsewhere"] += n
    return [
        {"certainty": word, **{name: round(n) for name, n in row.items()}}
        for word, row in sorted(found.items())
    ]


def _add_active(scenario: Scenario, side: Side, document: Document) -> None:
    """Of each unit, how many of its clients are active in each hour of a day (UTC)."""
    active = np.zeros((HOURS, len(scenario.units)))
    waves: dict[float | None, NDArray[np.float64]] = {}
    for (number, unit), n in side.flows.items():
        if unit < 0:
            continue
        longitude = scenario.locations[number].longitude
        wave = waves.get(longitude)
        if wave is None:
            wave = waves[longitude] = np.array(
                [activity(local_hour(hour + 0.5, longitude)) for hour in range(HOURS)]
            )
        active[:, unit] += wave * n
    for at, unit_document in enumerate(document["units"]):
        unit_document["active_by_hour"] = [round(float(n)) for n in active[:, at]]
        unit_document["peak_hour_utc"] = int(active[:, at].argmax())


def prices_of(units: Sequence[UnitSpec], label: str) -> dict[str, float]:
    """The price of each unit that has a number in this label, by its id."""
    found = {}
    for unit in units:
        try:
            price = float(unit.labels.get(label, ""))
        except ValueError:
            continue
        if isfinite(price):
            found[str(unit.id)] = price
    return found

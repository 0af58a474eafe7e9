"""Ranking: in which order units are tried for a client. Pure.

Orders come first, each a number of classes: a unit of a lower class goes before all of a higher
one, and what the first order leaves equal the second decides. Within a class the distance
decides, bent by a bias for each unit; then load, by steps; then the hash of the client, by
weight. Where latency counts, it makes classes of units below all other orders, and with caps that
hold leaves out those beyond (`latency`).
The bias is that of a traffic policy: a unit with bias b counts as d (1 - b/100) away for
b of 0 and more, as d / (1 + b/100) for b below 0, where d is the great-circle distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, inf
from typing import TypeAlias

import numpy as np

from provisioner.placement.fleet import PlacementFleet, PlacementUnit
from provisioner.placement.geodesy import Floats
from provisioner.placement.latency import LatencyCaps
from provisioner.placement.selectors import UnitSelector

MOST_BIAS = 99.0  # per cent, either way
CLASS_KM = 1e7  # between two classes: more than any biased distance, half-way round at -99


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Units that match an earlier selector go first; those that match none last."""

    selectors: tuple[UnitSelector, ...]

    def of(self, unit: PlacementUnit) -> float:
        """The unit's class, from 0."""
        matching = (at for at, one in enumerate(self.selectors) if one.matches(unit))
        return next(matching, len(self.selectors))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cheaper units go first; prices within one band are equal. label: of units, whose value is
    the price, a number; units without it go last."""

    label: str
    band: float = 1.0  # above 0

    def of(self, unit: PlacementUnit) -> float:
        """The unit's class."""
        price = price_of(unit.labels.get(self.label, ""))
        return inf if price is None else float(floor(price / self.band))


Order: TypeAlias = Preference | Cost


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """See the module. biases, weights: the first whose selector matches counts for a unit; a
    weight multiplies the unit's own."""

    orders: tuple[Order, ...] = ()
    by_distance: bool = True
    biases: tuple[tuple[UnitSelector, float], ...] = ()  # -MOST_BIAS to MOST_BIAS
    by_load: bool = True
    weights: tuple[tuple[UnitSelector, float], ...] = ()  # above 0
    latency: LatencyCaps | None = None

    @property
    def most_stretch(self) -> float:
        """By how much a difference between two distances grows at most."""
        if not self.by_distance:
            return 0.0
        return max([1.0, *(stretch(bias) for _, bias in self.biases)])

    def bias_of(self, unit: PlacementUnit) -> float:
        """In per cent; 0: none."""
        return next((bias for selector, bias in self.biases if selector.matches(unit)), 0.0)


PROXIMITY = Ranking()


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """A ranking over one fleet, arrays by unit index: what distances are multiplied by, what is
    added to them, and the weights. latency: what is added besides for each class of latency, in
    CLASS_KM, depends on the place."""

    stretch: Floats
    offsets: Floats
    weights: Floats
    by_load: bool
    latency: LatencyCaps | None = None


def scale_of(ranking: Ranking, fleet: PlacementFleet) -> Scale | None:
    """None: units are ranked by their distance alone, as they stand."""
    if ranking is PROXIMITY:
        return None
    units = fleet.units
    stretches = [stretch(ranking.bias_of(unit)) if ranking.by_distance else 0.0 for unit in units]
    weights = [unit.weight * _weight(ranking.weights, unit) for unit in units]
    return Scale(
        stretch=np.array(stretches, dtype=np.float64),
        offsets=np.array(_offsets(ranking.orders, units), dtype=np.float64)
        * (1 if ranking.latency is None else ranking.latency.class_count),
        weights=np.array(weights, dtype=np.float64),
        by_load=ranking.by_load,
        latency=ranking.latency,
    )


def stretch(bias: float) -> float:
    """What a distance is multiplied by.

    >>> stretch(50.0), stretch(-50.0), stretch(0.0)
    (0.5, 2.0, 1.0)
    """
    return 1.0 - bias / 100.0 if bias >= 0 else 1.0 / (1.0 + bias / 100.0)


def price_of(value: str) -> float | None:
    """The price that a label's value says; None: it says none."""
    try:
        price = float(value)
    except ValueError:
        return None
    return price if price == price and abs(price) < 1e12 else None


def _weight(weights: Sequence[tuple[UnitSelector, float]], unit: PlacementUnit) -> float:
    return next((weight for selector, weight in weights if selector.matches(unit)), 1.0)


def _offsets(orders: Sequence[Order], units: Sequence[PlacementUnit]) -> list[float]:
    """By unit: so many classes are before its own."""
    if not orders:
        return [0.0] * len(units)
    classes = [tuple(order.of(unit) for order in orders) for unit in units]
    rank = {found: at for at, found in enumerate(sorted(set(classes)))}
    return [rank[found] * CLASS_KM for found in classes]


def put_first(scale: Scale | None, fleet: PlacementFleet, units: Sequence[int]) -> Scale | None:
    """A scale in which these units, by index, go first, in their order: as one with a Preference
    for each of them has it, without asking the whole fleet."""
    if not units:
        return scale
    count = len(fleet.units)
    offsets = np.zeros(count) if scale is None else scale.offsets.copy()
    latency = None if scale is None else scale.latency
    apart = CLASS_KM * (1 if latency is None else latency.class_count)
    offsets += len(units) * apart
    offsets[list(units)] = np.arange(len(units), dtype=np.float64) * apart
    return Scale(
        stretch=np.ones(count) if scale is None else scale.stretch,
        offsets=offsets,
        weights=fleet.weights if scale is None else scale.weights,
        by_load=scale is None or scale.by_load,
        latency=latency,
    )

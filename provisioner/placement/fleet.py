"""PlacementFleet: the units as placement sees them, one immutable snapshot."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from control_plane.fleet.unit import EVERYWHERE, ServedAreas, UnitId
from provisioner.placement.geodesy import Floats, unit_vectors
from provisioner.placement.latency import NOTHING_MEASURED, Latencies
from provisioner.placement.rendezvous import Seeds, seed_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementUnit:
    """A unit without anything that changes by the second."""

    id: UnitId
    index: int  # its place in the snapshot
    latitude: float  # degrees, -90 to 90
    longitude: float  # degrees
    country: str  # ISO 3166-1 alpha-2
    continent: str  # AF AN AS EU NA OC SA; empty: unknown
    weight: float = 1.0  # relative share among equals, > 0
    serves: ServedAreas = EVERYWHERE
    tenants: tuple[str, ...] = ()  # empty: all
    labels: Mapping[str, str] = field(default_factory=dict)
    accepting: bool = True  # whether it takes new clients at all
    not_accepting_reason: str = ""  # when it does not: part of a sentence about the unit


class PlacementFleet:
    """Units by index, with what ranking needs computed once.

    vectors: unit vectors of their positions, shape (n, 3); seeds and weights: for rendezvous
    hashing; by_tenant, by_area: whether any unit serves only some tenants, some areas;
    revision: of the store, as of which the units are known; latencies: what was measured.
    Raises ValueError when a unit is not at its index, or its weight is not positive.
    """

    __slots__ = (
        "_indices", "by_area", "by_tenant", "continents", "countries", "latencies", "revision",
        "seeds", "shuffle_shards", "units", "vectors", "weights",
    )  # fmt: skip

    def __init__(
        self,
        *,
        units: tuple[PlacementUnit, ...],
        revision: int,
        latencies: Latencies = NOTHING_MEASURED,
    ) -> None:
        for place, unit in enumerate(units):
            if unit.index != place:
                raise ValueError(f"unit {unit.id} is at place {place}, its index {unit.index}")
            if not unit.weight > 0.0:
                raise ValueError(f"unit {unit.id} has the weight {unit.weight}")
        self.units = units
        self.latencies = latencies
        self.revision = revision
        self.vectors: Floats = unit_vectors(
            np.array([unit.latitude for unit in units], dtype=np.float64),
            np.array([unit.longitude for unit in units], dtype=np.float64),
        )
        self.seeds: Seeds = np.array([seed_of(unit.id) for unit in units], dtype=np.uint64)
        self.weights: Floats = np.array([unit.weight for unit in units], dtype=np.float64)
        self.countries = np.array([unit.country for unit in units], dtype=np.str_)
        self.continents = np.array([unit.continent for unit in units], dtype=np.str_)
        self.by_tenant = any(unit.tenants for unit in units)
        self._indices: dict[str, int] | None = None
        # What each that was asked about comes to (provisioner.placement.shuffle_shards).
        self.shuffle_shards: dict[Hashable, Any] = {}
        self.by_area = any(unit.serves.countries or unit.serves.continents for unit in units)

    def index_of(self, unit_id: str) -> int:
        """The place of a unit; -1: it is not there."""
        if self._indices is None:
            self._indices = {unit.id: unit.index for unit in self.units}
        return self._indices.get(unit_id, -1)

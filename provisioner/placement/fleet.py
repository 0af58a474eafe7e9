"""PlacementFleet: the units as placement sees them, one immutable snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from deployment_units.fleet.unit import EVERYWHERE, ServedAreas, UnitId
from provisioner.placement.geodesy import Floats, unit_vectors
from provisioner.placement.rendezvous import seed_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementUnit:
    """A unit without anything that changes by the second."""

    id: UnitId
    index: int  # its place in the snapshot
    latitude: float
    longitude: float
    country: str
    continent: str
    weight: float = 1.0
    serves: ServedAreas = EVERYWHERE
    tenants: tuple[str, ...] = ()  # empty: all
    labels: Mapping[str, str] = field(default_factory=dict)
    taking: bool = True  # whether it takes new clients at all
    not_taking_reason: str = ""


class PlacementFleet:
    """Units by index, with what ranking needs computed once.

    vectors: unit vectors of their positions, shape (n, 3); seeds: for rendezvous hashing.
    """

    __slots__ = ("by_tenant", "revision", "seeds", "units", "vectors", "weights")

    def __init__(self, *, units: tuple[PlacementUnit, ...], revision: int) -> None:
        self.units = units
        self.revision = revision
        self.vectors: Floats = unit_vectors(
            np.array([unit.latitude for unit in units], dtype=np.float64),
            np.array([unit.longitude for unit in units], dtype=np.float64),
        )
        self.seeds = [seed_of(unit.id) for unit in units]
        self.weights = [unit.weight for unit in units]
        self.by_tenant = any(unit.tenants for unit in units)

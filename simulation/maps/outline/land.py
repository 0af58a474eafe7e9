"""Reads the bundled outline of the world's land (see README.md beside it)."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

_UNIT_DEG = 0.01

Ring = NDArray[np.float64]  # shape (n, 2): longitude and latitude in degrees, closed


def read_land() -> list[list[Ring]]:
    """Polygons as lists of rings: the outline first, then the holes (lakes) in it."""
    packed = json.loads(files(__package__).joinpath("land.json").read_text())
    return [[_unpacked(ring) for ring in polygon] for polygon in packed]


def _unpacked(numbers: list[int]) -> Ring:
    steps = np.asarray(numbers, dtype=np.float64).reshape(-1, 2)
    ring: Ring = steps.cumsum(axis=0) * _UNIT_DEG
    return ring

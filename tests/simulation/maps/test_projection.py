"""The map's projection and great circles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.maps.outline.land import read_land
from simulation.maps.projection import great_circle, project

LONGITUDES = st.floats(-180.0, 180.0)
LATITUDES = st.floats(-90.0, 90.0)
PLACES = st.tuples(LONGITUDES, LATITUDES)


@pytest.mark.parametrize(
    ("longitude", "latitude", "x", "y"),
    [
        # Computed from the polynomials of Šavrič et al. (2011) with 30 decimal digits.
        pytest.param(0.0, 0.0, 0.0, 0.0, id="the origin stays"),
        pytest.param(180.0, 0.0, 2.735384, 0.0, id="the edge of the equator"),
        pytest.param(0.0, 90.0, 0.0, 1.422389, id="the pole"),
    ],
)
def test_known_points(longitude: float, latitude: float, x: float, y: float) -> None:
    px, py = project(longitude, latitude)
    assert (float(px), float(py)) == pytest.approx((x, y), abs=5e-6)


@given(LONGITUDES, LATITUDES)
def test_the_map_is_symmetric(longitude: float, latitude: float) -> None:
    """East mirrors west, north mirrors south."""
    x, y = project(longitude, latitude)
    assert np.allclose(project(-longitude, -latitude), (-x, -y))


@given(PLACES, PLACES)
def test_a_great_circle_joins_its_ends_without_leaving_the_map(
    start: tuple[float, float], end: tuple[float, float]
) -> None:
    """Also across the antimeridian, where it comes in two pieces and no piece jumps."""
    pieces = great_circle(start, end)
    for piece in pieces:
        assert np.abs(piece[:, 0]).max() <= 180.0
        assert np.abs(piece[:, 1]).max() <= 90.0
        assert np.abs(np.diff(piece[:, 0])).max() <= 180.0
    assert len(pieces) <= 2


def test_the_short_way_from_tokyo_to_seattle_crosses_the_pacific() -> None:
    pieces = great_circle((139.7, 35.7), (-122.3, 47.6))
    assert len(pieces) == 2
    assert all(np.abs(piece[:, 0]).min() > 120.0 for piece in pieces)


def test_the_outline_is_the_world_without_antarctica() -> None:
    """Rings are closed, stay on the map, and none runs across it (a ring that was not cut at
    the antimeridian would)."""
    land = read_land()
    assert len(land) > 150
    for polygon in land:
        for ring in polygon:
            assert np.allclose(ring[0], ring[-1])
            assert np.abs(ring[:, 0]).max() <= 180.0
            assert ring[:, 1].min() > -60.0
            assert np.abs(np.diff(ring[:, 0])).max() < 20.0

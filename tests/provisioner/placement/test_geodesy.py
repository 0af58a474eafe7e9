"""Distances: symmetric, bounded, right at the seams of the map."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.placement.geodesy import (
    EARTH_RADIUS_KM,
    HALF_WAY_ROUND_KM,
    distance_km,
    distances_km,
    unit_vectors,
)

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)


@pytest.mark.parametrize(
    ("a", "b", "km"),
    [
        pytest.param((0, 179.5), (0, -179.5), 111.19, id="across-the-antimeridian"),
        pytest.param((90, 0), (90, 123), 0.0, id="at-the-pole-longitude-means-nothing"),
        pytest.param((90, 0), (-90, 0), HALF_WAY_ROUND_KM, id="pole-to-pole"),
        pytest.param((0, 0), (0, 180), HALF_WAY_ROUND_KM, id="antipodes-on-the-equator"),
        pytest.param((53.3, -6.3), (53.3, -6.3), 0.0, id="nowhere-to-go"),
        pytest.param((51.4775, -0.4614), (40.6398, -73.7789), 5540.0, id="heathrow-to-kennedy"),
    ],
)
def test_known_distances(a, b, km):
    assert distance_km(*a, *b) == pytest.approx(km, rel=2e-3, abs=1e-6)


@given(latitudes, longitudes, latitudes, longitudes)
def test_both_directions_are_the_same_and_none_exceeds_half_way_round(a, b, c, d):
    there, back = distance_km(a, b, c, d), distance_km(c, d, a, b)
    assert there == pytest.approx(back, abs=1e-6)
    assert 0.0 <= there <= HALF_WAY_ROUND_KM + 1e-6


@given(latitudes, longitudes, latitudes, longitudes)
def test_a_full_turn_of_longitude_changes_nothing(a, b, c, d):
    assert distance_km(a, b + 360, c, d) == pytest.approx(distance_km(a, b, c, d), abs=1e-3)


@given(latitudes, longitudes, latitudes, longitudes, latitudes, longitudes)
def test_no_detour_is_shorter(a, b, c, d, e, f):
    assert distance_km(a, b, c, d) <= distance_km(a, b, e, f) + distance_km(e, f, c, d) + 1e-3


@given(latitudes, longitudes, latitudes, longitudes)
def test_one_and_many_agree_with_the_spherical_law_of_vectors(a, b, c, d):
    phi, lam = map(math.radians, (a, b))
    psi, mu = map(math.radians, (c, d))
    p = (math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi))
    q = (math.cos(psi) * math.cos(mu), math.cos(psi) * math.sin(mu), math.sin(psi))
    cross = math.hypot(
        p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]
    )
    expected = EARTH_RADIUS_KM * math.atan2(cross, sum(x * y for x, y in zip(p, q, strict=True)))
    many = distances_km(a, b, unit_vectors(np.array([c]), np.array([d])))
    assert distance_km(a, b, c, d) == pytest.approx(expected, abs=0.2)
    assert float(many[0]) == pytest.approx(expected, abs=0.2)

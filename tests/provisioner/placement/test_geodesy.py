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
    unit_vector,
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


def by_vectors(a, b, c, d):
    """The angle between two vectors by their cross and dot products: right everywhere."""
    phi, lam = map(math.radians, (a, b))
    psi, mu = map(math.radians, (c, d))
    p = (math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi))
    q = (math.cos(psi) * math.cos(mu), math.cos(psi) * math.sin(mu), math.sin(psi))
    cross = math.hypot(
        p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]
    )
    return EARTH_RADIUS_KM * math.atan2(cross, sum(x * y for x, y in zip(p, q, strict=True)))


@given(latitudes, longitudes, latitudes, longitudes)
def test_one_and_many_agree_with_another_formula_to_a_metre(a, b, c, d):
    many = distances_km(unit_vector(a, b), unit_vectors(np.array([c]), np.array([d])))
    assert distance_km(a, b, c, d) == pytest.approx(by_vectors(a, b, c, d), abs=1e-3)
    assert float(many[0]) == pytest.approx(by_vectors(a, b, c, d), abs=1e-3)


@given(latitudes, longitudes, st.floats(-1e-5, 1e-5), st.floats(-1e-5, 1e-5))
def test_antipodes_are_half_way_round_to_a_metre(a, b, north, east):
    opposite = max(-90.0, min(90.0, -a + north)), b + 180 + east
    many = distances_km(unit_vector(a, b), unit_vectors(*np.array(opposite).reshape(2, 1)))
    assert distance_km(a, b, *opposite) == pytest.approx(by_vectors(a, b, *opposite), abs=1e-3)
    assert float(many[0]) == pytest.approx(by_vectors(a, b, *opposite), abs=1e-3)


@given(latitudes, longitudes, st.lists(st.tuples(latitudes, longitudes), min_size=2, max_size=40))
def test_a_distance_does_not_depend_on_which_others_are_asked_for(a, b, others):
    """To the last bit: ranking some units and ranking all must give the same order."""
    here = unit_vector(a, b)
    vectors = unit_vectors(*map(np.array, zip(*others, strict=True)))
    alone = [float(distances_km(here, vectors[at : at + 1])[0]) for at in range(len(others))]
    assert distances_km(here, vectors).tolist() == alone

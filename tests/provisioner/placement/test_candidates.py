"""Candidate lists: the head of the full ranking, long enough, and of the position itself."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.placement.candidates import MOST_EQUALS, build, narrowed, place_of
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.geodesy import distance_km
from tests.support.fleets import CITIES, at, colocated, fleet, positions, situations, unit


@settings(max_examples=300, deadline=None)
@given(situations())
def test_a_short_list_is_the_head_of_the_whole_one(situation):
    arguments = (situation.fleet, situation.policy, situation.location, situation.tenant)
    short, whole = build(*arguments), build(*arguments, keep_all=True)
    assert whole.whole
    assert list(whole.tiers) == sorted(whole.tiers)
    assert short.indices == whole.indices[: len(short.indices)]
    assert short.tiers == whole.tiers[: len(short.tiers)]
    assert len(short.indices) >= min(situation.policy.kept, len(whole.indices))


@given(st.lists(positions, min_size=40, max_size=80), positions, st.floats(0, 3000))
def test_it_holds_everything_as_near_as_the_nearest(places, here, uncertainty_km):
    units = PlacementFleet(
        units=tuple(
            unit(f"u{n}", n, latitude=latitude, longitude=longitude)
            for n, (latitude, longitude) in enumerate(places)
        ),
        revision=1,
    )
    location = at(*here, uncertainty_km=uncertainty_km)
    short = build(units, PlacementPolicy(kept=3), location, "t")
    whole = build(units, PlacementPolicy(kept=3), location, "t", keep_all=True)
    limit = whole.tiers[0] + short.place.equals_within
    near = sum(tier <= limit for tier in whole.tiers)
    assert len(short.indices) == max(3, near)
    assert short.indices == whole.indices[: len(short.indices)]


def test_the_equally_near_are_bounded():
    candidates = build(colocated(1000), PlacementPolicy(), at(50, 8), "t")
    assert len(candidates.indices) == MOST_EQUALS
    assert not candidates.whole


def test_a_list_knows_whether_there_are_more():
    units = fleet(*CITIES)
    policy = PlacementPolicy(kept=2)
    assert not build(units, policy, at(50, 8), "t").whole
    assert build(units, policy, at(50, 8), "t", keep_all=True).whole
    assert build(fleet("dublin", "fiji"), policy, at(50, 8), "t").whole


def test_each_client_of_a_cell_has_its_own_nearest_first():
    units = fleet("west", "east", west={"longitude": 0.0}, east={"longitude": 2.0})
    a, b = at(0, 0.96), at(0, 1.04)
    assert a.cell == b.cell
    lists = [build(units, PlacementPolicy(), location, "t") for location in (a, b)]
    assert [list(one.indices) for one in lists] == [[0, 1], [1, 0]]


offsets = st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))


@settings(max_examples=300, deadline=None)
@given(situations(), offsets)
def test_a_narrowed_list_is_the_head_of_the_places_own(situation, offset):
    """Whatever the first list leaves out, nothing of it comes before what the second has."""
    here, policy = situation.location, situation.policy
    if here.latitude is None:
        return
    by_latency = policy.ranking.latency is not None
    near = _within_its_cell(here, offset) if by_latency else _beside(here, offset)
    apart_km = distance_km(here.latitude, here.longitude, near.latitude, near.longitude)
    apart_km = apart_km * policy.ranking.most_stretch + 1e-6
    first = build(situation.fleet, policy, here, situation.tenant)
    found = narrowed(first, place_of(near, policy), apart_km=apart_km)
    whole = build(situation.fleet, policy, near, situation.tenant, keep_all=True)
    assert found.indices == whole.indices[: len(found.indices)]
    assert found.tiers == whole.tiers[: len(found.tiers)]
    assert found.whole or not first.whole


def _beside(here, offset):
    return at(min(90.0, max(-90.0, here.latitude + offset[0])), here.longitude + offset[1],
              country=here.country, continent=here.continent,
              uncertainty_km=here.uncertainty_km)  # fmt: skip


def _within_its_cell(here, offset):
    """Latencies are of a cell: beyond it, another place has others, and no list tells of them."""
    middle = replace(here, latitude=round(here.latitude, 1), longitude=round(here.longitude, 1))
    near = _beside(middle, (offset[0] * 0.24, offset[1] * 0.24))
    assert near.cell == here.cell
    return near


@pytest.mark.parametrize(
    ("policy", "uncertainty_km", "expected"),
    [
        (PlacementPolicy(), 20.4, 20.4),
        (PlacementPolicy(least_uncertainty_km=50.0), 20.0, 50.0),
        (PlacementPolicy(most_uncertainty_km=300.0), 900.0, 300.0),
        (PlacementPolicy(least_uncertainty_km=5.0, most_uncertainty_km=300.0), 20.0, 20.0),
    ],
)
def test_a_policy_bounds_the_uncertainty(policy, uncertainty_km, expected):
    assert place_of(at(1, 1, uncertainty_km=uncertainty_km), policy).equals_within == expected
    assert place_of(at(1, 1, uncertainty_km=uncertainty_km), policy).here is not None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"index": 1}, "at place 0"),
        ({"weight": 0.0}, "weight 0.0"),
        ({"weight": float("nan")}, "weight nan"),
    ],
)
def test_a_fleet_refuses_what_would_make_it_decide_wrongly(wrong, message):
    with pytest.raises(ValueError, match=message):
        PlacementFleet(units=(unit("dublin", **{"index": 0, **wrong}),), revision=1)

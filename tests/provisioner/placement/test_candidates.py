"""Candidate lists: the head of the full ranking, long enough, and the same for all of a cell."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.placement.candidates import MOST_EQUALS, build, place_of
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from tests.support.fleets import CITIES, at, colocated, fleet, positions, situations, unit


@settings(max_examples=300)
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


def test_all_clients_of_a_cell_have_the_same_candidates():
    units = fleet("west", "east", west={"longitude": 0.0}, east={"longitude": 2.0})
    a, b = at(0, 0.96), at(0, 1.04)
    assert a.cell == b.cell
    lists = [build(units, PlacementPolicy(), location, "t") for location in (a, b)]
    assert lists[0].tiers == lists[1].tiers
    assert lists[0].indices == lists[1].indices


@pytest.mark.parametrize(
    ("policy", "uncertainty_km", "expected"),
    [
        (PlacementPolicy(), 20.4, 20.0),
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

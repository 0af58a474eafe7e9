"""About which units a hook is asked: those with room first, pool by pool, nearest first."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.placement.candidates import build
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.hook_candidates import HookCandidates
from provisioner.placement.latency import CapStep, LatencyCaps
from provisioner.placement.ranking import Ranking
from tests.support.fleets import CITIES, at, country_only, fleet, occupied, only, unit

IRELAND = at(53.0, -6.0, country="IE", continent="EU")
NAMES = ("dublin", "frankfurt", "virginia", "nairobi")
UNITS = fleet(*NAMES)


def asked(policy, room, *, most=8, where=IRELAND, units=UNITS):
    occupancy = occupied(list(room), [0.25] * len(room))
    return HookCandidates(units, occupancy).of(policy, where, "t", most=most)


def names(*given, **more):
    return [one.unit for one in asked(*given, **more)]


def test_full_ones_come_last_and_only_where_there_is_a_place_for_them():
    assert names(PlacementPolicy(), [0, 9, 9, 9], most=3) == ["frankfurt", "virginia", "nairobi"]
    assert names(PlacementPolicy(), [0, 9, 0, 9], most=3) == ["frankfurt", "nairobi", "dublin"]


def test_units_of_the_pool_that_is_tried_first_come_first():
    far = PlacementPolicy(**only("pool:far", continents=["EU"]))
    near = PlacementPolicy(**only("pool:near", countries=["US"]), spillover=far)
    assert names(near, [9] * 4) == ["virginia", "dublin", "frankfurt"]
    assert names(near, [9, 9, 0, 9]) == ["dublin", "frankfurt", "virginia"]


def test_units_beyond_the_last_cap_in_latency_are_not_told_however_few_others_there_are():
    caps = LatencyCaps(
        cap_ms=9.0,
        relax_to_ms=9.0,
        steps=(CapStep(after_s=60.0, to_ms=30.0),),
        limit_ms=30.0,
    )
    near = PlacementPolicy(ranking=Ranking(latency=caps))
    assert names(near, [9] * 4) == ["dublin", "frankfurt"]
    assert names(near, [9, 0, 9, 0]) == ["dublin", "frankfurt"]


def test_what_constraints_exclude_is_not_told():
    assert names(PlacementPolicy(**only("de", countries=["DE"])), [9] * 4) == ["frankfurt"]
    assert names(PlacementPolicy(denied="no", denied_by="a"), [9] * 4) == []


def test_of_a_client_without_position_no_distance_is_told():
    (first, *_) = asked(PlacementPolicy(), [9] * 4, where=country_only("DE", "EU"))
    assert (first.unit, first.distance_km, first.load) == ("frankfurt", None, 0.25)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.integers(1, 32),
    st.floats(-60, 60),
    st.floats(-170, 170),
)
def test_they_are_the_first_of_all_as_they_are_ranked(is_open, most, latitude, longitude):
    """Half of the units stand at one place, so that many are equal."""
    made = []
    for index in range(len(is_open)):
        named = CITIES[NAMES[index % len(NAMES)]] if index % 2 else (50.0, 8.0, "", "")
        made.append(unit(f"u{index:02}", index, latitude=named[0], longitude=named[1]))
    units = PlacementFleet(units=tuple(made), revision=1)
    where = at(latitude, longitude)
    ranked = build(units, PlacementPolicy(), where, "t", keep_all=True).indices
    free = [f"u{index:02}" for index in ranked if is_open[index]]
    full = [f"u{index:02}" for index in ranked if not is_open[index]]
    room = [int(one) for one in is_open]
    found = names(PlacementPolicy(), room, most=most, where=where, units=units)
    assert found == (free + full)[:most]

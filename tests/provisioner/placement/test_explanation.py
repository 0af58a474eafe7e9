"""Explanations: what happens and nothing else, in words a person can act on."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.fleet.unit import ServedAreas
from provisioner.geo.cells import cell_of, location_of
from provisioner.geo.location import NOWHERE
from provisioner.placement.choice import Choice
from provisioner.placement.chooser import Chooser
from provisioner.placement.explanation import RANKED_EXACTLY, UnitVerdict, explain
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.geodesy import distance_km
from tests.support.fleets import (
    at,
    colocated,
    country_only,
    fleet,
    occupied,
    situations,
)

PARIS = at(48.9, 2.4, country="FR", continent="EU", uncertainty_km=20.0)
BETWEEN = at(51.5, 1.0, uncertainty_km=400.0)


def told(units, location, *, room=None, load=None, policy=None, client=b"t/c"):
    """{unit: (verdict, rank, reason)}"""
    count = len(units.units)
    found = explain(
        units, policy or PlacementPolicy(), location, "t", client,
        room or [9] * count, load or [0.0] * count,
    )  # fmt: skip
    return {u.id: (u.verdict.value, u.rank, u.reason) for u in found.units}


@pytest.mark.parametrize(
    ("names", "location", "more", "expected"),
    [
        pytest.param(
            ("frankfurt", "dublin"), PARIS, {},
            {"frankfurt": ("chosen", 1, "474 km away, and no other that may take the client is "
                           "within the location's uncertainty of 20 km"),
             "dublin": ("ranked", 2, "779 km away, 305 km farther than frankfurt and outside the "
                        "location's uncertainty of 20 km")},
            id="the-nearest"),
        pytest.param(
            ("frankfurt", "dublin"), PARIS, {"room": [0, 9]},
            {"dublin": ("chosen", 1, "779 km away, the best that has room; nearer ones are full"),
             "frankfurt": ("excluded", 0, "full: no slot can be had there now")},
            id="the-next-best"),
        pytest.param(
            ("frankfurt", "dublin"), BETWEEN, {"load": [0.62, 0.1]},
            {"dublin": ("chosen", 1, "534 km away, the least loaded of those that are within the "
                        "location's uncertainty of 400 km"),
             "frankfurt": ("ranked", 2, "563 km away, as near as can be told, but 62% full "
                           "against 10% of dublin")},
            id="the-least-loaded"),
        pytest.param(
            ("frankfurt", "dublin"), country_only("DE", "EU"), {},
            {"frankfurt": ("chosen", 1, "is in the client's country, and no other that may take "
                           "the client matches as well"),
             "dublin": ("ranked", 2, "is on the client's continent, frankfurt is in the client's "
                        "country")},
            id="by-country"),
        pytest.param(
            ("frankfurt", "dublin"), country_only("FR", "EU"), {"load": [0.5, 0.0]},
            {"dublin": ("chosen", 1, "is on the client's continent, the least loaded of those "
                        "that match as well"),
             "frankfurt": ("ranked", 2, "matches as well, but 50% full against 0% of dublin")},
            id="by-continent"),
        pytest.param(
            ("frankfurt",), NOWHERE, {},
            {"frankfurt": ("chosen", 1, "nobody knows where the client is; load and hash decide")},
            id="nowhere"),
        pytest.param(
            ("frankfurt",), NOWHERE, {"policy": PlacementPolicy(nowhere="refuse")},
            {"frankfurt": ("excluded", 0, "nobody knows where the client is, and the policy "
                           "refuses such clients")},
            id="nowhere-refused"),
    ],
)  # fmt: skip
def test_every_unit_has_its_reason(names, location, more, expected):
    assert told(fleet(*names), location, **more) == expected


def test_equals_are_told_that_the_hash_decides():
    units = fleet("frankfurt", "dublin")
    found = told(units, BETWEEN)
    (first,) = [reason for verdict, _, reason in found.values() if verdict == "chosen"]
    (second,) = [reason for verdict, _, reason in found.values() if verdict == "ranked"]
    assert "one of several as free" in first
    assert second.endswith("the hash decides")


def test_the_excluded_come_last_with_their_reasons_and_distances():
    units = fleet(
        "frankfurt", "dublin", "nairobi",
        frankfurt={"serves": ServedAreas(countries=("DE", "AT"))},
        nairobi={"accepting": False, "not_accepting_reason": "its agent is not heard any more"},
    )  # fmt: skip
    found = explain(units, PlacementPolicy(), PARIS, "t", b"t/c", [9] * 3, [0.0] * 3)
    assert [u.id for u in found.units] == ["dublin", "frankfurt", "nairobi"]
    assert [u.reason for u in found.units[1:]] == [
        "serves only countries DE, AT; the client is in FR",
        "its agent is not heard any more",
    ]
    assert found.units[1].distance_km == pytest.approx(473, abs=1)


def test_a_full_and_forbidden_unit_is_said_to_be_forbidden():
    units = fleet("frankfurt", frankfurt={"tenants": ("acme",)})
    assert told(units, PARIS, room=[0])["frankfurt"][2] == "serves only tenant acme"


def test_an_empty_fleet_is_explained_by_nothing():
    found = explain(fleet(), PlacementPolicy(), PARIS, "t", b"t/c", [], [])
    assert (found.units, found.rule) == ((), "")


@pytest.mark.parametrize("location", [NOWHERE, at(50, 8, uncertainty_km=50.0)])
def test_a_crowd_is_explained_to_the_last_unit(location):
    count = 5 * RANKED_EXACTLY
    found = told(colocated(count), location)
    assert sorted(rank for _, rank, _ in found.values()) == list(range(1, count + 1))


@settings(max_examples=300, deadline=None)
@given(situations(), st.binary(max_size=5))
def test_what_is_explained_is_what_happens(situation, client):
    units = situation.fleet
    explanation = explain(
        units, situation.policy, situation.location, situation.tenant, client,
        situation.room, situation.load,
    )  # fmt: skip
    chooser = Chooser(units, situation.policy, occupied(situation.room, situation.load))
    choice = chooser.choose(situation.location, situation.tenant, client)
    first = [u.id for u in explanation.units if u.verdict is UnitVerdict.CHOSEN]
    if isinstance(choice, Choice):
        assert first == [situation.units[choice.unit_index].id]
        assert explanation.rule == choice.rule
    else:
        assert first == []
        assert explanation.rule == ""
    assert sorted(u.id for u in explanation.units) == sorted(u.id for u in situation.units)
    assert all(u.reason for u in explanation.units)
    ranks = [u.rank for u in explanation.units if u.rank]
    assert ranks == list(range(1, len(ranks) + 1))


@given(situations(), st.binary(max_size=5))
def test_the_second_in_rank_is_who_would_be_chosen_were_the_first_full(situation, client):
    def ranked(room):
        return [
            u.id
            for u in explain(
                situation.fleet, situation.policy, situation.location, situation.tenant,
                client, room, situation.load,
            ).units
            if u.rank
        ]  # fmt: skip

    now = ranked(situation.room)
    if now:
        without = [
            0 if unit.id == now[0] else slots
            for unit, slots in zip(situation.units, situation.room, strict=True)
        ]
        assert ranked(without) == now[1:]


@given(
    latitude=st.floats(-89, 89), longitude=st.floats(-179, 179), name=st.sampled_from(["dublin"])
)
def test_the_distance_that_was_recorded_is_told_where_only_the_cell_is_known(
    latitude, longitude, name
):
    units = fleet(name, "frankfurt")
    home = units.units[0]
    exact = round(distance_km(latitude, longitude, home.latitude, home.longitude), 1)
    middle = location_of(cell_of("", latitude, longitude, 20.0))
    found = explain(
        units, PlacementPolicy(), middle, "t", b"t/c", [9, 9], [0.0, 0.0], {home.id: exact}
    )
    told_of = next(one for one in found.units if one.id == home.id)
    assert told_of.distance_km == exact
    assert f"{exact:,.0f} km away" in told_of.reason


def test_of_a_unit_that_is_elsewhere_now_what_is_so_is_told():
    found = explain(
        fleet("dublin"), PlacementPolicy(), PARIS, "t", b"t/c", [9], [0.0], {"dublin": 20.0}
    )
    assert round(found.units[0].distance_km) == 779

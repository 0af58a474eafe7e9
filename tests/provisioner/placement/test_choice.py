"""Who gets a client: the rules by example, and what must hold whatever the fleet."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.geo.location import NOWHERE
from provisioner.placement.candidates import build
from provisioner.placement.choice import Choice, NoChoice, choose, load_step
from provisioner.placement.filters import PlacementPolicy, why_not
from tests.provisioner.placement import reference
from tests.support.fleets import (
    CITIES,
    at,
    country_only,
    fleet,
    loads,
    positions,
    situations,
    unit,
)

POLICY = PlacementPolicy()
ALL = tuple(CITIES)
clients = st.binary(max_size=5)


def decide(units, location, *, client=b"t/c", tenant="t", room=None, load=None, policy=POLICY):
    """(unit's name, rule), or the NoChoice."""
    room = room or {}
    load = load or {}
    choice = choose(
        build(units, policy, location, tenant),
        client,
        [room.get(u.id, 10) for u in units.units],
        [load.get(u.id, 0.0) for u in units.units],
    )
    if isinstance(choice, NoChoice):
        return choice
    return units.units[choice.unit_index].id, choice.rule


def homes(units, location, count, **arguments):
    """How many of `count` clients each unit gets."""
    return Counter(
        decide(units, location, client=b"t/%d" % n, **arguments)[0] for n in range(count)
    )


# -- by example --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param(at(0, -179.5), "fiji", id="nearest-across-the-antimeridian"),
        pytest.param(at(-10, 180.0), "fiji", id="on-the-antimeridian"),
        pytest.param(at(-10, -180.0), "fiji", id="on-the-antimeridian-by-its-other-name"),
        pytest.param(at(90, 0), "svalbard", id="at-the-pole"),
        pytest.param(at(90, -119.7), "svalbard", id="at-the-pole-longitude-means-nothing"),
        pytest.param(at(-90, 0), "fiji", id="at-the-other-pole"),
        pytest.param(at(48.1, 11.6), "frankfurt", id="munich-goes-to-frankfurt"),
        pytest.param(at(50.1, 8.7), "frankfurt", id="right-beside-the-unit"),
        pytest.param(at(-53.3, 173.7), "fiji", id="at-the-antipodes-of-a-unit"),
    ],
)
def test_the_nearest_unit_wins(location, expected):
    assert decide(fleet(*ALL), location) == (expected, "nearest")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param(country_only("KE", "AF"), {"nairobi"}, id="the-units-of-its-country"),
        pytest.param(country_only("US", "NA"), {"hawaii", "oregon", "virginia"},
                     id="all-of-its-country-alike-on-whatever-continent"),
        pytest.param(country_only("FR", "EU"), {"svalbard", "dublin", "frankfurt"},
                     id="then-those-of-its-continent"),
        pytest.param(country_only("BR", "SA"), set(ALL), id="then-any"),
        pytest.param(country_only("", "AF"), {"nairobi"}, id="a-continent-alone-counts-too"),
    ],
)  # fmt: skip
def test_without_position_country_and_continent_count(location, expected):
    assert set(homes(fleet(*ALL), location, 200)) == expected


def test_a_full_unit_is_passed_over():
    assert decide(fleet(*ALL), at(48.1, 11.6), room={"frankfurt": 0}) == ("dublin", "next-best")


def test_a_full_country_is_passed_over():
    units = fleet("nairobi", "dublin")
    assert decide(units, country_only("KE", "AF"), room={"nairobi": 0}) == ("dublin", "next-best")


def test_a_full_unit_that_is_farther_away_does_not_matter():
    units = fleet("dublin", "frankfurt")
    location = at(53.3, -6.3, uncertainty_km=3000.0)
    assert decide(units, location, room={"frankfurt": 0}) == ("dublin", "nearest")


def test_within_the_uncertainty_the_less_loaded_wins():
    units = fleet("dublin", "frankfurt")
    between = at(51.5, 1.0, uncertainty_km=400.0)
    load = {"dublin": 0.1, "frankfurt": 0.6}
    assert decide(units, between, load=load) == ("dublin", "least-loaded-near")
    assert decide(units, between, load={"dublin": 0.6}) == ("frankfurt", "least-loaded-near")


def test_within_the_uncertainty_equally_loaded_ones_share_by_weight():
    units = fleet("dublin", "frankfurt", frankfurt={"weight": 3.0})
    between = at(51.5, 1.0, uncertainty_km=400.0)
    assert decide(units, between)[1] == "spread-near"
    assert 0.70 < homes(units, between, 2000)["frankfurt"] / 2000 < 0.80


def test_beyond_the_uncertainty_load_does_not_matter():
    units = fleet("dublin", "frankfurt")
    near_dublin = at(53.0, -6.0, uncertainty_km=100.0)
    assert decide(units, near_dublin, load={"dublin": 0.99}) == ("dublin", "nearest")


def test_a_policy_can_widen_the_uncertainty():
    units = fleet("dublin", "frankfurt")
    policy = PlacementPolicy(least_uncertainty_km=2000.0)
    exactly = at(53.3, -6.3)
    assert decide(units, exactly, load={"dublin": 0.5}, policy=policy)[0] == "frankfurt"


def test_a_policy_can_narrow_the_uncertainty():
    units = fleet("dublin", "frankfurt")
    policy = PlacementPolicy(most_uncertainty_km=50.0)
    vaguely = at(53.3, -6.3, uncertainty_km=2000.0)
    assert decide(units, vaguely, load={"dublin": 0.5}, policy=policy)[0] == "dublin"


def test_small_differences_of_load_do_not_flip_clients():
    units = fleet("dublin", "frankfurt")
    between = at(51.5, 1.0, uncertainty_km=400.0)
    found = {decide(units, between, load={"dublin": load})[0] for load in (0.0, 0.01, 0.02, 0.049)}
    assert len(found) == 1


@pytest.mark.parametrize("load", [1.0, 1.2, 17.0])
def test_a_unit_beyond_its_capacity_that_has_room_can_be_chosen(load):
    assert decide(fleet("dublin"), at(0, 0), load={"dublin": load})[0] == "dublin"


@pytest.mark.parametrize(
    ("load", "step"),
    [(-0.3, 0), (0.0, 0), (0.0499, 0), (0.05, 1), (0.5, 10), (0.999, 19), (1.0, 20), (9.0, 20)],
)
def test_load_is_compared_in_steps_of_a_twentieth(load, step):
    assert load_step(load) == step


def test_all_full_names_those_that_may():
    units = fleet(
        "dublin", "oregon", "fiji", fiji={"accepting": False, "not_accepting_reason": "lost"}
    )
    none = decide(units, at(0, 0), room={"dublin": 0, "oregon": 0})
    assert none == NoChoice(("dublin", "oregon"), "")


def test_none_allowed_is_told_apart_from_all_full():
    units = fleet("dublin", dublin={"tenants": ("acme",)})
    none = decide(units, at(0, 0), room={"dublin": 0})
    assert none == NoChoice((), "none of its units may take a client from there")


def test_an_empty_fleet_has_no_choice():
    assert decide(fleet(), at(0, 0)) == NoChoice((), "none of its units may take a client from "
                                                     "there")  # fmt: skip


def test_nowhere_is_spread_over_all_by_weight():
    units = fleet("dublin", "oregon", "fiji", oregon={"weight": 2.0})
    found = homes(units, NOWHERE, 4000)
    assert 820 < found["dublin"] < 1180
    assert 1820 < found["oregon"] < 2180
    assert decide(units, NOWHERE)[1] == "spread"


def test_nowhere_can_be_refused():
    none = decide(fleet("dublin"), NOWHERE, policy=PlacementPolicy(nowhere="refuse"))
    assert none == NoChoice(
        (), "nobody knows where the client is, and the policy refuses such clients"
    )


# -- whatever the fleet ------------------------------------------------------------------


def chosen(situation, client):
    """The index of the unit chosen among all, or None."""
    everyone = build(
        situation.fleet, situation.policy, situation.location, situation.tenant, keep_all=True
    )
    choice = choose(everyone, client, situation.room, situation.load)
    return choice.unit_index if isinstance(choice, Choice) else None


@settings(max_examples=400, deadline=None)
@given(situations(), clients)
def test_the_choice_is_the_references(situation, client):
    assert chosen(situation, client) == reference.home(situation, client)


@given(situations(), clients)
def test_a_unit_that_may_not_take_the_client_or_is_full_is_never_chosen(situation, client):
    home = chosen(situation, client)
    if home is not None:
        assert situation.room[home] > 0
        assert not why_not(
            situation.units[home], situation.policy, situation.location, situation.tenant
        )


@given(situations(), clients)
def test_nobody_is_sent_farther_than_the_nearest_with_room_and_the_uncertainty(situation, client):
    home = chosen(situation, client)
    if home is not None:
        limit = reference.nearest_tier(situation) + reference.within_km(situation)
        assert reference.tier(situation.units[home], situation) <= limit


@given(situations(), clients)
def test_removing_a_unit_moves_only_those_it_concerns(situation, client):
    """Those it had, and those for whom it was the nearest, and so said who else is near."""
    home = chosen(situation, client)
    if home is None:
        return
    nearest = reference.nearest_tier(situation)
    for gone in situation.units:
        alone = sum(reference.tier(u, situation) == nearest
                    for u in reference.with_room(situation)) == 1  # fmt: skip
        if gone.index == home or (alone and reference.tier(gone, situation) == nearest):
            continue
        left = [replace(u, index=i) for i, u in enumerate(
            u for u in situation.units if u.index != gone.index)]  # fmt: skip
        kept = [u.index for u in situation.units if u.index != gone.index]
        smaller = replace(
            situation,
            units=tuple(left),
            room=[situation.room[index] for index in kept],
            load=[situation.load[index] for index in kept],
        )
        moved_to = chosen(smaller, client)
        assert moved_to is not None
        assert left[moved_to].id == situation.units[home].id


@given(situations(), clients, positions, loads)
def test_adding_a_unit_moves_clients_only_to_it_or_where_it_is_the_nearest(
    situation, client, position, load
):
    home = chosen(situation, client)
    new = unit("new", len(situation.units), latitude=position[0], longitude=position[1],
               country="DE", continent="EU")  # fmt: skip
    larger = replace(
        situation,
        units=(*situation.units, new),
        room=[*situation.room, 50],
        load=[*situation.load, load],
    )
    moved_to = chosen(larger, client)
    if moved_to not in (home, new.index):
        before = reference.nearest_tier(situation)
        assert reference.tier(new, situation.location) < before

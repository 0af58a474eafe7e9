"""Where a client should go: as placement would, spread by room and distance, or clearly better."""

from __future__ import annotations

from collections import Counter

import pytest

from control_plane.fleet.unit import ServedAreas
from provisioner.geo.cells import location_of
from provisioner.moves.plan import without
from provisioner.moves.targets import Targets
from provisioner.placement.choice import NoChoice
from provisioner.placement.filters import PlacementPolicy
from tests.support.fleets import fleet, never, occupied, only

POLICY = PlacementPolicy()
IRELAND = "IE:53.3,-6.3~20"


def targets(units, load=None, room=None):
    count = len(units.units)
    return Targets(units, POLICY, occupied(room or [100] * count, load or [0.0] * count))


@pytest.mark.parametrize(
    ("now", "cell", "load", "expected"),
    [
        pytest.param("frankfurt", IRELAND, {}, "dublin", id="a-nearer-unit-was-added"),
        pytest.param("dublin", IRELAND, {}, None, id="it-is-where-it-is-best-off"),
        pytest.param("frankfurt", "DE:51.0,4.0~20", {}, None, id="a-little-nearer-is-not-enough"),
        pytest.param("virginia", "nowhere", {}, None, id="nobody-knows-where-it-is"),
        pytest.param("dublin", IRELAND, {"dublin": 0.99}, None, id="crowded-but-nothing-as-near"),
        pytest.param("dublin", "EU:52.0,1.5~900", {"dublin": 0.95}, "frankfurt",
                     id="crowded-and-another-is-as-near-for-all-anybody-knows"),
        pytest.param("dublin", "EU:52.0,1.5~900", {"dublin": 0.85}, None,
                     id="busy-is-not-crowded"),
        pytest.param("dublin", "EU:52.0,1.5~900", {"dublin": 0.95, "frankfurt": 0.8}, None,
                     id="the-other-is-not-much-emptier"),
        pytest.param("gone", IRELAND, {}, "dublin", id="its-unit-is-not-in-the-fleet"),
    ],
)  # fmt: skip
def test_who_suits_a_client_clearly_better(now, cell, load, expected):
    units = fleet("dublin", "frankfurt", "virginia")
    asked = targets(units, [load.get(unit.id, 0.1) for unit in units.units])
    choice = asked.better(location_of(cell), "t", b"key", now)
    assert (choice and units.units[choice.unit_index].id) == expected


def test_a_unit_that_serves_the_client_no_more_is_left():
    units = fleet("dublin", "virginia", dublin={"serves": ServedAreas(countries=("US",))})
    choice = targets(units).better(location_of(IRELAND), "t", b"key", "dublin")
    assert units.units[choice.unit_index].id == "virginia"


def test_a_cordoned_unit_keeps_its_clients():
    units = without(fleet("dublin", "frankfurt"), "dublin", "cordoned")
    assert targets(units).better(location_of(IRELAND), "t", b"key", "dublin") is None


def test_nobody_goes_to_and_fro():
    """Whoever moved because it is better there does not move back for as little."""
    units = fleet("dublin", "frankfurt", "virginia")
    asked = targets(units)
    for degree in range(-10, 20):
        location = location_of(f"EU:51.0,{degree:.1f}~20")
        for here in units.units:
            choice = asked.better(location, "t", b"key", here.id)
            if choice is not None:
                there = units.units[choice.unit_index].id
                assert asked.better(location, "t", b"key", there) is None


def spread(asked, cell=IRELAND, clients=2_000):
    """How many of so many clients each unit would get."""
    location = location_of(cell)
    found = Counter(
        asked.spread(location, "t", b"client-%d" % n).unit_index for n in range(clients)
    )
    return {asked.fleet.units[index].id: count for index, count in found.items()}


def test_placing_is_placement_as_of_today():
    units = fleet("dublin", "frankfurt", "virginia")
    choice = targets(units).place(location_of(IRELAND), "t", b"key")
    assert units.units[choice.unit_index].id == "dublin"


def test_spreading_follows_room_among_units_as_near():
    shares = spread(targets(fleet("frankfurt", "dublin"), room=[300, 100]), "FR:50.0,1.0~2000")
    assert 2.5 < shares["frankfurt"] / shares["dublin"] < 3.5


def test_spreading_gives_less_with_distance():
    shares = spread(targets(fleet("dublin", "virginia"), room=[100, 100]))
    assert shares["dublin"] > 100 * shares.get("virginia", 0)


def test_spreading_is_the_same_for_the_same_client():
    asked = targets(fleet("dublin", "frankfurt"), room=[100, 100])
    assert spread(asked) == spread(asked)


def test_spreading_leaves_out_units_without_room():
    assert set(spread(targets(fleet("dublin", "frankfurt"), room=[0, 5]))) == {"frankfurt"}


def test_where_all_are_full_there_is_no_choice_but_units_that_would_be_allowed():
    units = fleet("dublin", "frankfurt")
    choice = targets(units, room=[0, 0]).spread(location_of(IRELAND), "t", b"key")
    assert isinstance(choice, NoChoice)
    assert set(choice.allowed) == {"dublin", "frankfurt"}


@pytest.mark.parametrize(
    ("policy", "unit", "expected"),
    [
        pytest.param({}, {}, False, id="nothing-speaks-against-it"),
        pytest.param({}, {"accepting": False}, False, id="it-takes-nobody-new-at-present"),
        pytest.param(only(countries=["DE"]), {}, True, id="not-an-allowed-country"),
        pytest.param(only(countries=["IE"]), {}, False, id="an-allowed-country"),
        pytest.param(never(countries=["IE"]), {}, True, id="a-denied-country"),
        pytest.param(only(labels={"tier": "gold"}), {}, True, id="a-label-is-missing"),
        pytest.param(
            only(labels={"tier": "gold"}), {"labels": {"tier": "gold"}}, False, id="it-has-it"
        ),
        pytest.param({"denied": "rule x denies it"}, {}, True, id="the-client-is-denied"),
        pytest.param(
            {
                **only(countries=["DE"]),
                "spillover": PlacementPolicy(**only(countries=["IE"])),
            },
            {},
            False,
            id="it-is-one-that-the-policy-spills-over-to",
        ),
        pytest.param({}, {"tenants": ("other",)}, True, id="it-serves-another-tenant"),
    ],
)
def test_whether_policy_keeps_a_client_off_its_unit(policy, unit, expected):
    units = fleet("dublin", dublin=unit)
    asked = Targets(units, PlacementPolicy(**policy), occupied([100], [0.0]))
    assert asked.allows(0, location_of(IRELAND), "t", b"assignments/t/a") is not expected

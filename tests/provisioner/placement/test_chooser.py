"""The chooser answers as `choose` would now, whatever it has kept from before."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.fleet.unit import ServedAreas
from provisioner.geo.database import GeoDatabase
from provisioner.geo.location import NOWHERE, LocationSource
from provisioner.placement.candidates import build
from provisioner.placement.choice import Choice, NoChoice, choose
from provisioner.placement.chooser import Chooser
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from tests.support.fleets import (
    CITIES,
    at,
    colocated,
    country_only,
    fleet,
    loads,
    locations,
    occupied,
    rooms,
    situations,
    unit,
)

POLICY = PlacementPolicy()
CLIENTS = (b"t/a", b"t/b", b"t/c")


class Judge:
    """Compares a chooser with `choose` over the whole fleet."""

    def __init__(self, units, policy, occupancy, **arguments):
        self.units, self.policy, self.occupancy = units, policy, occupancy
        self.chooser = Chooser(units, policy, occupancy, **arguments)

    def check(self, location, tenant="t", clients=CLIENTS):
        everyone = build(self.units, self.policy, location, tenant, keep_all=True)
        for client in clients:
            fresh = choose(everyone, client, self.occupancy.room, self.occupancy.load)
            assert self.chooser.choose(location, tenant, client) == fresh


changes = st.lists(st.tuples(st.integers(0, 11), rooms, loads), max_size=10)


@settings(max_examples=300, deadline=None)
@given(situations(), st.lists(locations(), max_size=3), changes)
def test_what_is_kept_is_what_would_be_chosen_now(situation, others, happening):
    """After every change of room and load, for several places and tenants."""
    occupancy = occupied(situation.room, situation.load)
    judge = Judge(situation.fleet, situation.policy, occupancy, max_places=3)
    places = [situation.location, *others]

    def agree():
        for location in places:
            for tenant in ("acme", "other"):
                judge.check(location, tenant)

    agree()
    for index, slots, share in happening:
        if index < len(situation.units):
            occupancy.update(index, slots, share)
            agree()
            if slots == 1:
                occupancy.use_slot(index)
                agree()


def test_slots_that_are_taken_one_by_one_lead_to_the_next_unit():
    units = fleet("frankfurt", "dublin")
    occupancy = occupied([2, 5], [0.0, 0.0])
    chooser = Chooser(units, POLICY, occupancy)
    found = []
    for _ in range(7):
        choice = chooser.choose(at(50, 8), "t", b"t/a")
        found.append((units.units[choice.unit_index].id, choice.rule))
        occupancy.use_slot(choice.unit_index)
    assert found == [("frankfurt", "nearest")] * 2 + [("dublin", "next-best")] * 5
    assert chooser.choose(at(50, 8), "t", b"t/a") == NoChoice(("frankfurt", "dublin"), "")


def test_no_room_is_missed_beyond_the_kept_candidates():
    """Only the farthest of 500 units has room."""
    units = PlacementFleet(
        units=tuple(unit(f"u{n:03}", n, longitude=n * 0.3) for n in range(500)), revision=1
    )
    occupancy = occupied([0] * 499 + [1], [1.0] * 500)
    chooser = Chooser(units, POLICY, occupancy)
    choice = chooser.choose(at(0, 0), "t", b"t/a")
    assert (choice.unit_index, choice.rule) == (499, "next-best")
    occupancy.use_slot(499)
    assert isinstance(chooser.choose(at(0, 0), "t", b"t/a"), NoChoice)
    occupancy.update(3, 1, 0.9)
    assert chooser.choose(at(0, 0), "t", b"t/a").unit_index == 3


def test_thousands_of_equals_are_chosen_from_by_the_same_rules():
    units = colocated(1000)
    occupancy = occupied([9] * 1000, [0.0] * 1000)
    judge = Judge(units, POLICY, occupancy)
    clients = [b"t/%d" % n for n in range(20)]
    for location in (at(50, 8), NOWHERE):
        judge.check(location, clients=clients)
        for index in range(0, 1000, 2):
            occupancy.update(index, 9, 0.07)
        judge.check(location, clients=clients)
        occupancy.update(1, 0, 0.0)
        judge.check(location, clients=clients)
        for index in range(1000):
            occupancy.update(index, 9, 0.0)


def test_a_far_choice_holds_until_something_changes():
    """The same object comes back: nothing was worked out again."""
    units = colocated(1000)
    occupancy = occupied([9] * 1000, [0.0] * 1000)
    chooser = Chooser(units, POLICY, occupancy)
    first = chooser.choose(NOWHERE, "t", b"t/a")
    occupancy.update(5, 8, 0.01)
    assert chooser.choose(NOWHERE, "t", b"t/a") is first
    occupancy.update(first.unit_index, 0, 1.0)
    assert chooser.choose(NOWHERE, "t", b"t/a").unit_index != first.unit_index


@pytest.mark.parametrize("source", [LocationSource.DECLARED, LocationSource.DATABASE])
def test_a_cell_between_two_units_is_decided_by_position(source):
    """Whoever asks first, and whatever is kept of the cell."""
    units = fleet("west", "east", west={"longitude": 0.0}, east={"longitude": 2.0})
    a, b = (replace(at(0, longitude), source=source) for longitude in (0.96, 1.04))
    assert a.cell == b.cell
    for order in ((a, b), (b, a), (a, b, a, b)):
        chooser = Chooser(units, POLICY, occupied([9, 9], [0.0, 0.0]))
        found = {one: chooser.choose(one, "t", b"t/a").unit_index for one in order}
        assert found == {a: 0, b: 1}


def test_places_are_kept_by_cell_and_by_tenant_where_units_tell_tenants_apart():
    units = fleet("dublin", "oregon", oregon={"tenants": ("acme",)})
    chooser = Chooser(units, POLICY, occupied([9, 9], [0.0, 0.0]))
    for location, tenant in ((at(1, 1), "t"), (at(1.01, 1.01), "t"), (at(1, 1), "acme")):
        chooser.choose(location, tenant, tenant.encode())
    assert len(chooser) == 2


def test_continents_tell_clients_apart_of_whom_no_country_is_known():
    """One cell for both would give the second what the first may have."""
    units = fleet("dublin", "oregon", dublin={"serves": ServedAreas(continents=("EU",))},
                  oregon={"serves": ServedAreas(continents=("NA",))})  # fmt: skip
    judge = Judge(units, POLICY, occupied([9, 9], [0.0, 0.0]))
    for continent in ("EU", "NA", "AF"):
        for location in (country_only("", continent), at(53, -6, continent=continent)):
            judge.check(location)


NEAR_A_CELL = (50.0, 8.0)
degrees_off = st.one_of(
    st.sampled_from([0.0, 0.05, -0.05, 0.0499999, 0.3, -1.0, 10.0]), st.floats(-0.6, 0.6)
)
near_positions = st.tuples(degrees_off, degrees_off)


@st.composite
def crowded_cells(draw):
    """Units around one cell and clients in it, with uncertainties about as large as the
    differences between distances, so that many cells are undecided."""
    base = draw(st.sampled_from([NEAR_A_CELL, (0.0, 179.95), (89.9, 12.3), (-33.9, 18.4)]))

    def moved(offset):
        latitude = min(90.0, max(-90.0, base[0] + offset[0]))
        return latitude, (base[1] + offset[1] + 180.0) % 360.0 - 180.0

    places = draw(st.lists(near_positions, min_size=1, max_size=10))
    units = PlacementFleet(
        units=tuple(
            unit(f"u{n}", n, latitude=latitude, longitude=longitude)
            for n, (latitude, longitude) in enumerate(map(moved, places))
        ),
        revision=1,
    )
    policy = PlacementPolicy(
        kept=draw(st.integers(1, 4)),
        least_uncertainty_km=draw(st.sampled_from([0.0, 0.0, 25.0])),
        most_uncertainty_km=draw(st.sampled_from([float("inf"), 30.0])),
    )
    inside = st.tuples(st.floats(-0.0499, 0.0499), st.floats(-0.0499, 0.0499))
    middle = (round(base[0], 1), round(base[1], 1))
    clients = [
        replace(
            at(
                min(90.0, middle[0] + offset[0]), middle[1] + offset[1],
                uncertainty_km=draw(st.one_of(st.just(uncertainty), st.floats(0, 120))),
            ),
            source=draw(st.sampled_from([LocationSource.DECLARED, LocationSource.DATABASE])),
        )
        for uncertainty in [draw(st.sampled_from([0.0, 0.4, 20.0, 50.0, 60.49]))]
        for offset in draw(st.lists(inside, min_size=2, max_size=6))
    ]  # fmt: skip
    room = [draw(rooms) for _ in places]
    load = [draw(loads) for _ in places]
    return units, policy, clients, occupied(room, load)


@settings(max_examples=200, deadline=None)
@given(crowded_cells(), st.lists(st.tuples(st.integers(0, 9), rooms, loads), max_size=4))
def test_every_position_of_a_cell_gets_what_it_would_get_alone(crowd, happening):
    units, policy, clients, occupancy = crowd
    judge = Judge(units, policy, occupancy)
    for location in clients:
        judge.check(location)
    for index, slots, share in happening:
        if index < len(units.units):
            occupancy.update(index, slots, share)
            for location in reversed(clients):
                judge.check(location)


def test_where_a_cell_shares_a_decision_it_is_made_once():
    """A hit costs one look-up, whoever of the cell asks: the same object comes back, and no
    position is kept."""
    chooser = Chooser(fleet("frankfurt", "dublin"), POLICY, occupied([9, 9], [0.0, 0.0]))
    first = chooser.choose(at(50, 8), "t", b"t/a")
    for offset in range(-4, 5):
        location = replace(at(50 + offset / 100, 8), source=LocationSource.DATABASE)
        assert chooser.choose(location, "t", b"t/b") is first
    assert len(chooser) == 1


def test_a_position_forgets_with_a_unit_that_the_list_of_its_cell_left_out():
    """The nearest is full, and of three about as far away the cell keeps two."""
    places = {"full": 0.0, "west": -10.0, "wester": -10.001, "east": 10.002}
    units = fleet(*places, **{name: {"longitude": at_} for name, at_ in places.items()})
    occupancy = occupied([0, 9, 9, 9], [1.0, 0.0, 0.0, 0.0])
    judge = Judge(units, PlacementPolicy(kept=3), occupancy)
    client = replace(at(0, 0.04), source=LocationSource.DATABASE)
    for _ in range(2):
        judge.check(client)
    assert judge.chooser.choose(client, "t", b"t/a").unit_index == 3
    occupancy.update(3, 0, 1.0)
    judge.check(client)


def test_declared_positions_between_units_are_not_kept():
    """They hardly ever come again, and would drive out what does."""
    units = fleet("west", "east", west={"longitude": 0.0}, east={"longitude": 2.0})
    judge = Judge(units, POLICY, occupied([9, 9], [0.0, 0.0]))
    for n in range(90):
        judge.check(at(0, 0.955 + n / 1000))
    assert len(judge.chooser) == 1


@pytest.mark.parametrize("fleet_size", [15, 200])
def test_every_address_of_the_database_gets_what_its_position_says(fleet_size):
    """A place of every stretch of the bundled database, over fleets spread over the world."""
    rng = random.Random(fleet_size)
    units = PlacementFleet(
        units=tuple(
            unit(f"u{n}", n, latitude=rng.uniform(-60, 70), longitude=rng.uniform(-180, 180))
            for n in range(fleet_size)
        ),
        revision=1,
    )
    judge = Judge(units, POLICY, occupied([9] * fleet_size, [0.0] * fleet_size))
    known = [one for one in GeoDatabase.open().locations if one is not None]
    assert len(known) > 2_000
    for location in known:
        judge.check(location, clients=(b"t/a",))


def test_places_are_bounded_and_those_in_use_stay():
    units = fleet(*CITIES)
    occupancy = occupied([9] * len(CITIES), [0.0] * len(CITIES))
    judge = Judge(units, POLICY, occupancy, max_places=10)
    home = at(50, 8)
    for n in range(100):
        judge.check(at(0, n))
        judge.check(home)
        assert len(judge.chooser) <= 10


def test_choosers_that_share_an_occupancy_do_not_make_each_other_stale():
    units = fleet("frankfurt", "dublin")
    occupancy = occupied([1, 9], [0.0, 0.0])
    small = Chooser(units, POLICY, occupancy, max_places=2)
    other = Judge(units, PlacementPolicy(kept=1), occupancy)
    other.check(at(50, 8))
    for n in range(5):
        small.choose(at(0, n), "t", b"t/a")
    occupancy.use_slot(0)
    other.check(at(50, 8))


def test_a_choice_says_by_which_rule_the_unit_won():
    chooser = Chooser(fleet("dublin"), POLICY, occupied([9], [0.0]))
    assert chooser.choose(at(53.3, -6.3), "t", b"t/a") == Choice(0, "nearest")
    assert chooser.choose(NOWHERE, "t", b"t/a") == Choice(0, "spread")

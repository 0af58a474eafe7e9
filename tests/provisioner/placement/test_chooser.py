"""The chooser answers as `choose` would now, whatever it has kept from before."""

from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.geo.location import NOWHERE
from provisioner.placement.candidates import build
from provisioner.placement.choice import Choice, NoChoice, choose
from provisioner.placement.chooser import Chooser
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.occupancy import Occupancy
from tests.support.fleets import (
    CITIES,
    at,
    colocated,
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


@settings(max_examples=300)
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


def test_the_order_in_which_clients_of_a_cell_ask_does_not_matter():
    units = fleet("west", "east", west={"longitude": 0.0}, east={"longitude": 2.0})
    a, b = at(0, 0.96), at(0, 1.04)
    found = set()
    for order in ((a, b), (b, a)):
        chooser = Chooser(units, POLICY, occupied([9, 9], [0.0, 0.0]))
        found |= {chooser.choose(location, "t", b"t/a").unit_index for location in order}
    assert len(found) == 1


def test_places_are_kept_by_cell_and_by_tenant_where_units_tell_tenants_apart():
    units = fleet("dublin", "oregon", oregon={"tenants": ("acme",)})
    chooser = Chooser(units, POLICY, Occupancy(2))
    for location, tenant in ((at(1, 1), "t"), (at(1.01, 1.01), "t"), (at(1, 1), "acme")):
        chooser.choose(location, tenant, tenant.encode())
    assert len(chooser) == 2


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


def test_a_choice_says_how_far_away_the_unit_is():
    chooser = Chooser(fleet("dublin"), POLICY, occupied([9], [0.0]))
    choice = chooser.choose(at(53.3, -6.3), "t", b"t/a")
    assert choice == Choice(0, 0.0, "nearest")
    assert chooser.choose(NOWHERE, "t", b"t/a").distance_km == -1.0

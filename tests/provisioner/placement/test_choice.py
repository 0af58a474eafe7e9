"""Who gets a client: the rules by example, and what must hold whatever the fleet."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.geo.location import NOWHERE
from provisioner.placement.candidates import build
from provisioner.placement.choice import Choice, NoChoice, choose, load_step
from provisioner.placement.chooser import Chooser
from provisioner.placement.explanation import Verdict, explain
from provisioner.placement.filters import PlacementPolicy, why_not
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.geodesy import distance_km
from provisioner.placement.occupancy import Occupancy
from provisioner.placement.rendezvous import score, seed_of, slot_of
from tests.provisioner.placement.fleets import CITIES, at, country_only, fleet, unit

POLICY = PlacementPolicy()
ALL = tuple(CITIES)


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


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        pytest.param(at(0, -179.5), ("fiji", "nearest"), id="nearest-across-the-antimeridian"),
        pytest.param(at(90, 0), ("svalbard", "nearest"), id="at-the-pole"),
        pytest.param(at(90, 150), ("svalbard", "nearest"), id="at-the-pole-from-any-side"),
        pytest.param(at(-90, 0), ("fiji", "nearest"), id="at-the-other-pole"),
        pytest.param(at(48.1, 11.6), ("frankfurt", "nearest"), id="munich-goes-to-frankfurt"),
        pytest.param(
            country_only("KE", "AF"), ("nairobi", "nearest"), id="a-country-without-position"
        ),
    ],
)
def test_the_nearest_unit_wins(location, expected):
    assert decide(fleet(*ALL), location) == expected


def test_a_full_unit_is_passed_over():
    assert decide(fleet(*ALL), at(48.1, 11.6), room={"frankfurt": 0}) == ("dublin", "next-best")


def test_within_the_uncertainty_the_less_loaded_wins():
    units = fleet("dublin", "frankfurt")
    between = at(51.5, 1.0, uncertainty_km=400.0)
    load = {"dublin": 0.1, "frankfurt": 0.6}
    assert decide(units, between, load=load) == ("dublin", "least-loaded-near")
    assert decide(units, between, load={"dublin": 0.6}) == ("frankfurt", "least-loaded-near")


def test_beyond_the_uncertainty_load_does_not_matter():
    units = fleet("dublin", "frankfurt")
    near_dublin = at(53.0, -6.0, uncertainty_km=100.0)
    assert decide(units, near_dublin, load={"dublin": 0.99}) == ("dublin", "nearest")


def test_small_differences_of_load_do_not_flip_clients():
    units = fleet("dublin", "frankfurt")
    between = at(51.5, 1.0, uncertainty_km=400.0)
    homes = {decide(units, between, load={"dublin": load})[0] for load in (0.0, 0.01, 0.02, 0.049)}
    assert len(homes) == 1


@pytest.mark.parametrize(
    ("changes", "location", "tenant", "reason"),
    [
        pytest.param({"taking": False, "not_taking_reason": "cordoned"}, at(0, 0), "t",
                     "cordoned", id="a-unit-that-takes-nobody"),
        pytest.param({"tenants": ("acme",)}, at(0, 0), "t",
                     "serves only tenant acme", id="another-tenants-unit"),
        pytest.param({"serves": unit("x").serves.__class__(countries=("DE", "AT"))},
                     at(0, 0, country="FR"), "t",
                     "serves only countries DE, AT; the client is in FR",
                     id="outside-the-served-countries"),
    ],
)  # fmt: skip
def test_who_may_not_take_a_client_says_why(changes, location, tenant, reason):
    units = fleet("dublin", dublin=changes)
    assert why_not(units.units[0], POLICY, location, tenant) == reason
    assert decide(units, location, tenant=tenant) == NoChoice(
        (), "none of its units may take a client from there"
    )


def test_all_full_names_those_that_may():
    units = fleet("dublin", "oregon")
    none = decide(units, at(0, 0), room={"dublin": 0, "oregon": 0})
    assert isinstance(none, NoChoice)
    assert set(none.allowed) == {"dublin", "oregon"}


def test_an_empty_fleet_has_no_choice():
    assert isinstance(decide(fleet(), at(0, 0)), NoChoice)


def test_nowhere_is_spread_over_all_by_weight():
    units = fleet("dublin", "oregon", "fiji", oregon={"weight": 2.0})
    homes = Counter(decide(units, NOWHERE, client=b"t/%d" % n)[0] for n in range(4000))
    assert 850 < homes["dublin"] < 1150
    assert 1850 < homes["oregon"] < 2150
    assert decide(units, NOWHERE)[1] == "spread"


def test_nowhere_can_be_refused():
    none = decide(fleet("dublin"), NOWHERE, policy=PlacementPolicy(nowhere="refuse"))
    assert none == NoChoice((), "nobody knows where the client is, and the policy refuses such "
                                "clients")  # fmt: skip


def test_when_all_kept_candidates_are_full_the_list_says_there_are_more():
    units = fleet(*ALL)
    candidates = build(units, PlacementPolicy(kept=2), at(50, 8), "t")
    assert len(candidates.indices) == 2
    assert not candidates.whole
    assert build(units, PlacementPolicy(kept=2), at(50, 8), "t", keep_all=True).whole


def test_places_are_kept_by_cell_and_by_tenant_where_units_tell_tenants_apart():
    units = fleet("dublin", "oregon", oregon={"tenants": ("acme",)})
    chooser = Chooser(units, POLICY, Occupancy(2))
    for location, tenant in ((at(1, 1), "t"), (at(1.01, 1.01), "t"), (at(1, 1), "acme")):
        chooser.choose(location, tenant, tenant.encode())
    assert len(chooser) == 2


# -- properties --------------------------------------------------------------------------

places = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@st.composite
def situations(draw):
    """(units, location, room, load) of a fleet of 1 to 12."""
    positions = draw(st.lists(places, min_size=1, max_size=12))
    units = tuple(
        unit(
            f"u{index}",
            index,
            latitude=latitude,
            longitude=longitude,
            weight=draw(st.sampled_from([0.5, 1.0, 3.0])),
            taking=draw(st.integers(0, 9)) > 0,
            not_taking_reason="cordoned",
        )
        for index, (latitude, longitude) in enumerate(positions)
    )
    room = [draw(st.sampled_from([0, 1, 50])) for _ in units]
    load = [draw(st.floats(0, 1)) for _ in units]
    latitude, longitude = draw(places)
    location = draw(
        st.one_of(
            st.just(NOWHERE),
            st.just(at(latitude, longitude, uncertainty_km=draw(st.floats(0, 9000)))),
        )
    )
    return units, location, room, load


def reference(units, location, client, room, load):
    """The rules, written down a second time, without a thought for speed."""
    open_units = [u for u in units if u.taking and room[u.index] > 0]
    if not open_units:
        return None
    if location.latitude is None:
        near = open_units
    else:
        km = {u.id: distance_km(location.latitude, location.longitude, u.latitude, u.longitude)
              for u in open_units}  # fmt: skip
        limit = min(km.values()) + location.uncertainty_km
        near = [u for u in open_units if km[u.id] <= limit]
    least = min(load_step(load[u.index]) for u in near)
    least_loaded = [u for u in near if load_step(load[u.index]) == least]
    return max(least_loaded, key=lambda u: score(slot_of(client), seed_of(u.id), u.weight)).index


def chosen(units, location, client, room, load):
    candidates = build(PlacementFleet(units=units, revision=1), POLICY, location, "t")
    choice = choose(candidates, client, room, load)
    return choice.unit_index if isinstance(choice, Choice) else None


@settings(max_examples=300)
@given(situations(), st.binary(max_size=5))
def test_the_choice_is_the_references(situation, client):
    units, location, room, load = situation
    assert chosen(units, location, client, room, load) == reference(
        units, location, client, room, load
    )


@given(situations(), st.binary(max_size=5))
def test_removing_a_unit_that_was_not_chosen_moves_nobody(situation, client):
    units, location, room, load = situation
    home = chosen(units, location, client, room, load)
    for gone in range(len(units)):
        if gone == home:
            continue
        emptied = [0 if index == gone else slots for index, slots in enumerate(room)]
        # A unit that was nearest decides who counts as near; only others can be left out.
        if location.latitude is not None and reference_nearest(units, location, room) == gone:
            continue
        assert chosen(units, location, client, emptied, load) == home


def reference_nearest(units, location, room):
    open_units = [u for u in units if u.taking and room[u.index] > 0]
    return min(
        open_units,
        key=lambda u: distance_km(location.latitude, location.longitude, u.latitude, u.longitude),
        default=units[0],
    ).index


@given(situations(), st.binary(max_size=5))
def test_what_is_explained_is_what_happens(situation, client):
    units, location, room, load = situation
    snapshot = PlacementFleet(units=units, revision=1)
    explanation = explain(snapshot, POLICY, location, "t", client, room, load)
    home = chosen(units, location, client, room, load)
    first = [u.id for u in explanation.units if u.verdict is Verdict.CHOSEN]
    assert first == ([units[home].id] if home is not None else [])
    assert {u.id for u in explanation.units} == {u.id for u in units}
    assert all(u.reason for u in explanation.units)


@settings(max_examples=200)
@given(situations(), st.lists(st.tuples(st.integers(0, 11), st.sampled_from([0, 1, 9]),
                                        st.floats(0, 1)), max_size=12))  # fmt: skip
def test_what_is_kept_is_what_would_be_chosen_now(situation, changes):
    """The chooser agrees with `choose` after every change of room and load."""
    units, location, room, load = situation
    snapshot = PlacementFleet(units=units, revision=1)
    policy = PlacementPolicy(kept=2)
    occupancy = Occupancy(len(units))
    chooser = Chooser(snapshot, policy, occupancy)
    everyone = build(snapshot, policy, location, "t", keep_all=True)

    def agree():
        for client in (b"t/a", b"t/b", b"t/c"):
            kept = chooser.choose(location, "t", client)
            fresh = choose(everyone, client, occupancy.room, occupancy.load)
            assert kept == fresh

    for index in range(len(units)):
        occupancy.update(index, room[index], load[index])
    agree()
    for index, slots, share in changes:
        if index >= len(units):
            continue
        occupancy.update(index, slots, share)
        agree()
        if slots == 1:
            occupancy.take(index)
            agree()

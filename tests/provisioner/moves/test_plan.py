"""Plans of moves: never over the room, never above the bound, nobody without need, and the
same again from the same input."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.fleet.unit import ServedAreas
from provisioner.geo.cells import cell_of, location_of
from provisioner.geo.location import LocationSource
from provisioner.moves.plan import (
    CONTINENTS,
    NO_ROOM,
    MoveStrategy,
    Planner,
    Resident,
    left_without,
    without,
)
from provisioner.placement.filters import PlacementPolicy, why_not
from provisioner.placement.fleet import PlacementFleet
from tests.support.fleets import fleet, situations
from tests.support.policies import compiled

POLICY = PlacementPolicy()
IRELAND = "IE:53.3,-6.3~20"
GERMANY = "DE:50.1,8.7~20"


def residents(count, unit, cell=IRELAND, tenant="t"):
    return [Resident(b"a/%d" % n, tenant, unit, cell) for n in range(count)]


def planner(units, *, room, load=None, capacity=1_000, strategy=MoveStrategy.PLACE, bound=None):
    count = len(units.units)
    return Planner(
        units,
        POLICY,
        room=room,
        load=load or [0.0] * count,
        capacity=[capacity] * count,
        strategy=strategy,
        bound=bound,
    )


@st.composite
def moves(draw):
    """A fleet in any state, clients of its first unit, and a way to move them."""
    situation = draw(situations())
    count = draw(st.integers(0, 30))
    cells = draw(st.lists(st.sampled_from([situation.location.cell, IRELAND, GERMANY, "nowhere",
                                           "KE:", "damaged"]), min_size=1, max_size=4))  # fmt: skip
    who = [
        Resident(b"a/%d" % n, situation.tenant, "u0", cells[n % len(cells)]) for n in range(count)
    ]
    return (
        situation,
        who,
        draw(st.sampled_from(list(MoveStrategy))),
        draw(st.one_of(st.none(), st.integers(0, 10))),
    )


def plan_of(situation, strategy, bound):
    units = situation.fleet
    if strategy is not MoveStrategy.BETTER:
        units = without(units, "u0", "it is being drained")
    return Planner(
        units,
        situation.policy,
        room=situation.room,
        load=situation.load,
        capacity=[20] * len(units.units),
        strategy=strategy,
        bound=bound,
    )


@settings(max_examples=300, deadline=None)
@given(moves())
def test_what_every_plan_keeps_to(drawn):
    situation, who, strategy, bound = drawn
    first, second = (plan_of(situation, strategy, bound) for _ in range(2))
    moves = first.add(who)
    plan = first.plan()
    room = dict(zip((unit.id for unit in situation.units), situation.room, strict=True))
    units = {unit.id: unit for unit in situation.units}
    assert plan.targets == dict(Counter(goal.unit for goal in moves))
    for unit, clients in plan.targets.items():
        assert clients <= max(0, room[unit]), "over the room"
    assert bound is None or plan.moves <= bound
    for goal in moves:
        assert goal.unit != goal.resident.unit, "moved to where it was"
        reason = why_not(units[goal.unit], situation.policy,
                         location_of(goal.resident.cell), situation.tenant)  # fmt: skip
        assert reason == "", "moved to where it may not be"
    if strategy is MoveStrategy.BETTER:
        assert plan.stay == 0  # who stays does not have to move
    else:
        assert plan.moves + plan.stay + plan.beyond_bound == len(who)
    # The same input makes the same plan, and pages make no difference.
    for resident in who:
        second.add([resident])
    assert second.plan() == plan


def test_a_drain_goes_where_placement_would():
    units = without(fleet("dublin", "frankfurt", "virginia"), "dublin", "draining")
    plan = planner(units, room=[0, 60, 1_000])
    plan.add(residents(100, "dublin"))
    assert plan.plan().targets == {"frankfurt": 60, "virginia": 40}


def test_who_cannot_go_anywhere_stays_with_the_reason_of_most():
    units = without(fleet("dublin", "frankfurt"), "dublin", "draining")
    plan = planner(units, room=[500, 70])
    plan.add(residents(100, "dublin"))
    made = plan.plan()
    assert (made.moves, made.stay, made.stay_reason) == (70, 30, NO_ROOM)


def test_the_lost_are_spread_by_room_and_distance():
    units = without(fleet("dublin", "frankfurt", "virginia", "oregon"), "dublin", "lost")
    plan = planner(
        units, room=[0, 1_000, 10_000, 1_000], strategy=MoveStrategy.SPREAD, capacity=20_000
    )
    plan.add(residents(900, "dublin"))
    targets = plan.plan().targets
    # The nearest is not filled, the one with ten times its room takes its share though it is
    # 4,000 km farther, and the far one with little room hardly any.
    assert 600 < targets["frankfurt"] + targets.get("oregon", 0) < 850
    assert targets["virginia"] > 50
    assert targets.get("oregon", 0) < 20


def test_the_lost_still_find_the_last_room():
    units = without(fleet("dublin", "frankfurt", "virginia"), "dublin", "lost")
    plan = planner(units, room=[0, 10, 90], strategy=MoveStrategy.SPREAD)
    plan.add(residents(120, "dublin"))
    assert plan.plan().targets == {"virginia": 90, "frankfurt": 10}
    assert plan.plan().stay == 20


@pytest.mark.parametrize(
    "cell",
    [IRELAND, "IE:", ":53.3,-6.3~20", cell_of("NZ", -44.04, 179.96, 99_999.0), "DE:0.0,0.0~0"],
)
def test_a_cell_names_a_place(cell):
    """Assignments keep no more of where their client was."""
    found = location_of(cell)
    assert found.cell == cell
    again = cell_of(found.country, found.latitude, found.longitude, found.uncertainty_km)
    assert again == cell


def test_a_cell_of_older_records_at_the_equator_is_read():
    found = location_of("KE:-0.0,36.8~0")
    assert found.cell == "KE:-0.0,36.8~0"
    assert cell_of("KE", found.latitude, found.longitude, 0.0) == "KE:0.0,36.8~0"


@pytest.mark.parametrize("cell", ["", "nowhere", "IE", "IE:x", "ie:1.0,2.0~3", "IE:1.0,2.0~3;"])
def test_what_is_no_cell_is_nowhere(cell):
    assert location_of(cell).cell == "nowhere"


def serving(**areas):
    return {name: {"serves": ServedAreas(**area)} for name, area in areas.items()}


@pytest.mark.parametrize(
    ("units", "tenants", "expected"),
    [
        pytest.param(fleet("dublin"), ["a"], "a", id="the-only-unit"),
        pytest.param(fleet("dublin", "virginia"), ["a"], "", id="another-serves-everybody"),
        pytest.param(fleet("dublin", "virginia", virginia={"accepting": False}), ["a"], "a",
                     id="the-other-takes-nobody"),
        pytest.param(fleet("dublin", "virginia", virginia={"tenants": ("b",)}), ["a", "b"], "a",
                     id="the-other-is-somebody-elses"),
        pytest.param(fleet("dublin", "virginia", dublin={"tenants": ("b",)}), ["a", "b"], "",
                     id="a-tenants-own-unit-but-the-other-takes-all"),
        pytest.param(fleet("dublin", "virginia", **serving(virginia={"continents": ("NA",)})),
                     ["a"], "a", id="the-other-serves-one-continent"),
        pytest.param(fleet("dublin", "virginia", **serving(
            dublin={"countries": ("IE",)}, virginia={"continents": ("EU",)})),
                     ["a"], "", id="a-country-is-served-with-its-continent"),
        pytest.param(fleet("dublin", "virginia", "oregon", **serving(
            virginia={"continents": CONTINENTS[:4]}, oregon={"continents": CONTINENTS[4:]})),
                     ["a"], "", id="two-serve-the-world-between-them"),
        pytest.param(fleet("dublin"), [], "", id="no-tenants"),
    ],
)  # fmt: skip
def test_whom_a_fleet_cannot_serve_without_a_unit(units, tenants, expected):
    tenant, witnesses = left_without(units, "dublin", tenants)
    assert tenant == expected
    assert "dublin" not in witnesses
    assert bool(witnesses) == (bool(tenants) and not expected)


def test_nobody_misses_a_unit_that_is_not_there():
    assert left_without(PlacementFleet(units=(), revision=1), "ghost", ["a"]) == ("", ())


@pytest.mark.parametrize("strategy", [MoveStrategy.PLACE, MoveStrategy.SPREAD])
@pytest.mark.parametrize(
    ("subdivision", "unit"), [("US-HI", "dublin"), ("US-TX", "virginia"), ("", "virginia")]
)
def test_a_rule_on_the_subdivision_holds_for_who_is_moved_while_away(strategy, subdivision, unit):
    rules = """
    rules:
      - {name: hawaii, when: location.subdivision == 'US-HI', require: {countries: [IE]}}
    """

    class Policies:
        """A PolicySource of one policy."""

        made = compiled(rules, tenant="t")
        default = made.base

        def of(self, tenant, location, client_key):
            return self.made.of(location, client_key)

        def revision_of(self, tenant):
            return self.made.revision

    units = without(fleet("oregon", "dublin", "virginia"), "oregon", "it is being drained")
    planned = Planner(
        units, Policies(), room=[0, 9, 9], load=[0.0] * 3, capacity=[9] * 3, strategy=strategy
    )
    who = Resident(
        b"assignments/t/anna",
        "t",
        "oregon",
        "US:38.9,-77.4~20",
        LocationSource.DATABASE,
        subdivision,
    )
    assert [one.unit for one in planned.add([who])] == [unit]

"""Caps in latency that relax: no unit beyond the one in force, and waiting never narrows."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.placement.capped_policies import CappedPolicies
from provisioner.placement.choice import Choice, NoChoice
from provisioner.placement.explanation import explain
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.hook_answers import answered
from provisioner.placement.hooks import HookAnswer, HookUse
from provisioner.placement.latency import CapStep, LatencyCaps
from provisioner.placement.policy_chooser import PolicyChooser
from provisioner.placement.ranking import Preference, Ranking
from tests.provisioner.placement import reference
from tests.support.fleets import (
    NOWHERE,
    RELAXING,
    MeasuredByCell,
    Situation,
    at,
    fleet,
    occupied,
    only,
    selector,
    situations,
)

PARIS = at(48.9, 2.4, country="FR", continent="EU", uncertainty_km=20.0)
NAMES = ("frankfurt", "dublin", "oregon")
CAPS = LatencyCaps(
    cap_ms=50.0,
    relax_to_ms=50.0,
    steps=(CapStep(after_s=120.0, to_ms=100.0), CapStep(after_s=300.0, to_ms=200.0)),
    limit_ms=200.0,
    rule="in-time",
)
TO_ANY = replace(CAPS, steps=(CapStep(after_s=120.0, to_ms=inf),), limit_ms=inf)
POLICY = PlacementPolicy(ranking=Ranking(latency=CAPS))


def chooser(
    policy: PlacementPolicy, measured: dict[str, float], room: list[int], **arguments: int
) -> PolicyChooser:
    units = PlacementFleet(
        units=fleet(*NAMES).units, revision=1, latencies=MeasuredByCell({PARIS.cell: measured})
    )
    return PolicyChooser(units, policy, occupied(room, [0.0] * 3), **arguments)


def chosen(found: Choice | NoChoice) -> str:
    assert isinstance(found, Choice)
    return NAMES[found.unit_index]


FAR = {"frankfurt": 40.0, "dublin": 90.0, "oregon": 150.0}


@pytest.mark.parametrize(
    ("waited_s", "room", "expected"),
    [
        pytest.param(0.0, [1, 1, 1], "frankfurt", id="within-the-cap-nobody-waits"),
        pytest.param(120.0, [0, 1, 1], "dublin", id="after-the-first-step"),
        pytest.param(300.0, [0, 0, 1], "oregon", id="after-the-second"),
        pytest.param(300.0, [0, 1, 1], "dublin", id="who-has-waited-long-gets-the-nearest-class"),
        pytest.param(inf, [0, 0, 1], "oregon", id="who-is-moved-has-waited-as-long-as-may-be"),
    ],
)
def test_a_unit_within_the_cap_that_holds(waited_s: float, room: list[int], expected: str) -> None:
    assert chosen(chooser(POLICY, FAR, room).choose(PARIS, "t", b"t/a", waited_s)) == expected


@pytest.mark.parametrize(
    ("waited_s", "allowed", "limit_ms", "next_ms", "left_s"),
    [
        pytest.param(0.0, ("frankfurt",), 50.0, 100.0, 120.0, id="begins"),
        pytest.param(119.0, ("frankfurt",), 50.0, 100.0, 1.0, id="just-before-the-step"),
        pytest.param(200.0, ("frankfurt", "dublin"), 100.0, 200.0, 100.0, id="in-the-first-step"),
        pytest.param(900.0, NAMES, 200.0, inf, inf, id="in-the-last"),
    ],
)
def test_where_all_within_the_cap_are_full_the_client_waits(
    waited_s: float, allowed: tuple[str, ...], limit_ms: float, next_ms: float, left_s: float
) -> None:
    found = chooser(POLICY, FAR, [0, 0, 0]).choose(PARIS, "t", b"t/a", waited_s)
    assert isinstance(found, NoChoice)
    assert found.allowed == allowed
    assert found.cap is not None
    assert (found.cap.limit_ms, found.cap.next_ms, found.cap.left_s) == (limit_ms, next_ms, left_s)
    assert found.retry


def test_a_cap_within_which_no_unit_lies_is_passed_over() -> None:
    """Nothing would come of waiting."""
    measured = {"frankfurt": 90.0, "dublin": 95.0, "oregon": 150.0}
    assert chosen(chooser(POLICY, measured, [1, 1, 1]).choose(PARIS, "t", b"t/a", 0.0)) == (
        "frankfurt"
    )
    found = chooser(POLICY, measured, [0, 0, 1]).choose(PARIS, "t", b"t/a", 0.0)
    assert isinstance(found, NoChoice)
    assert found.cap is not None
    assert (found.cap.limit_ms, found.cap.left_s) == (100.0, 300.0)


def test_beyond_the_last_cap_nobody_gets_a_unit() -> None:
    measured = dict.fromkeys(NAMES, 250.0)
    found = chooser(POLICY, measured, [1, 1, 1]).choose(PARIS, "t", b"t/a", inf)
    assert found == NoChoice(
        (),
        "no unit that may take it is within 200 ms, the widest that rule in-time allows",
        ("in-time",),
    )


def test_of_whom_no_latency_is_known_any_cap_keeps_off_all_units() -> None:
    found = chooser(POLICY, {}, [1, 1, 1]).choose(NOWHERE, "t", b"t/a", inf)
    assert isinstance(found, NoChoice)
    assert found.reason == (
        "no unit that may take it is within 200 ms, for its position is not known"
    )
    to_any = PlacementPolicy(ranking=Ranking(latency=TO_ANY))
    assert isinstance(chooser(to_any, {}, [1, 1, 1]).choose(NOWHERE, "t", b"t/a", 0.0), Choice)


def test_a_policy_that_refuses_where_all_are_full_does_so_at_the_last_step() -> None:
    refusing = chooser(replace(POLICY, full="refuse"), FAR, [0, 0, 0])
    waits = [refusing.choose(PARIS, "t", b"t/a", waited).retry for waited in (0.0, 200.0, 300.0)]
    assert waits == [True, True, False]


def test_what_goes_before_latency_does_so_within_the_cap() -> None:
    west = Preference(selectors=(selector(units=["oregon"]),))
    policy = PlacementPolicy(ranking=Ranking(latency=CAPS, orders=(west,)))
    assert chosen(chooser(policy, FAR, [1, 1, 1]).choose(PARIS, "t", b"t/a", 0.0)) == "frankfurt"
    assert chosen(chooser(policy, FAR, [1, 1, 1]).choose(PARIS, "t", b"t/a", 300.0)) == "oregon"


def test_pools_and_hooks_are_within_the_cap() -> None:
    pooled = replace(
        POLICY, **only("pool:near", units=["frankfurt"]), spillover=replace(POLICY, revision=0)
    )
    found = chooser(pooled, FAR, [0, 1, 1]).choose(PARIS, "t", b"t/a", 0.0)
    assert isinstance(found, NoChoice)
    assert found.allowed == ("frankfurt",)
    hooked = answered(
        replace(POLICY, hook=HookUse(name="h")),
        HookAnswer(order=("oregon", "dublin"), asked=frozenset(NAMES)),
    )
    for waited_s, unit in ((0.0, "frankfurt"), (120.0, "dublin"), (300.0, "oregon")):
        found = chooser(hooked, FAR, [1, 1, 1]).choose(PARIS, "t", b"t/a", waited_s)
        assert chosen(found) == unit


def test_steps_that_are_kept_are_not_mixed() -> None:
    """One chooser, asked in any order, with room for few policies and with room for all."""
    for most in (1, 2, 100):
        asked = chooser(POLICY, FAR, [0, 0, 1], most_policies=most)
        for waited_s in (300.0, 0.0, 120.0, 300.0, 0.0):
            found = asked.choose(PARIS, "t", b"t/a", waited_s)
            assert isinstance(found, Choice) is (waited_s == 300.0)


def test_who_waits_is_told_for_no_network() -> None:
    asked = chooser(POLICY, FAR, [1, 1, 1])
    asked.choose(PARIS, "t", b"t/a", 0.0)
    assert not asked.is_alike(PARIS, "t", b"t/a")


def test_the_same_step_is_the_same_policy() -> None:
    steps = CappedPolicies(most=8)
    assert steps.of(POLICY, 0) is steps.of(POLICY, 0)
    assert steps.of(POLICY, 0) is not steps.of(POLICY, 1)
    plain = PlacementPolicy()
    assert steps.of(plain, 1) is plain


waits = st.one_of(st.sampled_from([0.0, 59.9, 60.0, 120.0, inf]), st.floats(0.0, 300.0))


def relaxing(situation: Situation) -> Situation:
    policy = situation.policy
    ranking = replace(policy.ranking, latency=RELAXING)
    return replace(situation, policy=replace(policy, ranking=ranking))


@settings(max_examples=300, deadline=None)
@given(situations(), st.binary(max_size=8), st.lists(waits, min_size=2, max_size=5))
def test_waiting_never_narrows_and_no_unit_is_beyond_the_cap(
    situation: Situation, client: bytes, waited: list[float]
) -> None:
    situation = relaxing(situation)
    asked = PolicyChooser(
        situation.fleet, situation.policy, occupied(situation.room, situation.load)
    )
    placed = False
    bounds = RELAXING.bounds
    may = [unit for unit in situation.units if reference.allowed(unit, situation)]
    for waited_s in sorted(waited):
        found = asked.choose(situation.location, situation.tenant, client, waited_s)
        step = sum(waited_s >= one.after_s for one in RELAXING.steps)
        # The cap that holds: of those from the step on the first within which a unit lies.
        least = min((reference.latency(unit, situation) for unit in may), default=inf)
        cap = next((bound for bound in bounds[step:] if least <= bound), bounds[-1])
        if isinstance(found, Choice):
            placed = True
            unit = situation.units[found.unit_index]
            assert unit in may
            assert situation.room[found.unit_index] > 0
            assert reference.latency(unit, situation) <= cap
            continue
        assert not placed
        within = [unit for unit in may if reference.latency(unit, situation) <= cap]
        assert not any(situation.room[unit.index] > 0 for unit in within)
        assert bool(found.allowed) is bool(within)
        if found.cap is not None:
            assert found.cap.limit_ms == cap


@settings(max_examples=150, deadline=None)
@given(situations(), st.binary(max_size=8), waits)
def test_what_is_explained_is_what_waiting_comes_to(
    situation: Situation, client: bytes, waited_s: float
) -> None:
    situation = relaxing(situation)
    asked = PolicyChooser(
        situation.fleet, situation.policy, occupied(situation.room, situation.load)
    )
    found = asked.choose(situation.location, situation.tenant, client, waited_s)
    told = explain(
        situation.fleet, situation.policy, situation.location, situation.tenant, client,
        situation.room, situation.load, waited_s=waited_s,
    )  # fmt: skip
    if isinstance(found, Choice):
        assert told.units[0].id == situation.units[found.unit_index].id
        assert told.rule == found.rule
        return
    assert told.rule == ""
    assert told.refusal
    if found.cap is not None:
        assert told.cap == found.cap


def test_explanations_say_which_cap_holds() -> None:
    units = PlacementFleet(
        units=fleet(*NAMES).units, revision=1, latencies=MeasuredByCell({PARIS.cell: FAR})
    )
    told = explain(units, POLICY, PARIS, "t", b"t/a", [0, 1, 1], [1.0, 0.0, 0.0], waited_s=30.0)
    assert told.refusal == (
        "all units that may take it within 50 ms are full; after 120 s of waiting it may live "
        "within 100 ms"
    )
    reasons = {one.id: one.reason for one in told.units}
    assert reasons["frankfurt"] == "full: no slot can be had there now"
    assert reasons["dublin"] == (
        "some 90 ms, above 50 ms and within 100 ms (measured); it may live within 50 ms now"
    )

"""What a hook says narrows and reorders what a policy leaves, and never adds to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.placement.choice import Choice, NoChoice
from provisioner.placement.eligibility import Eligibility
from provisioner.placement.explanation import explain
from provisioner.placement.filters import PlacementPolicy, allows
from provisioner.placement.hook_answers import answered, unanswered
from provisioner.placement.hooks import HookAnswer, HookUse
from provisioner.placement.policy_chooser import PolicyChooser
from provisioner.placement.ranking import Cost, Ranking
from tests.support.fleets import CAPS, at, fleet, occupied, only

IRELAND = at(53.0, -6.0, country="IE", continent="EU", uncertainty_km=20.0)
NAMES = ("dublin", "frankfurt", "virginia", "nairobi", "oregon")
UNITS = fleet(*NAMES, dublin={"labels": {"price": "3"}}, oregon={"labels": {"price": "1"}})
LATENCY = HookUse(name="latency")
CLOSED = HookUse(name="latency", away="refuse")


def chosen(policy, room=(9,) * 5, client=b"t/a"):
    chooser = PolicyChooser(UNITS, policy, occupied(list(room), [0.1] * 5))
    found = chooser.choose(IRELAND, "t", client)
    return found if isinstance(found, NoChoice) else (NAMES[found.unit_index], found.rule)


def said(*order, vetoed=(), asked=None, use=LATENCY, **of_policy):
    answer = HookAnswer(
        order=order, vetoed=frozenset(vetoed), asked=None if asked is None else frozenset(asked)
    )
    return answered(PlacementPolicy(hook=use, **of_policy), answer)


def test_what_the_hook_names_first_goes_first_and_then_the_next():
    assert chosen(said("virginia", "nairobi")) == ("virginia", "hook")
    assert chosen(said("virginia", "nairobi"), [9, 9, 0, 9, 9]) == ("nairobi", "hook")


def test_where_none_that_it_named_has_room_the_policys_own_ranking_goes_on():
    found = chosen(said("virginia", "nairobi"), [9, 9, 0, 0, 9])
    assert found == ("dublin", "next-best")


def test_what_it_vetoes_is_not_tried():
    assert chosen(said(vetoed=["dublin"])) == ("frankfurt", "nearest")
    nobody = chosen(said(vetoed=NAMES))
    assert isinstance(nobody, NoChoice)
    assert nobody.allowed == ()
    assert nobody.rules == ("hook:latency",)


def test_a_constraint_holds_whatever_it_names():
    europe = only("eu", continents=["EU"])
    assert chosen(said("virginia", "frankfurt", **europe)) == ("frankfurt", "hook")
    nobody = chosen(said("virginia", vetoed=["dublin", "frankfurt"], **europe))
    assert isinstance(nobody, NoChoice)
    assert set(nobody.rules) == {"eu", "hook:latency"}


def test_pools_are_tried_in_their_order_and_within_each_as_the_hook_says():
    far = PlacementPolicy(hook=LATENCY, **only("pool:far", countries=["US"]))
    near = {**only("pool:near", continents=["EU"]), "spillover": far}
    policy = said("oregon", "frankfurt", vetoed=["virginia"], **near)
    assert chosen(policy) == ("frankfurt", "hook")
    assert chosen(policy, [0, 0, 9, 9, 9]) == ("oregon", "spillover")
    assert chosen(policy, [0, 0, 9, 9, 0]).allowed == ("dublin", "frankfurt", "oregon")


def test_where_its_word_is_needed_units_that_it_was_not_asked_about_are_not_tried():
    asked = ["dublin", "frankfurt"]
    assert chosen(said(asked=asked, use=CLOSED), [0, 9, 9, 9, 9]) == ("frankfurt", "next-best")
    full = chosen(said(asked=asked, use=CLOSED), [0, 0, 9, 9, 9])
    assert full.allowed == ("dublin", "frankfurt")
    assert chosen(said(asked=asked), [0, 0, 9, 9, 9])[0] == "virginia"


def test_without_an_answer_the_policy_says_what_holds():
    assert unanswered(policy := PlacementPolicy(hook=LATENCY)) is policy
    assert chosen(policy) == ("dublin", "nearest")
    refused = chosen(unanswered(PlacementPolicy(hook=CLOSED)))
    assert refused.reason == "hook latency of its policy gave no answer"
    assert refused.rules == ("unanswered:hook:latency",)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(HookAnswer(order=("a", "a")), "it orders a unit twice", id="twice"),
        pytest.param(
            HookAnswer(order=("a",), vetoed=frozenset({"a"})),
            "it both orders and vetoes a",
            id="ordered-and-vetoed",
        ),
        pytest.param(
            HookAnswer(order=("b",), asked=frozenset({"a"})),
            "it names b, which it was not asked about",
            id="not-asked",
        ),
        pytest.param(HookAnswer(order=("a",), asked=frozenset({"a"})), "", id="good"),
    ],
)
def test_an_answer_that_cannot_be_meant_is_told(answer, why):
    assert answer.why_faulty() == why


def test_each_unit_is_explained_by_the_hook_that_decided():
    policy = said("virginia", vetoed=["frankfurt"])
    told = explain(UNITS, policy, IRELAND, "t", b"t/a", [9] * 5, [0.1] * 5)
    by_id = {one.id: one.reason for one in told.units}
    assert told.rule == "hook"
    assert told.units[0].id == "virginia"
    assert by_id["virginia"].endswith("ranked first by hook latency")
    assert by_id["dublin"] == "the ranking of hook latency puts virginia first"
    assert by_id["frankfurt"] == "is unit frankfurt, which rule hook:latency forbids"


orders = st.lists(st.sampled_from([*NAMES, "gone"]), unique=True, max_size=4)
constraints = st.sampled_from(
    [{}, only("eu", continents=["EU"]), only("us", countries=["US"]), only("none", units=["gone"])]
)
rankings = st.sampled_from(
    [
        Ranking(),
        Ranking(by_distance=False),
        Ranking(orders=(Cost(label="price"),)),
        Ranking(latency=CAPS, orders=(Cost(label="price"),)),
    ]
)


@settings(deadline=None, max_examples=80)
@given(
    orders,
    st.frozensets(st.sampled_from(NAMES)),
    st.frozensets(st.sampled_from(NAMES)),
    constraints,
    rankings,
    st.booleans(),
    st.lists(st.integers(0, 2), min_size=5, max_size=5),
    st.sampled_from([b"t/a", b"t/b", b"t/c"]),
)
def test_any_answer_stays_within_the_policy_and_costs_no_look_at_the_fleet(
    order, vetoed, asked, held, ranking, closed, room, client
):
    """And the shortcut by which its units are found says what the long way says."""
    policy = PlacementPolicy(hook=CLOSED if closed else LATENCY, ranking=ranking, **held)
    answer = HookAnswer(order=tuple(order), vetoed=vetoed, asked=asked)
    after = answered(policy, answer)
    short = Eligibility(UNITS, after, Eligibility(UNITS, policy)).of(IRELAND, "t")
    long = Eligibility(UNITS, after).of(IRELAND, "t")
    assert short.ids == long.ids
    assert (short.emptied_by, short.refusal) == (long.emptied_by, long.refusal)
    if order and set(order) <= set(NAMES):
        assert np.array_equal(short.weights, long.weights)
        assert short.by_load == long.by_load
        assert short.scale is not None
        assert long.scale is not None
        assert sorted(range(5), key=short.scale.offsets.__getitem__) == sorted(
            range(5), key=long.scale.offsets.__getitem__
        )
    found = PolicyChooser(UNITS, after, occupied(room, [0.1] * 5)).choose(IRELAND, "t", client)
    told = explain(UNITS, after, IRELAND, "t", client, room, [0.1] * 5)
    if isinstance(found, Choice):
        unit = UNITS.units[found.unit_index]
        assert allows(unit, policy, IRELAND, "t")
        assert room[found.unit_index] > 0
        assert unit.id not in vetoed
        assert not closed or unit.id in asked
        assert (told.units[0].id, told.rule) == (unit.id, found.rule)
    else:
        assert told.rule == ""

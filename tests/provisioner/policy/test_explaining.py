"""Every rule of a policy is told for a client, whether it holds, and by which clause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.geo.location import NOWHERE
from provisioner.policy.explaining import explain_policy, sentence_of
from tests.support.fleets import at, locations
from tests.support.policies import client, compiled, rules_of

BERLIN = at(52.5, 13.4, country="DE", continent="EU", uncertainty_km=400)
RULES = """
    groups: {gov: {patterns: ["gov-*"]}}
    rings: {canary: {share: 100, labels: {ring: canary}}}
    rules:
    - {name: always, forbid: {labels: {state: old}}}
    - {name: both, when: 'location.country == "DE" && "gov" in client.groups',
       require: {labels: {a: "1"}}}
    - {name: either, when: 'location.country == "FR" || location.country == "DE"',
       require: {labels: {b: "1"}}}
    - {name: north, when: 'location.latitude > 60.0', require: {labels: {c: "1"}}}
    - {name: strict, location: strict, require: {labels: {d: "1"}}}
    - {name: ranks, when: 'location.latitude > 60.0', rank: {distance: false}}
"""


def outcomes(location, who):
    told = explain_policy(compiled(RULES), location, client(who))
    return {rule.name: (rule.holds, rule.why) for rule in told.rules}


def test_each_rule_and_the_clause_that_decided():
    assert outcomes(BERLIN, "anna") == {
        "always": (True, "it always holds"),
        "both": (False, '`"gov" in client.groups` is false'),
        "either": (True, '`location.country == "DE"` is true'),
        "north": (False, "`location.latitude > 60.0` is false"),
        "strict": (False, "it asks for a location that is certain, and this one is uncertain"),
        "ranks": (False, "`location.latitude > 60.0` is false"),
    }


@pytest.mark.parametrize(
    ("rule", "holds", "rest"),
    [
        pytest.param("north", True, "so it holds, as it keeps clients off units", id="hard"),
        pytest.param("ranks", False, "so it does not hold", id="ranking-only"),
    ],
)
def test_what_cannot_be_decided_is_told(rule, holds, rest):
    found = outcomes(NOWHERE, "anna")[rule]
    assert found == (
        holds, f"`location.latitude > 60.0` cannot be decided (no field latitude), {rest}"
    )  # fmt: skip


@given(locations(), st.sampled_from(["anna", "gov-1"]))
def test_it_says_what_is_done(location, who):
    policy = compiled(RULES)
    told = explain_policy(policy, location, client(who))
    hard = [rule.name for rule in told.rules if rule.holds and rule.name != "ranks"]
    assert rules_of(policy.of(location, client(who))) == [*hard, "ring:canary"]


def test_a_sentence_to_be_read_aloud():
    told = explain_policy(compiled(RULES), BERLIN, client("anna"))
    assert sentence_of("anna", "dublin", "12 km away", told) == (
        "anna would live in dublin: 12 km away; of the rules of the policy, version 7, always and "
        "either hold"
    )
    assert sentence_of("anna", "", "all are full", None) == (
        "anna would live nowhere: all are full"
    )

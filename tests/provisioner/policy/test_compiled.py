"""What a policy says of a client: which rules hold, for each place once and for each client."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.geo.location import NOWHERE, LocationSource
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.ranking import PROXIMITY
from tests.support.fleets import at, country_only
from tests.support.policies import client, compiled, rules_of

BERLIN = at(52.5, 13.4, country="DE", continent="EU", uncertainty_km=10)
PARIS = at(48.9, 2.3, country="FR", continent="EU", uncertainty_km=10)
SOMEWHERE_IN_FRANCE = at(46.0, 2.0, country="FR", continent="EU", uncertainty_km=400)
ANNA = client("anna")

RULES = """
    groups: {gov: {patterns: ["gov-*"]}, vip: {ids: [anna]}}
    rules:
    - {name: always, forbid: {labels: {state: old}}}
    - {name: germans, when: 'location.country == "DE"', require: {countries: [DE]}}
    - {name: north, when: 'location.latitude > 50.0', require: {labels: {north: "y"}}}
    - {name: gov, when: '"gov" in client.groups', require: {labels: {gov: "y"}}}
    - {name: german-vip, when: '"vip" in client.groups && location.country == "DE"',
       require: {labels: {vip: "y"}}}
    - {name: certain, when: 'location.country == "FR"', location: strict,
       require: {labels: {fr: "y"}}}
    - {name: said, when: 'location.country == "FR"', location: declared,
       require: {labels: {said: "y"}}}
"""


@pytest.mark.parametrize(
    ("location", "who", "expected"),
    [
        pytest.param(BERLIN, "ben", ["always", "germans", "north"], id="by-country-and-position"),
        pytest.param(BERLIN, "anna", ["always", "germans", "north", "german-vip"],
                     id="by-place-and-group"),
        pytest.param(PARIS, "anna", ["always", "certain", "said"], id="of-one-group-elsewhere"),
        pytest.param(PARIS, "gov-1", ["always", "gov", "certain", "said"], id="by-group"),
        pytest.param(SOMEWHERE_IN_FRANCE, "ben", ["always", "said"], id="an-uncertain-location"),
        pytest.param(replace(PARIS, source=LocationSource.DATABASE), "ben", ["always", "certain"],
                     id="a-location-that-nobody-declared"),
        pytest.param(country_only("FR", "EU"), "ben", ["always", "north"],
                     id="a-position-that-is-not-known-keeps-the-client-off-all-the-same"),
        pytest.param(NOWHERE, "ben", ["always", "north"], id="nowhere"),
    ],
)  # fmt: skip
def test_which_rules_hold(location, who, expected):
    policy = compiled(RULES)
    for _ in range(2):  # worked out, and kept
        assert rules_of(policy.of(location, client(who))) == expected


def test_what_cannot_be_decided_is_counted():
    policy = compiled(RULES)
    policy.of(NOWHERE, ANNA)
    assert policy.undecided == {"north": 1}


def test_a_rule_that_only_ranks_does_not_hold_where_it_cannot_be_decided():
    policy = compiled(
        "rules: [{name: a, when: 'location.latitude > 50.0', rank: {distance: false}}]"
    )
    assert policy.of(NOWHERE, ANNA).ranking is PROXIMITY
    assert not policy.of(BERLIN, ANNA).ranking.by_distance


def test_clients_that_are_treated_alike_share_a_policy():
    policy = compiled(RULES)
    assert policy.of(BERLIN, client("ben")) is policy.of(BERLIN, client("carla"))


def test_no_condition_is_evaluated_for_clients_whom_rules_of_places_alone_concern():
    policy = compiled("rules: [{name: a, when: 'location.latitude > 50.0', deny: true}]")
    before = policy.of(BERLIN, ANNA)
    del policy._by_place, policy._by_area  # whatever would have to be evaluated
    assert policy.of(BERLIN, client("ben")) is before


def test_places_are_those_that_a_record_keeps():
    """A tenth of a degree: who moves the client later reads the middle of its cell."""
    policy = compiled("rules: [{name: a, when: 'location.latitude >= 50.0', deny: true}]")
    inside = at(49.96, 8.0)
    assert inside.cell == at(50.0, 8.0).cell
    assert policy.of(inside, ANNA).denied


def test_the_first_rule_that_says_something_counts_and_constraints_hold_together():
    policy = compiled(
        """
        rules:
        - {name: a, nowhere: refuse, require: {continents: [EU]}}
        - {name: b, nowhere: spread, full: refuse, require: {labels: {x: "1"}}}
        """
    ).of(BERLIN, ANNA)
    assert (policy.nowhere, policy.full) == ("refuse", "refuse")
    assert rules_of(policy) == ["a", "b"]
    assert policy.revision == 7


def test_what_a_policy_does_not_say_the_server_does():
    policy = compiled("rules: []", base=PlacementPolicy(nowhere="refuse"))
    assert policy.of(BERLIN, ANNA).nowhere == "refuse"


def test_pools_are_tried_in_turn():
    policy = compiled(
        """
        pools: {near: {continents: [EU], spillover: far}, far: {continents: [NA]}}
        rules: [{name: a, pool: near, forbid: {labels: {state: old}}}]
        """
    ).of(BERLIN, ANNA)
    assert rules_of(policy) == ["a", "pool:near"]
    assert rules_of(policy.spillover) == ["a", "pool:far"]
    assert policy.spillover.spillover is None


def test_a_ring_has_units_of_its_own():
    policy = compiled("rings: {canary: {share: 30, labels: {ring: canary}}}")
    found = [policy.of(BERLIN, client(f"c{n}")).constraints[0] for n in range(200)]
    assert 30 < sum(not one.forbids for one in found) < 90
    assert {one.rule for one in found} == {"ring:canary"}


def test_preferences_are_of_the_subdivision_before_the_country():
    policy = compiled(
        """
        rules:
        - name: a
          rank: {by_country: {US: [{continents: [NA]}], US-HI: [{continents: [OC]}]}}
        """
    )
    texas = at(31.0, -99.0, country="US", continent="NA")
    hawaii = replace(texas, subdivision="US-HI")

    def first(location):
        return policy.of(location, ANNA).ranking.orders[0].selectors[0].continents

    assert (first(texas), first(hawaii)) == ({"NA"}, {"OC"})
    assert policy.of(BERLIN, ANNA).ranking is PROXIMITY


def test_a_condition_may_read_the_time():
    now = [1_800_000_000.0]
    policy = compiled(
        "rules: [{name: a, when: 'now > timestamp(\"2027-01-15T09:00:00Z\")', deny: true}]",
        wall=lambda: now[0],
    )
    assert not policy.of(BERLIN, ANNA).denied
    now[0] += 3_600 * 24
    assert policy.of(BERLIN, ANNA).denied == "rule a denies this client a home"

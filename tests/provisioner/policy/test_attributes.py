"""What a policy says of clients by their attributes: conditions, groups, and whom they cost."""

from __future__ import annotations

import pytest

from control_plane.errors import ServiceError
from provisioner.placement.attributes import with_attributes
from provisioner.policy.explaining import explain_policy
from tests.support.fleets import at
from tests.support.policies import client, compiled, rules_of

BERLIN = at(52.5, 13.4, country="DE", continent="EU", uncertainty_km=10)
SEVENTEEN = "{" + ", ".join(f"a{n}: x" for n in range(17)) + "}"
RULES = """
    groups:
      gov: {attributes: {kind: government}}
      partner: {ids: [ben], attributes: {kind: [partner, reseller], tier: gold}}
    rules:
    - {name: gov, when: '"gov" in client.groups', require: {labels: {gov: "y"}}}
    - {name: partner, when: '"partner" in client.groups', require: {labels: {partner: "y"}}}
    - {name: tested, when: '"stage" in client.attributes && client.attributes.stage == "beta"',
       require: {labels: {beta: "y"}}}
    - {name: had, when: 'has(client.attributes.contract)', require: {labels: {contract: "y"}}}
"""


def key(attributes, who="anna"):
    return with_attributes(client(who), attributes)


@pytest.mark.parametrize(
    ("who", "attributes", "expected"),
    [
        pytest.param("anna", None, [], id="a-client-without"),
        pytest.param("anna", {"kind": "government"}, ["gov"], id="of-a-group"),
        pytest.param("anna", {"kind": "private"}, [], id="another-value"),
        pytest.param(
            "anna", {"kind": "reseller", "tier": "gold"}, ["partner"], id="all-of-a-group"
        ),
        pytest.param("anna", {"kind": "reseller"}, [], id="one-of-two"),
        pytest.param("ben", None, ["partner"], id="by-id-besides"),
        pytest.param("anna", {"stage": "beta"}, ["tested"], id="in-a-condition"),
        pytest.param("anna", {"stage": "alpha"}, [], id="another-value-in-a-condition"),
        pytest.param("anna", {"contract": "7", "kind": "government"}, ["gov", "had"], id="has"),
    ],
)
def test_which_rules_hold(who, attributes, expected):
    policy = compiled(RULES)
    for _ in range(2):  # worked out, and kept
        assert rules_of(policy.of(BERLIN, key(attributes, who))) == expected
    told = explain_policy(policy, BERLIN, key(attributes, who))
    assert [one.name for one in told.rules if one.holds] == expected
    assert dict(told.attributes) == (attributes or {})
    assert policy.undecided == {}


def test_a_rule_that_needs_an_attribute_which_is_absent_cannot_be_decided():
    """So it holds where it keeps clients off units, and does not where it ranks them."""
    policy = compiled(
        """
        rules:
        - {name: a, when: 'client.attributes.kind == "government"', require: {countries: [DE]}}
        - {name: b, when: 'client.attributes.kind == "government"', nowhere: refuse}
        """
    )
    found = policy.of(BERLIN, client("anna"))
    assert (rules_of(found), found.nowhere) == (["a"], "spread")
    assert policy.undecided == {"a": 1, "b": 1}
    assert rules_of(policy.of(BERLIN, key({"kind": "private"}))) == []
    assert '`client.attributes.kind == "government"` cannot be decided (no field kind)' in (
        explain_policy(policy, BERLIN, client("anna")).rules[0].why
    )


def test_an_attribute_may_be_read_with_what_holds_without_it():
    policy = compiled(
        'rules: [{name: a, when: \'client.attributes[?"kind"].orValue("none") == "none"\', '
        "deny: true}]"
    )
    assert policy.of(BERLIN, client("anna")).denied
    assert not policy.of(BERLIN, key({"kind": "private"})).denied


def test_no_condition_is_evaluated_for_clients_without_attributes():
    policy = compiled(RULES)
    before = policy.of(BERLIN, client("anna"))
    policy.client_bindings = None  # whatever would have to be evaluated
    assert policy.of(BERLIN, client("carla")) is before
    with pytest.raises(TypeError):
        policy.of(BERLIN, key({"stage": "beta"}))


def test_clients_with_attributes_are_not_all_alike():
    assert not compiled(RULES).is_alike(BERLIN)
    assert compiled("groups: {gov: {attributes: {kind: x}}}\nrules: []").is_alike(BERLIN)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("groups: {gov: {attributes: {kind: ''}}}",
                     "groups.gov.attributes.kind: has to be a list of texts", id="empty"),
        pytest.param("groups: {gov: {attributes: {kind: []}}}", "give the value", id="no-value"),
        pytest.param("groups: {gov: {attributes: {'a b': x}}}", "is no name of an attribute",
                     id="a-name"),
        pytest.param(f"groups: {{gov: {{attributes: {{kind: {'x' * 257}}}}}}}", "256 bytes",
                     id="a-long-value"),
        pytest.param("groups: {gov: {attributes: [kind]}}", "has to be an object", id="a-list"),
        pytest.param(f"groups: {{gov: {{attributes: {SEVENTEEN}}}}}", "has 17 entries",
                     id="too-many"),
        pytest.param("groups: {gov: {atributes: {kind: x}}}", "did you mean attributes?",
                     id="misspelt"),
        pytest.param("rules: [{name: a, when: 'client.attribute.x == \"y\"', deny: true}]",
                     "did you mean attributes?", id="misspelt-in-a-condition"),
        pytest.param("rules: [{name: a, when: 'client.attributes.x.y == \"z\"', deny: true}]",
                     "client.attributes.x is a text", id="deeper"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_document(text, says):
    with pytest.raises(ServiceError) as refused:
        compiled(text)
    assert says in refused.value.message

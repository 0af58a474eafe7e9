"""What a policy names has to be there: units that its rules ask for, and hooks."""

from __future__ import annotations

import pytest

from provisioner.policy.fleet_check import unknown_hooks, unmatched
from tests.support.fleets import fleet
from tests.support.policies import compiled

HOOKED = "rules: [{name: a, hook: {name: latency}}, {name: b, hook: {name: cost}}]"


def test_a_hook_that_the_tenant_may_not_name_is_told_with_its_rule():
    document = compiled(HOOKED).document
    assert unknown_hooks(document, ["latency", "cost"]) == []
    (told,) = unknown_hooks(document, ["latency", "costs"])
    assert told.startswith(
        'rules[1] (b).hook.name: the tenant may name no hook "cost"; did you mean'
    )
    assert len(unknown_hooks(document, [])) == 2


@pytest.mark.parametrize(
    ("selector", "meant"),
    [
        pytest.param(
            "units: [dubiln]", '; there is no unit "dubiln", did you mean dublin?', id="a-unit"
        ),
        pytest.param(
            "labels: {tir: gold}", '; no unit has a label "tir", did you mean tier?', id="a-label"
        ),
        pytest.param(
            "labels: {tier: glod}", "; no unit has tier=glod, did you mean gold?", id="a-value"
        ),
        pytest.param("countries: [JP]", "country JP", id="where-none-is"),
    ],
)
def test_the_name_that_was_meant_is_told(selector, meant):
    document = compiled(f"rules: [{{name: a, require: {{{selector}}}}}]").document
    units = fleet("dublin", "frankfurt", dublin={"labels": {"tier": "gold"}}).units
    ((told,), _) = unmatched(document, units)
    assert told.endswith(meant)


def test_selectors_that_no_unit_matches_are_told_those_that_clients_need_apart():
    document = compiled(
        """
        rules:
        - {name: a, require: {countries: [JP]}}
        - {name: b, forbid: {countries: [BR]}}
        """
    ).document
    needed, others = unmatched(document, fleet("dublin").units)
    assert needed == ["rules[0] (a).require: no unit of the fleet is country JP"]
    assert others == ["rules[1] (b).forbid: no unit of the fleet is country BR"]

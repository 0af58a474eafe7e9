"""What hooks say in a simulation: read strictly, the first answer for a place counts."""

from __future__ import annotations

import pytest

from control_plane.fleet.file import SAMPLE, read_fleet
from provisioner.geo.location import NOWHERE
from simulation.policy.case_run import run_cases
from simulation.policy.cases import read_cases
from simulation.policy.client_policy import TenantPolicy
from simulation.policy.hook_stand_ins import FaultyStandIns, StandInPolicy, read_stand_ins
from tests.support.policies import compiled

UNITS = read_fleet(SAMPLE)
RULES = """
rules:
  - {name: eu, when: location.continent == "EU", require: {continents: [EU]}}
  - {name: fast, hook: {name: latency}}
"""
ANSWERS = """
hooks:
  latency:
    - {when: {countries: [IE]}, order: [us-east, eu-central], veto: [eu-west]}
    - {when: {continents: [EU]}, away: true}
    - {order: [us-west]}
"""


def at(country: str) -> str:
    return f"{{country: {country}, latitude: 53.3, longitude: -6.3}}"


def lives(country: str, rules: str = RULES, answers: str = ANSWERS) -> str:
    """The unit, the rule, and the reason where there is none."""
    cases = read_cases(f"cases: [{{at: {at(country)}, expect: {{rule: any}}}}]")
    policy = StandInPolicy(TenantPolicy(compiled(rules, tenant="t")), read_stand_ins(answers))
    (found,) = run_cases(cases, policy, UNITS, tenant="t", locate=lambda _: NOWHERE)
    return f"{found.unit} {found.rule} {found.reason}".strip()


def test_the_first_answer_for_a_place_counts_within_what_constraints_leave() -> None:
    assert lives("IE") == "eu-central hook"
    assert lives("GB") == "eu-west nearest"
    assert lives("US") == "us-west hook"


def test_a_hook_without_answers_is_away_and_the_policy_says_what_holds() -> None:
    other = "hooks: {other: [{away: true}]}"
    assert lives("IE", answers=other) == "eu-west nearest"
    refusing = RULES.replace("latency}", "latency, away: refuse}")
    assert lives("IE", refusing, other) == (
        "unanswered:hook:latency hook latency of its policy gave no answer"
    )


def test_who_has_no_answer_for_want_of_any_is_told() -> None:
    policy = StandInPolicy(TenantPolicy(compiled(RULES, tenant="t")), {})
    policy.of(NOWHERE, b"assignments/t/a")
    assert policy.unknown == {"latency"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("hooks: {}", "there is none", id="no-hook"),
        pytest.param("hooks: {a: [{}]}", "say one of", id="says-nothing"),
        pytest.param("hooks: {a: [{away: true, order: [x]}]}", "say one of", id="both"),
        pytest.param("hooks: {a: [{order: [x, x]}]}", "orders a unit twice", id="twice"),
        pytest.param("hooks: {a: [{orders: [x]}]}", "did you mean order?", id="misspelt"),
        pytest.param(
            "hooks: {a: [{away: true, when: {countries: [UK]}}]}",
            "there is no country UK",
            id="no-country",
        ),
        pytest.param("hooks: [", "", id="no-yaml"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(text: str, why: str) -> None:
    with pytest.raises(FaultyStandIns) as raised:
        read_stand_ins(text)
    assert why in raised.value.message

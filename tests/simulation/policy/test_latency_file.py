"""Measured latencies of a file: read strictly, and what simulations and cases go by."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from control_plane.fleet.file import SAMPLE, read_fleet
from provisioner.geo.location import NOWHERE
from simulation.policy.case_run import run_cases
from simulation.policy.cases import read_cases
from simulation.policy.client_policy import OnePolicy, TenantPolicy
from simulation.policy.figures import document_of
from simulation.policy.latency_file import FaultyLatencies, read_latencies
from simulation.policy.simulator import Engine, Question, simulate
from simulation.population.population import load_population
from tests.support.policies import compiled

DOCS = Path(__file__).parents[3] / "docs"
UNITS = read_fleet(SAMPLE)
RULES = "rules: [{name: near, rank: {latency: {cap_ms: 40, relax_to_ms: 90}}}]"
SLOW_WEST = "measured: [{when: {countries: [IE, GB]}, ms: {eu-west: 60}}]"


def test_of_several_entries_the_first_that_knows_a_unit_counts() -> None:
    found = read_latencies(
        """
        measured:
          - {when: {countries: [KE]}, ms: {a: 1, b: 2}}
          - {when: {continents: [AF]}, ms: {b: 3, c: 4}}
          - {ms: {c: 5, d: 6}}
        """
    )
    assert found.of("", "KE", "AF") == {"a": 1.0, "b": 2.0, "c": 4.0, "d": 6.0}
    assert found.of("", "DE", "EU") == {"c": 5.0, "d": 6.0}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("a: [", "the file of latencies", id="no-yaml"),
        pytest.param("{}", "measured: there is none", id="empty"),
        pytest.param(
            "measurd: []", 'there is no field "measurd"; did you mean measured?', id="misspelt"
        ),
        pytest.param("measured: [{ms: {a: -1}}]", "measured[0].ms.a: is -1, outside", id="below"),
        pytest.param("measured: [{ms: {a: x}}]", "measured[0].ms.a: has to be a number", id="text"),
        pytest.param("measured: [{when: {}}]", "measured[0].ms: there is none", id="no-units"),
        pytest.param(
            "measured: [{when: {countries: [XX]}, ms: {a: 1}}]", "there is no country XX", id="area"
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(FaultyLatencies, match=re.escape(told)):
        read_latencies(text)


def test_the_examples_are_read() -> None:
    read_latencies((DOCS / "examples" / "simulation" / "latencies.yaml").read_text())
    page = (DOCS / "reference" / "latency.md").read_text()
    (told,) = [
        text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "measured:" in text
    ]
    read_latencies(told)


def test_a_case_goes_by_what_was_measured() -> None:
    cases = read_cases(
        "cases: [{at: {country: IE, latitude: 53.3, longitude: -6.3}, expect: {units: eu-central}}]"
    )
    policy = TenantPolicy(compiled(RULES, tenant="t"))
    for measured, unit in ((SLOW_WEST, "eu-central"), ("measured: [{ms: {x: 1}}]", "eu-west")):
        (found,) = run_cases(
            cases, policy, UNITS, tenant="t", locate=lambda _: NOWHERE,
            latencies=read_latencies(measured),
        )  # fmt: skip
        assert found.unit == unit


@pytest.mark.parametrize("engine", Engine)
def test_both_engines_send_clients_where_it_is_fast(engine: Engine) -> None:
    question = Question(
        tenant="t",
        units=UNITS,
        before=OnePolicy(compiled("rules: []", tenant="t").base),
        after=TenantPolicy(compiled(RULES, tenant="t")),
        clients=6_000,
        engine=engine,
        latencies=read_latencies("measured: [{when: {continents: [EU]}, ms: {eu-central: 300}}]"),
    )
    found = document_of(*simulate(question, load_population(), lambda more: None))
    clients = {unit["id"]: unit["clients"] for unit in found["after"]["units"]}
    had = {unit["id"]: unit["clients"] for unit in found["before"]["units"]}
    assert had["eu-central"] > 300
    assert clients["eu-central"] < had["eu-central"] / 2
    assert np.isclose(sum(clients.values()), 6_000, atol=2)

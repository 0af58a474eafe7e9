"""Cases of a policy: read strictly, run by the code of servers, told as JUnit has tests."""

from __future__ import annotations

import textwrap
import xml.etree.ElementTree as ET

import pytest

from control_plane.errors import InvalidInput
from control_plane.fleet.file import SAMPLE, read_fleet
from provisioner.geo.location import NOWHERE, Location
from simulation.policy.case_run import CaseResult, junit_text, run_cases
from simulation.policy.cases import FaultyCases, read_cases
from simulation.policy.client_policy import TenantPolicy
from tests.support.policies import compiled

UNITS = read_fleet(SAMPLE)
RULES = """
groups: {government: {patterns: ["gov-*"]}}
rules:
  - {name: eu, when: location.continent == "EU", require: {continents: [EU]}}
  - {name: gov, when: '"government" in client.groups', require: {countries: [US]}}
  - {name: cn, when: location.country == "CN", deny: true}
"""
DUBLIN = "{country: IE, latitude: 53.3, longitude: -6.3}"
EUROPE = "[eu-west, eu-central, eu-north]"


def nowhere(address: str) -> Location:
    return NOWHERE


def run(cases: str, rules: str = RULES) -> list[CaseResult]:
    read = read_cases("cases:\n" + textwrap.dedent(cases).strip("\n"))
    policy = TenantPolicy(compiled(rules, tenant="t"))
    return run_cases(read, policy, UNITS, tenant="t", locate=nowhere)


def test_cases_that_hold_are_not_broken() -> None:
    found = run(
        f"""
        - {{name: nearest, at: {DUBLIN}, expect: {{units: eu-west, rule: nearest}}}}
        - {{name: the next, at: {DUBLIN}, full: [eu-west], expect: {{units: [eu-central]}}}}
        - {{name: no room, at: {DUBLIN}, full: {EUROPE}, expect: {{full: true}}}}
        - {{name: denied, at: {{country: CN}}, expect: {{refused_by: cn}}}}
        - {{name: torn, client: gov-1, at: {DUBLIN}, expect: {{refused: true}}}}
        - {{name: unknown, ip: 192.0.2.1, expect: {{rule: spread}}}}
        """
    )
    assert [one.broken for one in found] == [""] * 6
    assert [one.unit for one in found][:3] == ["eu-west", "eu-central", ""]


def test_a_case_says_how_long_its_client_has_waited() -> None:
    rules = (
        "rules: [{name: near, rank: {latency: {cap_ms: 20, relax: [{after_s: 60, to_ms: 100}]}}}]"
    )
    found = run(
        f"""
        - {{name: at once, at: {DUBLIN}, full: {EUROPE}, expect: {{full: true}}}}
        - {{name: later, at: {DUBLIN}, full: {EUROPE}, waited_s: 60, expect: {{units: us-east}}}}
        """,
        rules,
    )
    assert [one.broken for one in found] == ["", ""]
    assert found[0].reason == (
        "all units that may take it are full: it begins to wait now, and may live within 20 ms, "
        "from 60 s on within 100 ms"
    )


def test_equals_that_are_fuller_go_last() -> None:
    rules = f"equal_within_km: {{least: 2000}}\n{RULES}"
    case = "- {name: one, at: %s, load: {%s: 0.5, %s: 0.5}, expect: {units: [%s]}}"
    for free, full, fuller in (
        ("eu-north", "eu-west", "eu-central"),
        ("eu-west", "eu-north", "eu-central"),
    ):
        (one,) = run(case % (DUBLIN, full, fuller, free), rules.lstrip("\n"))
        assert one.broken == ""


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("{at: %s, expect: {units: us-east}}", "live in eu-west, by nearest, and should in us-e"),
        ("{at: %s, expect: {rule: spread}}", "live in eu-west, by nearest, and should by spread"),
        (
            "{at: %s, expect: {refused_by: cn}}",
            "live in eu-west, by nearest, and should be refused by cn",
        ),
        ("{at: %s, expect: {full: true}}", "should find all units full"),
        (
            "{at: {country: CN}, expect: {units: us-east}}",
            "nowhere: rule cn denies this client a home",
        ),
        ("{at: {country: CN}, expect: {refused_by: eu}}", "refused by cn, and should be by eu"),
        ("{at: {country: CN}, expect: {full: true}}", "no unit may take it"),
        ("{at: %s, full: %s, expect: {refused: true}}", "are full, and it should be refused"),
    ],
)
def test_a_change_that_breaks_a_case_is_said_in_a_sentence(case: str, said: str) -> None:
    filled = case.replace("%s", DUBLIN, 1).replace("%s", EUROPE, 1)
    (one,) = run(f"- {filled}")
    assert said in one.broken


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cases: []", "there is none"),
        ("cases: [{expect: {unit: a}}]", "did you mean units?"),
        ("cases: [{clinet: a, expect: {units: a}}]", "did you mean client?"),
        ("cases: [{name: a}]", "say one of"),
        ("cases: [{expect: {units: a, full: true}}]", "say one of"),
        ("cases: [{at: {latitude: 1}, expect: {full: true}}]", "latitude and longitude"),
        ("cases: [{at: {country: UK}, expect: {full: true}}]", "there is no country UK"),
        ("cases: [{ip: 1.1.1.1, at: {country: IE}, expect: {full: true}}]", "one of them"),
        ("cases: [{name: a, expect: {full: true}}, {name: a, expect: {full: true}}]", "unique"),
        ("cases: [{load: {a: 2}, expect: {full: true}}]", "outside 0 to 1"),
        ("cases: [{waited_s: -1, expect: {full: true}}]", "outside 0 to 36000"),
        ("cases: 1", "has to be a list"),
        ("[", "is not YAML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(text: str, said: str) -> None:
    with pytest.raises(FaultyCases) as found:
        read_cases(text)
    assert said in found.value.message


def test_a_unit_that_is_not_in_the_fleet_is_said() -> None:
    with pytest.raises(InvalidInput, match="no unit eu-wset"):
        run("- {name: a, expect: {units: eu-wset}}")


def test_junit_has_a_case_each_whatever_their_names_hold() -> None:
    results = [
        CaseResult(name='<a> & "b"', unit="x", rule="nearest", reason="", broken=""),
        CaseResult(name="c\x1b[31m", unit="", rule="", reason="", broken="it <differs>"),
    ]
    suite = ET.fromstring(junit_text(results))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    first, second = suite.findall("testcase")
    assert first.get("name") == '<a> & "b"'
    failure = second.find("failure")
    assert failure is not None
    assert failure.text == "it <differs>"


def test_a_case_has_attributes() -> None:
    rules = """
    groups: {government: {attributes: {kind: [government, military]}}}
    rules:
      - {name: gov, when: '"government" in client.groups', require: {countries: [US]}}
      - {name: old, when: 'client.attributes[?"stage"].orValue("") == "old"', deny: true}
    """
    found = run(
        f"""
        - {{name: gov, attributes: {{kind: military}}, at: {DUBLIN}, expect: {{units: [us-east]}}}}
        - {{name: not, attributes: {{kind: private}}, at: {DUBLIN}, expect: {{units: [eu-west]}}}}
        - {{name: old, attributes: {{stage: old}}, at: {DUBLIN}, expect: {{refused_by: old}}}}
        """,
        textwrap.dedent(rules),
    )
    assert [one.broken for one in found] == ["", "", ""]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        pytest.param("{kind: 5}", "cases[0].attributes.kind: has to be a text", id="a-number"),
        pytest.param("[kind]", "cases[0].attributes: has to be an object", id="a-list"),
        pytest.param("{'a b': x}", "is no name of an attribute", id="a-name"),
    ],
)
def test_attributes_of_a_case_that_are_wrong(said: str, problem: str) -> None:
    with pytest.raises(FaultyCases) as faulty:
        read_cases(f"cases:\n- {{attributes: {said}, expect: {{full: true}}}}")
    assert problem in faulty.value.message

"""The worked example of the docs, from its files: a simulation, and cases that a change breaks."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.command_line import CommandLine, Ran

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "simulation"
DENIED = 'policy: 1\nrules: [{name: cn, when: location.country == "CN", deny: true}]\n'
POLICY, CASES, FLEET = (str(EXAMPLE / name) for name in ("policy.yaml", "cases.yaml", "fleet.yaml"))


def test_the_example_is_simulated_and_its_page_written(cli: CommandLine, tmp_path: Path) -> None:
    page = tmp_path / "whatif.html"
    ran = cli(
        "policy", "simulate", POLICY, "--units", FLEET, "--users", "1200000", "--price-label",
        "price", "--html", str(page), "-o", "json",
    )  # fmt: skip
    assert ran.code == 0
    found = ran.document
    clients = {unit["id"]: unit["clients"] for unit in found["after"]["units"]}
    before = {unit["id"]: unit["clients"] for unit in found["before"]["units"]}
    assert clients["oregon-gov"] == 0  # nobody here is of the government
    assert before["oregon-gov"] > 0
    assert clients["stockholm"] == pytest.approx(0.05 * 1_200_000, rel=0.1)  # the ring, and no more
    assert found["after"]["cost"]["total"] < found["before"]["cost"]["total"]
    assert found["moved"]["share"] > 0.3
    assert page.read_text().count("<svg") == 2 + len(clients)


def test_cases_of_the_example_hold(cli: CommandLine, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    ran = cli("policy", "test", POLICY, CASES, "--units", FLEET, "--junit", str(junit))
    assert (ran.code, ran.err) == (0, "")
    suite = ET.fromstring(junit.read_text())
    assert (suite.get("tests"), suite.get("failures")) == ("5", "0")


def test_a_change_that_breaks_a_case_is_refused(cli: CommandLine, tmp_path: Path) -> None:
    changed = tmp_path / "policy.yaml"
    text = Path(POLICY).read_text()
    rule = 'when: location.continent == "EU"\n    require: {continents: [EU]}'
    assert rule in text
    changed.write_text(
        text.replace(rule, 'when: location.country == "DE"\n    require: {continents: [EU]}')
    )
    junit = tmp_path / "junit.xml"
    ran = cli(
        "policy", "test", str(changed), CASES, "--units", FLEET, "--junit", str(junit), "-o", "json"
    )
    assert ran.code == 1
    assert "1 of 5 cases" in ran.err
    broken = [case for case in ran.document["cases"] if not case["holds"]]
    assert [case["name"] for case in broken] == [
        "in Europe nobody is sent to America when Europe is full"
    ]
    assert ET.fromstring(junit.read_text()).get("failures") == "1"


@pytest.mark.slow
def test_the_policy_in_force_is_the_servers(cli: CommandLine, tmp_path: Path) -> None:
    with ExitStack() as stack:
        (made,) = servers.start(stack, tmp_path, f"embedded:{tmp_path}/store.db", 1)
        asyncio.run(servers.apply(made.address, servers.units(dublin=9_000, virginia=9_000)))

        def run(*arguments: str) -> Ran:
            return cli("policy", *arguments, "--server", made.address, stdin=DENIED.encode())

        asked = ("simulate", "--users", "10000", "--engine", "exact", "-o", "json")
        first = run(*asked)
        assert (first.code, first.err) == (0, "")
        assert first.document["before"]["unplaced"] == 0
        proposed = run(*asked, "-")
        assert (proposed.code, proposed.err) == (0, "")
        assert proposed.document["moved"]["share"] > 0.1
        assert run("apply", "-").code == 0
        now = run(*asked).document
    assert now["before"]["rules"]["refused"] == pytest.approx(1_750, abs=150)  # of China
    assert now["moved"]["clients"] == 0


def test_a_unit_that_is_not_there_is_said(cli: CommandLine) -> None:
    ran = cli("policy", "simulate", "--units", FLEET, "--without", "dubiln", "--users", "10")
    assert ran.code == 2
    assert "no unit dubiln" in ran.err


def test_a_case_is_placed_where_its_address_is(cli: CommandLine, tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    cases.write_text("cases: [{ip: 81.2.69.142, client: phone-5, expect: {units: virginia}}]")
    ran = cli("policy", "test", POLICY, str(cases), "--units", FLEET, "-o", "json")
    assert ran.code == 1
    assert ran.document["cases"][0]["unit"] == "dublin"

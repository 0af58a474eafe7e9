"""The worked example of the docs, from its files: a simulation, and cases that a change breaks."""

from __future__ import annotations

import asyncio
import re
import xml.etree.ElementTree as ET
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.command_line import CommandLine, Ran

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "simulation"
DENIED = 'policy: 1\nrules: [{name: cn, when: location.country == "CN", deny: true}]\n'
POLICY, CASES, FLEET, ANSWERS, GOVERNMENT, GOVERNMENT_CASES = (
    str(EXAMPLE / name)
    for name in (
        "policy.yaml", "cases.yaml", "fleet.yaml", "hook-answers.yaml", "government.yaml",
        "government-cases.yaml",
    )
)  # fmt: skip
GIVEN = ("--units", FLEET, "--hook-answers", ANSWERS, "--tenant", "northwind")
OF_GOVERNMENT = ("--units", FLEET, "--tenant", "northwind-gov")
PICTURE = EXAMPLE.parents[1] / "images" / "policy-simulation.svg"
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def test_the_example_is_simulated_and_its_page_and_picture_written(
    cli: CommandLine, tmp_path: Path
) -> None:
    page, picture = tmp_path / "whatif.html", tmp_path / "picture.svg"
    ran = cli(
        "policy", "simulate", POLICY, *GIVEN, "--users", "1200000", "--price-label", "price",
        "--html", str(page), "--svg", str(picture), "-o", "json",
    )  # fmt: skip
    assert ran.code == 0
    found = ran.document
    clients = {unit["id"]: unit["clients"] for unit in found["after"]["units"]}
    before = {unit["id"]: unit["clients"] for unit in found["before"]["units"]}
    assert clients["oregon-gov"] == before["oregon-gov"] == 0  # it is another tenant's
    assert clients["stockholm"] == pytest.approx(0.05 * 1_200_000, rel=0.1)  # the ring, and no more
    assert found["after"]["rules"]["hook"] > 50_000  # in South America
    assert found["after"]["cost"]["total"] < found["before"]["cost"]["total"]
    assert found["moved"]["share"] > 0.3
    assert page.read_text().count("<svg") == 2 + len(clients)
    check_picture(picture.read_text(), PICTURE.read_text())


def check_picture(made: str, shown: str) -> None:
    """What the docs show is what the command makes, which stands beside it."""
    assert NUMBER.sub("#", made) == NUMBER.sub("#", shown), "write the picture anew"
    numbers = [
        [float(one.replace(",", "")) for one in NUMBER.findall(text)] for text in (made, shown)
    ]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.02, abs=0.5)


@pytest.mark.parametrize(
    ("policy", "cases", "given", "count"),
    [
        pytest.param(POLICY, CASES, GIVEN, "7", id="of-the-company"),
        pytest.param(GOVERNMENT, GOVERNMENT_CASES, OF_GOVERNMENT, "4", id="of-its-government"),
    ],
)
def test_cases_of_the_example_hold(
    cli: CommandLine, tmp_path: Path, policy: str, cases: str, given: tuple[str, ...], count: str
) -> None:
    junit = tmp_path / "junit.xml"
    ran = cli("policy", "test", policy, cases, *given, "--junit", str(junit))
    assert (ran.code, ran.err) == (0, "")
    suite = ET.fromstring(junit.read_text())
    assert (suite.get("tests"), suite.get("failures")) == (count, "0")


def test_without_its_answers_the_hook_is_away_and_that_is_said(cli: CommandLine) -> None:
    ran = cli("policy", "test", POLICY, CASES, "--units", FLEET, "--tenant", "northwind")
    assert ran.code == 1
    assert "hook latency counts as away" in ran.err
    assert "in Bogotá the service knows better than the map (it would live in" in ran.err


@pytest.mark.parametrize(
    ("text", "changed", "broken"),
    [
        pytest.param(
            'when: location.continent == "EU"\n    require',
            'when: location.country == "DE"\n    require',
            ["in Europe nobody is sent to America when Europe is full"],
            id="residency",
        ),
        pytest.param("share: 5", "share: 0", ["who is in the ring lives in its unit"], id="ring"),
        pytest.param(
            "label: price", "label: ring", ["in Jakarta the cheaper unit is taken"], id="cost"
        ),
        pytest.param(
            'in ["NA", "SA"]',
            'in ["OC"]',
            [
                "in Bogotá the service knows better than the map",
                "in Alaska nobody lives in Tokyo while its line is down",
            ],
            id="hook",
        ),
    ],
)
def test_a_change_that_breaks_a_case_is_refused(
    cli: CommandLine, tmp_path: Path, text: str, changed: str, broken: list[str]
) -> None:
    """Each part of the example has a case that tells when it goes."""
    policy, junit = tmp_path / "policy.yaml", tmp_path / "junit.xml"
    original = Path(POLICY).read_text()
    assert text in original
    policy.write_text(original.replace(text, changed))
    ran = cli("policy", "test", str(policy), CASES, *GIVEN, "--junit", str(junit), "-o", "json")
    assert ran.code == 1
    assert f"{len(broken)} of 7 cases" in ran.err
    assert all(name in ran.err for name in broken)
    assert [case["name"] for case in ran.document["cases"] if not case["holds"]] == broken
    assert ET.fromstring(junit.read_text()).get("failures") == str(len(broken))


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


def test_how_many_units_tenants_share_is_said_without_a_server(cli: CommandLine) -> None:
    policy = b"policy: 1\nshuffle_sharding: {units: 3}\n"
    given = ("policy", "overlap", "-", "--units", FLEET, "--tenants", "300", "--tenant", "acme")
    found = cli(*given, "-o", "json", stdin=policy).document
    assert (found["tenants"], len(found["units"])) == (301, 3)
    assert found["share_any"] == pytest.approx(found["expected"]["share_any"], rel=0.1)
    assert "pairs that share any unit" in cli(*given, stdin=policy).out
    among = b"policy: 1\nshuffle_sharding: {units: 3, among: {labels: {tier: shared}}}\n"
    nobody = cli(*given, stdin=among)
    assert nobody.code == 2
    assert "no unit of the fleet is one of those that shuffle_sharding.among says" in nobody.err
    none = cli(*given, stdin=b"policy: 1\n")
    assert none.code == 2
    assert "has no shuffle_sharding" in none.err

"""A tenant's policy through a real server and the command line: applied, obeyed, explained, refused
with its reason, and taken back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.command_line import CommandLine, Ran

IN_IRELAND = "81.2.69.142"  # an address that the bundled database locates
POLICY = """
# Europeans stay in Europe.
policy: 1
rules:
- name: eu-residency
  when: location.continent == "EU"
  require: {continents: [EU]}
- name: no-closed-country
  when: location.country == "BR"
  require: {countries: [IE]}
  forbid: {continents: [EU]}
"""
GOOD = POLICY.partition("- name: no-closed")[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("policy")
    with ExitStack() as stack:
        (made,) = servers.start(stack, folder, f"embedded:{folder}/store.db", 1)
        yield made.address


def test_a_policy_from_its_first_day_to_its_last(server: str, cli: CommandLine) -> None:
    asyncio.run(servers.apply(server, servers.units(dublin=1, virginia=100)))

    def run(*arguments: str, stdin: str = "") -> Ran:
        return cli(*arguments, "--server", server, stdin=stdin.encode())

    def home(name: str, address: str = IN_IRELAND) -> Ran:
        return run("provision", name, "--ip", address, "-o", "json")

    assert home("anna").document["unit"] == "dublin"  # which is full with her
    assert home("ben").document["unit"] == "virginia"

    contradicting = run("policy", "apply", "-", stdin=POLICY)
    assert contradicting.code == 2
    assert "rules[1] (no-closed-country): forbids every country that it requires" in (
        contradicting.err
    )
    applied = run("policy", "apply", "-", "-o", "json", stdin=GOOD)
    assert applied.code == 0, applied.err
    assert applied.document["version"] == 1
    assert applied.document["effect"] | {"by_certainty": 0} == {
        "clients": 2, "nowhere": 0, "displaced": 1, "partial": False, "nowhere_by_rule": {},
        "by_certainty": 0,
    }  # fmt: skip
    assert GOOD.strip() in run("policy", "show").out

    # New clients are placed by it at once; whoever has a home stays.
    full = home("carla")
    assert full.code == 4
    assert "full" in full.err
    assert home("ben").document["unit"] == "virginia"
    assert home("dev", "216.160.83.56").document["unit"] == "virginia"
    told = run("explain", "carla", "--ip", IN_IRELAND, "-o", "json").document
    assert told["policy"]["rules"] == [
        {
            "rule": "eu-residency",
            "holds": True,
            "reason": '`location.continent == "EU"` is true',
        }
    ]
    assert told["sentence"] == (
        "carla would live nowhere: all units that may take it are full; of the rules of the "
        "policy, version 1, eu-residency holds"
    )
    units = {one["unit"]: one for one in run("explain", "carla", "--ip", IN_IRELAND, "-o",
                                             "json").document["units"]}  # fmt: skip
    assert units["virginia"]["reason"] == (
        "is in continent NA, not in EU, as rule eu-residency requires"
    )

    nowhere = GOOD.replace("continents: [EU]}", 'labels: {sovereign: "y"}}')
    assert "no unit of the fleet is sovereign=y" in run("policy", "apply", "-", stdin=nowhere).err
    asked = run("policy", "apply", "-", "--allow-unmatched", stdin=nowhere)
    assert asked.code == 4
    assert "2 clients would be nowhere" in asked.err
    forced = run("policy", "apply", "-", "--allow-unmatched", "--yes", stdin=nowhere)
    assert forced.code == 0, forced.err
    refused = home("mallory")
    assert refused.code == 4
    assert "of 2 units that may take clients rule eu-residency leaves none" in refused.err

    back = run("policy", "rollback", "-o", "json")
    assert (back.code, back.document["version"]) == (0, 3)
    assert run("policy", "show", "-o", "json").document["document"] == GOOD
    assert run("policy", "apply", "-", "--base", "1", stdin=GOOD).code == 1
    assert "full" in home("mallory").err
    audited = run("audit", "list", "-o", "json").out
    assert json.dumps("policy") in audited


@pytest.mark.parametrize(
    ("expected", "code"), [("units: dublin", 0), ("units: virginia", 4)], ids=["holds", "is-broken"]
)
def test_a_policy_that_breaks_a_case_is_not_applied(
    server: str, cli: CommandLine, tmp_path: Path, expected: str, code: int
) -> None:
    asyncio.run(servers.apply(server, servers.units(dublin=1, virginia=100)))
    cases = tmp_path / "cases.yaml"
    where = "{country: IE, latitude: 53.3, longitude: -6.3}"
    cases.write_text(f"cases: [{{name: a phone, at: {where}, expect: {{{expected}}}}}]")
    arguments = ("policy", "apply", "-", "--cases", str(cases), "--server", server)
    before = cli("policy", "show", "--server", server, "-o", "json").document["version"]
    ran = cli(*arguments, "--dry-run", "--yes", stdin=GOOD.encode())
    assert ran.code == code, ran.err
    if code:
        broken = cli(*arguments, stdin=GOOD.encode())
        assert broken.code == code
        assert (
            "1 of 1 cases is broken by this policy: a phone (it would live in dublin" in broken.err
        )
        assert "nothing was applied" in broken.err
    now = cli("policy", "show", "--server", server, "-o", "json").document["version"]
    assert now == before

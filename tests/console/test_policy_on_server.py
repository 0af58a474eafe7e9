"""Policies tried and simulated by a server, of its clients, through the command line."""

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
AWAY = "policy: 1\nrules: [{name: overseas, forbid: {countries: [IE]}}]\n"
BY_BOTH = (
    "policy: 1\ngroups: {bank: {attributes: {kind: bank}}}\nrules:\n"
    "  - {name: banks, when: '\"bank\" in client.groups', deny: true}\n"
    "  - {name: fast, rank: {latency: {cap_ms: 50}}}\n"
)
CASES = (
    "cases: [{name: a phone, at: {country: IE, latitude: 53.3, longitude: -6.3}, "
    "expect: {units: dublin}}]"
)


class Asked:
    """The command line, asking one server."""

    def __init__(self, cli: CommandLine, server: str) -> None:
        self._cli, self._server = cli, server

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        return self._cli(*arguments, "--server", self._server, stdin=stdin.encode())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("policy-on-server")
    with ExitStack() as stack:
        (made,) = servers.start(stack, folder, f"embedded:{folder}/store.db", 1)
        asyncio.run(servers.apply(made.address, servers.units(dublin=2, virginia=100)))
        yield made.address


@pytest.fixture
def ask(server: str, cli: CommandLine) -> Asked:
    return Asked(cli, server)


def test_clients_that_there_are_are_placed_anew_from_where_they_live(
    ask: Asked, tmp_path: Path
) -> None:
    for name in ("anna", "ben", "carla"):
        assert ask("provision", name, "--ip", IN_IRELAND).code == 0
    page, picture = tmp_path / "page.html", tmp_path / "picture.svg"
    ran = ask(
        "policy", "simulate", "-", "--population", "live", "--html", str(page),
        "--svg", str(picture), "-o", "json", stdin=AWAY,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = ran.document
    assert found["population"] == "the clients there are, by id"
    assert [one["clients"] for one in found["before"]["units"]] == [2, 1]
    assert [one["clients"] for one in found["after"]["units"]] == [0, 3]
    assert found["moved"]["largest"] == [{"from": "dublin", "to": "virginia", "clients": 2}]
    assert page.read_text().count("<svg") >= 2
    assert picture.read_text().startswith("<svg")

    as_it_is = ask("policy", "simulate", "--population", "live", "-o", "json").document
    assert as_it_is["moved"]["clients"] == 0
    units = {one["id"]: one for one in ask("units", "list", "-o", "json").document["units"]}
    assert units["dublin"]["clients"] == 2  # nothing was changed


def test_a_server_simulates_users_where_people_live(ask: Asked) -> None:
    ran = ask("policy", "simulate", "-", "--on-server", "--users", "90", "-o", "json", stdin=AWAY)
    assert ran.code == 0, ran.err
    here = ask("policy", "simulate", "-", "--users", "90", "-o", "json", stdin=AWAY)
    assert ran.document == here.document


def test_a_server_tries_cases(ask: Asked, tmp_path: Path) -> None:
    cases, policy = tmp_path / "cases.yaml", tmp_path / "policy.yaml"
    cases.write_text(CASES)
    policy.write_text("policy: 1\n")
    assert ask("policy", "test", str(policy), str(cases), "--on-server").code == 0
    policy.write_text(AWAY)
    ran = ask("policy", "test", str(policy), str(cases), "--on-server", "-o", "json")
    assert ran.code == 1
    assert json.loads(ran.out)["broken"] == 1
    assert "a phone (it would live in virginia" in ran.err


def test_attributes_and_what_was_measured_count_there_as_here(ask: Asked, tmp_path: Path) -> None:
    measured = tmp_path / "latencies.yaml"
    measured.write_text("measured: [{ms: {dublin: 90, virginia: 20}}]\n")
    asked = (
        "policy", "simulate", "-", "--users", "90", "-o", "json", "--latencies", str(measured),
        "--attribute", "kind=bank:30%", "--attribute", "kind=shop:12.5%",
    )  # fmt: skip
    there = ask(*asked, "--on-server", stdin=BY_BOTH)
    assert there.code == 0, there.err
    assert there.document == ask(*asked, stdin=BY_BOTH).document
    before, after = there.document["before"], there.document["after"]
    assert [one["units"][0]["clients"] for one in (before, after)] == [2, 0]  # dublin is slow
    assert 10 < after["unplaced"] < 45  # banks


def test_what_was_measured_counts_for_clients_that_there_are(ask: Asked, tmp_path: Path) -> None:
    measured = tmp_path / "latencies.yaml"
    measured.write_text("measured: [{ms: {dublin: 90, virginia: 20}}]\n")
    assert ask("provision", "dora", "--ip", IN_IRELAND).code == 0
    asked = ("policy", "simulate", "-", "--population", "live", "--latencies", str(measured))
    ran = ask(*asked, "-o", "json", stdin=BY_BOTH)
    assert ran.code == 0, ran.err
    assert ran.document["after"]["units"][0]["clients"] == 0


def test_cases_are_tried_there_by_what_was_measured(ask: Asked, tmp_path: Path) -> None:
    cases, policy, measured = (tmp_path / name for name in ("cases.yaml", "p.yaml", "ms.yaml"))
    cases.write_text(CASES)
    policy.write_text(BY_BOTH)
    measured.write_text("measured: [{ms: {dublin: 90, virginia: 20}}]\n")
    asked = ("policy", "test", str(policy), str(cases), "-o", "json")
    found = [
        ask(*asked, "--latencies", str(measured), *where).document["cases"][0]["unit"]
        for where in ((), ("--on-server",))
    ]
    assert found == ["virginia", "virginia"]
    assert ask(*asked, "--on-server").document["cases"][0]["unit"] == "dublin"
    measured.write_text("measured: [{ms: {dublin: -1}}]\n")
    faulty = ask(*asked, "--latencies", str(measured), "--on-server")
    assert faulty.code == 2
    assert "measured[0].ms.dublin" in faulty.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--population", "live", "--growth", "2"), "leave out --population"),
        (("--population", "live", "--geo", "x.mmdb"), "--geo is for simulations on this machine"),
        (("--on-server", "--units", "x.yaml"), "--units is for simulations on this machine"),
        (("--population", "live", "--attribute", "a=b:5%"), "leave out --population"),
        (("--on-server", "--population", "x.ndjson"), "simulated on this machine"),
        (("--on-server", "--sun", "--engine", "exact"), "sun"),
        (("--on-server", "--without", "paris"), "the fleet has no unit paris"),
    ],
)
def test_what_a_server_cannot_simulate_is_said(
    ask: Asked, arguments: tuple[str, ...], said: str
) -> None:
    ran = ask("policy", "simulate", *arguments)
    assert ran.code == 2, ran.err
    assert said in ran.err


def test_what_is_wrong_with_a_policy_is_said_as_when_it_is_applied(ask: Asked) -> None:
    ran = ask("policy", "simulate", "-", "--on-server", stdin="policy: 1\nrulez: []\n")
    assert ran.code == 2
    assert 'there is no field "rulez"; did you mean rules?' in ran.err


def test_a_file_of_clients_is_placed_on_this_machine(ask: Asked, tmp_path: Path) -> None:
    file = tmp_path / "clients.ndjson"
    file.write_text(
        '{"client_id": "anna", "at": {"country": "IE"}, "unit": "dublin"}\n'
        f'{{"client_id": "ben", "ip": "{IN_IRELAND}", "unit": "virginia"}}\n'
    )
    ran = ask("policy", "simulate", "-", "--population", str(file), "-o", "json", stdin=AWAY)
    assert ran.code == 0, ran.err
    assert ran.document["population"] == "the clients of clients.ndjson"
    assert ran.document["moved"]["largest"] == [{"from": "dublin", "to": "virginia", "clients": 1}]
    file.write_text('{"client_id": "anna", "lives": "dublin"}\n')
    broken = ask("policy", "simulate", "-", "--population", str(file), stdin=AWAY)
    assert broken.code == 2
    assert "line 1: there is no field" in broken.err

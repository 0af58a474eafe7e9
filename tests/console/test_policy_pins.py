"""Attributes and pins through a real server and the command line: told, obeyed, shown, refused with
their reason, and taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support import servers
from tests.support.command_line import CommandLine, Ran

IN_IRELAND = "81.2.69.142"  # an address that the bundled database locates
POLICY = """
policy: 1
groups: {government: {attributes: {kind: government}}}
rules:
- {name: gov, when: '"government" in client.groups', require: {countries: [US]}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("pins")
    with ExitStack() as stack:
        (made,) = servers.start(stack, folder, f"embedded:{folder}/store.db", 1)
        asyncio.run(servers.apply(made.address, servers.units(dublin=9, virginia=9)))
        yield made.address


def test_attributes_and_pins_from_their_first_day_to_their_last(
    server: str, cli: CommandLine
) -> None:
    def run(*arguments: str, stdin: str = "") -> Ran:
        return cli(*arguments, "--server", server, "-o", "json", stdin=stdin.encode())

    def home(name: str, *told: str) -> str:
        ran = run("provision", name, "--ip", IN_IRELAND, *told)
        assert ran.code == 0, ran.err
        return str(ran.document["unit"])

    assert run("policy", "apply", "-", stdin=POLICY).code == 0
    assert home("anna", "--attribute", "kind=government") == "virginia"
    assert home("ben") == "dublin"
    assert run("get", "anna").document["attributes"] == {"kind": "government"}
    assert home("ben", "--attribute", "kind=shop", "--attribute", "tier=gold") == "dublin"
    assert home("ben", "--attribute", "tier=") == "dublin"
    assert run("get", "ben").document["attributes"] == {"kind": "shop"}

    as_if = run("explain", "ben", "--attribute", "kind=government").document
    assert (as_if["units"][0]["unit"], as_if["policy"]["groups"]) == ("virginia", ["government"])
    explained = run("explain", "ben").document
    assert explained["policy"]["attributes"] == {"kind": "shop"}
    assert explained["pin"] is None

    refused = run("policy", "pin", "anna", "dublin")
    assert refused.code == 4
    assert "anna may not live in dublin: it is in IE, not in US, as rule gov requires" in (
        refused.err
    )
    early = run("policy", "pin", "carla", "virginia", "--reason", "by contract")
    assert early.code == 0, early.err
    assert "carla has no home yet" in early.err
    assert home("carla") == "virginia"
    pinned = run("policy", "pin", "ben", "virginia", "--until", "2100-01-31")
    assert pinned.document["until"] == "2100-01-31T00:00:00Z"
    assert home("ben") == "dublin", "a pin moves nobody by itself"
    told = run("explain", "ben").document
    assert (told["units"][0]["unit"], told["pin"]["unit"]) == ("virginia", "virginia")
    assert told["sentence"].endswith("; it is pinned to virginia")
    assert "pin:virginia" in told["units"][-1]["reason"]
    assert [one["client_id"] for one in run("policy", "pins").document] == ["ben", "carla"]

    only_europe = "policy: 1\nrules: [{name: eu, require: {continents: [EU]}}]"
    would = run("policy", "apply", "-", "--dry-run", stdin=only_europe).document["effect"]
    assert would["nowhere_by_rule"]["pin:virginia"] == 2

    audited = run("audit", "list").out
    assert "PinClient" in audited
    assert "by contract" in audited
    assert run("policy", "unpin", "ben").document == {"client_id": "ben", "unpinned": True}
    assert run("policy", "unpin", "ben").code == 3
    assert [one["client_id"] for one in run("policy", "pins").document] == ["carla"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("provision", "x", "--attribute", "kind"), "is not NAME=VALUE"),
        (("provision", "x", "--attribute", "=a"), "is not NAME=VALUE"),
        (("provision", "x", "--attribute", "a=1", "--attribute", "a=2"), "is given twice"),
        (("provision", "x", "--attribute", "a b=1"), "is no name of an attribute"),
        (("policy", "pin", "x", "dublin", "--until", "soon"), "is no time"),
        (("policy", "pin", "x", "dublin", "--until", "2001-01-01"), "is over already"),
    ],
)
def test_what_is_refused(
    server: str, cli: CommandLine, arguments: tuple[str, ...], says: str
) -> None:
    ran = cli(*arguments, "--server", server)
    assert ran.code == 2
    assert says in ran.err

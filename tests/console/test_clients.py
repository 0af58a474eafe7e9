"""One client at a time on the command line, against a service that misbehaves on order."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
import yaml

from console.cli.commands.clients import ROUNDS
from homeport.api.geo.v1 import geo_pb2
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from tests.support.command_line import CommandLine
from tests.support.fakes.provisioning_service import NO_ROOM, FakeProvisioning
from tests.support.fakes.server import Served


def fake(service: Served) -> FakeProvisioning:
    assert service.provisioning is not None
    return service.provisioning


def test_provision_prints_one_json_document(cli: CommandLine, service: Served) -> None:
    ran = cli("provision", "alice", "--ip", "203.0.113.9", "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    home = ran.document
    assert home["client_id"] == "alice"
    assert (home["unit"], home["epoch"], home["source"]) == ("unit-0", 1, "database")
    assert (home["distance_km"], home["existing"]) == (12.5, False)
    assert home["ticket"] == "ticket:default:alice:unit-0:1"
    assert fake(service).seen[0].request.address == "203.0.113.9"


def test_a_position_may_lie_south_and_west(cli: CommandLine, service: Served) -> None:
    """A value that begins with a minus is no option."""
    assert cli("provision", "alice", "--at", "-33.9,-151.2").code == 0
    position = fake(service).seen[0].request.position
    assert (position.latitude, position.longitude) == (-33.9, -151.2)


def test_what_is_not_known_is_null(cli: CommandLine, service: Served) -> None:
    """Without a position there is no distance, and 0 would be a lie."""
    assert cli("provision", "alice", "-o", "json").document["distance_km"] is None


def test_get_shows_the_same_home_as_yaml(cli: CommandLine, service: Served) -> None:
    cli("provision", "alice")
    assert yaml.safe_load(cli("get", "alice", "-o", "yaml").out)["unit"] == "unit-0"


def test_release_says_whether_there_was_something(cli: CommandLine, service: Served) -> None:
    """What is not there is not found, as for all that remove something."""
    cli("provision", "alice")
    assert cli("release", "alice", "-o", "json").document == {
        "client_id": "alice",
        "released": True,
    }
    again = cli("release", "alice")
    assert (again.code, again.out) == (3, "")
    assert "alice has no assignment; nothing was removed" in again.err


def test_explain_shows_every_unit_with_its_reason(cli: CommandLine, service: Served) -> None:
    ran = cli("explain", "alice", "--ip", "203.0.113.9")
    assert ran.code == 0
    for words in ("IE at 53.34, -6.26", "found in the geo database", "rule: nearest", "is full"):
        assert words in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    units = cli("explain", "alice", "-o", "json").document["units"]
    assert [(unit["unit"], unit["verdict"], unit["rank"]) for unit in units] == [
        ("unit-0", "chosen", 1),
        ("unit-1", "excluded", None),
    ]
    assert units[1]["distance_km"] is None


def test_explain_tells_how_it_came_to_its_home_from_what_would_be_decided(
    cli: CommandLine, service: Served
) -> None:
    cli("provision", "alice", "--ip", "203.0.113.9")
    said = " ".join(cli("explain", "alice").out.split())
    assert "alice has a home: unit-0, epoch 1 how it came there" in said
    assert "how it came there: not recorded" in said
    assert said.index("not recorded") < said.index("if it were decided now:")
    assert cli("explain", "alice", "-o", "json").document["current"]["recorded"] is None
    fake(service).decisions["alice"] = pb.Decision(
        location=geo_pb2.Location(source=geo_pb2.LOCATION_SOURCE_DATABASE, country="GB"),
        distance_km=441.2,
        rule="drained",
        placed_by="nearest",
        moved_from="unit-9",
        job_id="j[1]",
        fleet_revision=17,
    )
    for command in ("explain", "get"):
        ran = cli(command, "alice")
        words = " ".join(ran.out.split())
        for part in ("drained from unit-9 by job j[1]", "placed by nearest", "441 km", "GB", "17"):
            assert part in words
        assert "␊" not in ran.out
    recorded = cli("get", "alice", "-o", "json").document["recorded"]
    assert (recorded["rule"], recorded["moved_from"], recorded["job"]) == (
        "drained",
        "unit-9",
        "j[1]",
    )
    assert (recorded["distance_km"], recorded["latitude"]) == (441.2, None)
    explained = cli("explain", "alice", "-o", "json").document
    assert explained["current"]["recorded"] == recorded
    assert explained["rule"] == "nearest"


def test_an_id_with_markup_is_printed_as_it_is(cli: CommandLine, service: Served) -> None:
    """Client ids are data: brackets in them are no colours."""
    assert "[red]alice[/red]" in cli("provision", "[red]alice[/red]").out
    assert "[red]alice[/red]" in cli("explain", "[red]alice[/red]").out
    assert "[red]alice[/red]" in cli("release", "[red]alice[/red]").out


def test_tenant_and_token_reach_the_server(cli: CommandLine, service: Served) -> None:
    cli("get", "alice", "--tenant", "shop", "--token", "hush")
    seen = fake(service).seen[0]
    assert seen.request.tenant == "shop"
    assert seen.metadata["authorization"] == "Bearer hush"


@pytest.mark.parametrize("way", ["argument", "file", "environment", "file-of-environment"])
def test_a_token_that_others_can_list_is_warned_of_once(
    cli: CommandLine,
    service: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text("hush\n")
    if way == "environment":
        monkeypatch.setenv("HOMEPORT_TOKEN", "hush")
    if way == "file-of-environment":
        monkeypatch.setenv("HOMEPORT_TOKEN_FILE", str(file))
    words = {"argument": ["--token", "hush"], "file": ["--token-file", str(file)]}.get(way, [])
    ran = cli("get", "alice", "-o", "json", *words)
    assert fake(service).seen[0].metadata["authorization"] == "Bearer hush"
    assert "hush" not in ran.out + ran.err
    assert ran.err.count("warning: --token can be read by everybody") == (way == "argument")
    assert ("HOMEPORT_TOKEN or by --token-file FILE" in ran.err) == (way == "argument")


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        pytest.param(grpc.StatusCode.INVALID_ARGUMENT, 2, id="a wrong request is wrong usage"),
        pytest.param(grpc.StatusCode.NOT_FOUND, 3, id="not found"),
        pytest.param(grpc.StatusCode.FAILED_PRECONDITION, 4, id="refused by policy"),
        pytest.param(grpc.StatusCode.PERMISSION_DENIED, 1, id="not allowed"),
        pytest.param(grpc.StatusCode.UNAUTHENTICATED, 1, id="nobody knows the token"),
        pytest.param(grpc.StatusCode.INTERNAL, 1, id="the server's own fault"),
        pytest.param(grpc.StatusCode.ABORTED, 1, id="somebody was faster"),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(
    cli: CommandLine, service: Served, code: grpc.StatusCode, exit_code: int
) -> None:
    """And the server's sentence is all that is printed, on stderr, but for how a command is given a
    token, which a server cannot know."""
    fake(service).fail(code=code, message="this and that; do something")
    ran = cli("get", "alice", "-o", "json")
    assert (ran.code, ran.out) == (exit_code, "")
    more = " (commands take one by --token-file FILE or HOMEPORT_TOKEN)"
    said = more if code is grpc.StatusCode.UNAUTHENTICATED else ""
    assert ran.err == f"homeport: this and that; do something{said}\n"


def test_no_room_is_a_refusal(cli: CommandLine, service: Served) -> None:
    fake(service).full.add("alice")
    ran = cli("provision", "alice")
    assert (ran.code, ran.err) == (4, f"homeport: {NO_ROOM.message}\n")


def test_a_store_that_is_away_is_unavailable(cli: CommandLine, service: Served) -> None:
    """The server's own words, and not a guess that nobody is there."""
    fake(service).fail(times=9, message="the store is away; try again", retry_after_s=100.0)
    ran = cli("get", "alice")
    assert (ran.code, ran.err) == (5, "homeport: the store is away; try again\n")


def test_nobody_there_is_unavailable_and_says_what_to_do(cli: CommandLine) -> None:
    with_nobody = "127.0.0.1:1"
    for command in (["get", "alice"], ["units", "list"], ["tenants", "list"]):
        ran = cli(*command, "--server", with_nobody)
        assert ran.code == 5
        assert f"no Homeport server answers at {with_nobody}" in ran.err
        assert "homeport up" in ran.err


def test_a_second_server_is_asked_when_the_first_is_not_there(
    cli: CommandLine, service: Served
) -> None:
    ran = cli("provision", "alice", "--server", f"127.0.0.1:1,{service.address}")
    assert ran.code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["--ip", "10.1"], "--ip 10.1 is not", id="half an address"),
        pytest.param(["--at", "53.3"], "is not LAT,LON", id="half a position"),
        pytest.param(["--at", "nan,0"], "is not on Earth", id="not a number"),
        pytest.param(["--at", "91,0"], "is not on Earth", id="north of the pole"),
        pytest.param(["--ip", "::1", "--at", "0,0"], "not both", id="two places at once"),
        pytest.param(["--server", "a:b:c/"], "--server", id="a server that is no address"),
        pytest.param(["--profile", "gone"], "no profile gone", id="a profile that is not there"),
        pytest.param(["-o", "xml"], "xml", id="an output nobody speaks"),
    ],
)
def test_wrong_usage_asks_nobody(
    cli: CommandLine, service: Served, arguments: list[str], complaint: str
) -> None:
    ran = cli("provision", "alice", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err
    assert fake(service).seen == []


def test_explain_asks_as_if_the_client_had_waited(cli: CommandLine, service: Served) -> None:
    assert cli("explain", "alice", "--waited", "3m").code == 0
    assert fake(service).seen[-1].request.waited.ToSeconds() == 180
    cli("explain", "alice")
    assert not fake(service).seen[-1].request.HasField("waited")


def test_a_time_that_is_none_is_wrong_usage(cli: CommandLine, service: Served) -> None:
    ran = cli("explain", "alice", "--waited", "long")
    assert (ran.code, ran.out) == (2, "")
    assert '--waited: "long" is no duration' in ran.err
    assert fake(service).seen == []


def test_with_a_timeout_a_command_goes_on_trying(cli: CommandLine, service: Served) -> None:
    """More often than it would without one: for scripts that come before the servers."""
    tries = ROUNDS + 1
    fake(service).fail(times=tries)
    assert cli("provision", "alice", "--timeout", "60").code == 0
    assert len(fake(service).seen) > tries


@pytest.mark.parametrize("wrong", ["0", "nan", "3601", "soon"])
def test_a_timeout_has_bounds(cli: CommandLine, service: Served, wrong: str) -> None:
    ran = cli("provision", "alice", "--timeout", wrong)
    assert ran.code == 2
    assert "--timeout" in ran.err
    assert fake(service).seen == []

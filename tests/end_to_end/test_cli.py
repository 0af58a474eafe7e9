"""The command line against a real local stack: what an operator does on a first day."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.command_line import Ran, run_here, run_process
from tests.support.local_stack import Up, wait_until

FLEET = {
    "units": [
        {
            "id": "dublin",
            "endpoint": "dublin.example.net:443",
            "position": {"latitude": 53.3, "longitude": -6.3},
            "country": "IE",
            "capacity": 100_000,
            "labels": {"ring": "stable"},
            "tenants": ["default"],
        },
        {
            "id": "tokyo",
            "endpoint": "tokyo.example.net:443",
            "position": {"latitude": 35.7, "longitude": 139.7},
            "country": "JP",
            "capacity": 100_000,
            "tenants": ["default"],
        },
        {
            "id": "closet",
            "endpoint": "closet.example.net:443",
            "position": {"latitude": 0.0, "longitude": 0.0},
            "country": "GH",
            "capacity": 1,
            "tenants": ["tiny"],
        },
    ]
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One stack on the embedded store; every test uses clients and units of its own."""
    folder = tmp_path_factory.mktemp("stack")
    fleet = folder / "fleet.yaml"
    fleet.write_text(yaml.safe_dump(FLEET))
    with Up(folder / "data", "--units", str(fleet)) as up:
        yield up


class Operator:
    """Runs commands against the stack; `as_processes`: each as a process of its own."""

    def __init__(self, stack: Up, *, as_processes: bool = False) -> None:
        self.server = stack.grpc
        self.metrics = str(stack.ready["metrics"])
        self._run = run_process if as_processes else run_here

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Ran:
        return self._run(*arguments, stdin=stdin, HOMEPORT_SERVER=self.server)


@pytest.fixture
def operator(stack: Up) -> Operator:
    return Operator(stack)


def test_a_client_from_its_first_day_to_its_last(stack: Up) -> None:
    """provision, get, explain, release, and then nothing."""
    operator = Operator(stack, as_processes=True)
    home = operator("provision", "aiko", "--at", "35,139", "-o", "json").document
    assert (home["unit"], home["existing"], home["source"]) == ("tokyo", False, "declared")
    again = operator("provision", "aiko", "--at", "53,-6", "-o", "json").document
    assert (again["unit"], again["existing"]) == ("tokyo", True)
    found = operator("get", "aiko", "-o", "json").document
    assert found["epoch"] == home["epoch"]
    assert (found["rule"], found["source"]) == (home["rule"], "declared")
    recorded = found["recorded"]
    assert (recorded["latitude"], recorded["longitude"]) == (35.0, 139.0)
    assert recorded["distance_km"] == home["distance_km"] > 0
    assert recorded["fleet_revision"] > 0
    explained = operator("explain", "aiko", "--at", "53,-6", "-o", "json").document
    assert explained["current"] == {
        "unit": "tokyo", "epoch": home["epoch"], "recorded": recorded,
    }  # fmt: skip
    assert explained["units"][0]["unit"] == "dublin"
    unsaid = operator("explain", "aiko", "-o", "json").document
    assert unsaid["units"][0]["unit"] == "tokyo"  # not where this command runs
    assert "its record says where it was" in unsaid["location"]["reason"]
    assert operator("release", "aiko", "-o", "json").document["released"] is True
    gone = operator("get", "aiko")
    assert (gone.code, gone.out) == (3, "")
    assert "provision it first" in gone.err


def test_an_address_is_located(operator: Operator) -> None:
    home = operator("provision", "by-address", "--ip", "2a00:1450:4001:80b::2003", "-o", "json")
    assert home.document["source"] == "database"


def test_no_room_and_no_such_tenant_have_codes_of_their_own(operator: Operator) -> None:
    """A tenant that may use one unit with one place: the second client is refused."""
    unknown = operator("provision", "first", "--tenant", "tiny", "--at", "0,0")
    assert (unknown.code, unknown.out) == (3, "")
    applied = operator("tenants", "apply", "tiny", "--tickets", "EdDSA", "--ticket-ttl", "60")
    assert applied.code == 0
    listed = operator("tenants", "list", "-o", "json").document["tenants"]
    assert [(t["id"], t["ticket_algorithm"], t["ticket_ttl_s"]) for t in listed] == [
        ("default", "HS256", 3600.0),
        ("tiny", "EdDSA", 60.0),
    ]
    first = operator("provision", "first", "--tenant", "tiny", "--at", "0,0", "-o", "json")
    assert (first.document["tenant"], first.document["unit"]) == ("tiny", "closet")
    second = operator("provision", "second", "--tenant", "tiny", "--at", "0,0")
    assert (second.code, second.out) == (4, "")
    assert "full" in second.err
    (closet,) = [u for u in operator("units", "list", "-o", "json").document["units"]
                 if u["id"] == "closet"]  # fmt: skip
    assert (closet["clients"], closet["load"]) == (1, 1.0)


def test_many_clients_in_their_order(operator: Operator) -> None:
    """Three batches, with a bad line in the middle of each."""
    entries: list[dict[str, object]] = []
    for number in range(2_100):
        at = [35.0, 139.0] if number % 2 else [53.0, -6.0]
        entries.append({"client_id": f"many-{number}", "at": at if number % 700 else [91, 0]})
    lines = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
    ran = operator("provision-many", "-", stdin=lines)
    assert (ran.code, ran.err) == (1, "")
    assert [line["client_id"] for line in ran.lines] == [entry["client_id"] for entry in entries]
    wrong = [number for number, line in enumerate(ran.lines) if "error" in line]
    assert wrong == [0, 700, 1_400]
    assert {line["error"]["code"] for line in ran.lines if "error" in line} == {"INVALID_ARGUMENT"}
    homes = [line["unit"] for line in ran.lines if "unit" in line]
    assert homes == ["tokyo" if n % 2 else "dublin" for n in range(2_100) if n % 700]


def test_the_fleet_is_listed_shown_applied_and_removed(operator: Operator, tmp_path: Path) -> None:
    """A unit that an operator adds has no agent until somebody starts one."""
    spare = {**FLEET["units"][0], "id": "spare", "capacity": 7}
    file = tmp_path / "spare.yaml"
    file.write_text(yaml.safe_dump({"units": [spare]}))
    applied = operator("units", "apply", "-f", str(file), "-o", "json").document["units"]
    assert [(unit["id"], unit["capacity"], unit["health"]) for unit in applied] == [
        ("spare", 7, None)
    ]
    shown = operator("units", "show", "spare", "-o", "yaml")
    assert yaml.safe_load(shown.out)["labels"] == {"ring": "stable"}
    table = operator("units", "list")
    assert "spare" in table.out
    assert max(len(line) for line in table.out.splitlines()) <= 100
    assert operator("units", "remove", "spare").code == 0
    missing = operator("units", "show", "spare")
    assert (missing.code, missing.out) == (3, "")


def test_applying_a_file_again_tells_and_keeps_what_agents_reported(
    operator: Operator, stack: Up, tmp_path: Path
) -> None:
    """On a running stack clients still get where the agents are; a dry run only shows."""
    at = operator("provision", "reported", "--at", "35,139", "-o", "json").document["endpoint"]
    assert at == stack.ready["units"]["tokyo"]
    file = tmp_path / "tokyo.yaml"
    file.write_text(yaml.safe_dump({"units": [{**FLEET["units"][1], "capacity": 100_001}]}))
    dry = operator("units", "apply", "-f", str(file), "--dry-run", "-o", "json")
    assert (dry.code, dry.document["units"]) == (
        0, [{"id": "tokyo", "change": "update",
             "fields": {"capacity": {"before": 100_000, "after": 100_001}}}],
    )  # fmt: skip
    assert "100000 -> 100001" in operator("units", "apply", "-f", str(file), "--dry-run").out
    shown = operator("units", "show", "tokyo", "-o", "json").document
    assert shown["capacity"] == 100_000
    (applied,) = operator("units", "apply", "-f", str(file), "-o", "json").document["units"]
    assert (applied["capacity"], applied["endpoint"], applied["serving_endpoint"]) == (
        100_001, "tokyo.example.net:443", at,
    )  # fmt: skip
    assert operator("get", "reported", "-o", "json").document["endpoint"] == at
    clients = operator("units", "clients", "tokyo", "-o", "json").lines
    assert "reported" in [one["client_id"] for one in clients]


def test_a_capacity_below_use_is_told(operator: Operator, tmp_path: Path) -> None:
    operator("tenants", "apply", "crowded")
    file = tmp_path / "crowded.yaml"
    unit = {**FLEET["units"][2], "id": "crowded", "capacity": 5, "tenants": ["crowded"]}
    file.write_text(yaml.safe_dump({"units": [unit]}))
    operator("units", "apply", "-f", str(file))
    for name in ("one", "two"):
        assert operator("provision", name, "--tenant", "crowded", "--at", "0,0").code == 0
    file.write_text(yaml.safe_dump({"units": [{**unit, "capacity": 1}]}))
    for more in (["--dry-run"], []):
        ran = operator("units", "apply", "-f", str(file), *more)
        assert ran.code == 0
        assert "has 2 clients and a capacity of 1" in ran.err


def test_a_tenant_keeps_what_is_not_given_and_goes_once_it_has_no_clients(
    operator: Operator,
) -> None:
    operator("tenants", "apply", "closing", "--hold", "300")
    operator("tenants", "apply", "closing", "--ticket-ttl", "60")
    operator("tenants", "apply", "closing")
    shown = operator("tenants", "show", "closing", "-o", "json").document
    assert (shown["hold_s"], shown["ticket_ttl_s"]) == (300.0, 60.0)
    assert operator("provision", "last", "--tenant", "closing", "--at", "53,-6").code == 4
    assert operator("tenants", "remove", "closing").code == 0
    assert operator("tenants", "show", "closing").code == 3
    assert operator("tenants", "remove", "default").code == 4
    operator("provision", "first", "--tenant", "crowded", "--at", "0,0")
    assert operator("tenants", "remove", "crowded").code == 4


@pytest.mark.parametrize("rate", ["0", "-1", "0.001"])
def test_a_rate_at_which_nobody_would_move_is_refused(operator: Operator, rate: str) -> None:
    ran = operator("units", "drain", "closet", "--rate", rate)
    assert (ran.code, ran.out) == (2, "")
    assert operator("units", "show", "closet", "-o", "json").document["state"] != "draining"


def test_a_unit_with_clients_is_not_removed(operator: Operator) -> None:
    operator("provision", "stays", "--at", "35,139")
    ran = operator("units", "remove", "tokyo")
    assert (ran.code, ran.out) == (4, "")
    assert "clients" in ran.err


@pytest.mark.slow
def test_a_unit_is_taken_out_of_service_and_back(operator: Operator) -> None:
    """A plan, a drain that is waited for, the job's record, and the unit's return."""
    for number in range(30):
        operator("provision", f"leaves-{number}", "--at", "53,-6")
    wait_until(
        lambda: operator("units", "show", "dublin", "-o", "json").document["state"] == "active",
        "the agent was heard",
    )
    before = operator("units", "show", "dublin", "-o", "json").document
    plan = operator("units", "drain", "dublin", "--dry-run", "-o", "json").document["plan"]
    assert plan["moves"] == before["clients"] >= 30
    assert plan["targets"] == [{"unit": "tokyo", "clients": plan["moves"]}]
    assert "would move" in operator("units", "drain", "dublin", "--dry-run").out
    # What its servers hold ahead of clients to come is theirs to give back at any time.
    after = operator("units", "show", "dublin", "-o", "json").document
    assert {**after, "granted": 0} == {**before, "granted": 0}
    drained = operator("units", "drain", "dublin", "--wait", "-o", "json")
    assert drained.code == 0
    job = drained.document
    assert (job["id"], job["state"], job["moved"]) == ("drain-dublin", "done", plan["moves"])
    assert operator("units", "show", "dublin", "-o", "json").document["state"] == "drained"
    assert "drained" in operator("units", "list").out
    moved = operator("get", "leaves-0", "-o", "json").document
    assert (moved["unit"], moved["epoch"]) == ("tokyo", 2)
    stale = operator("units", "undrain", "dublin", "--revision", str(before["revision"]))
    assert (stale.code, stale.out) == (1, "")
    assert "changed since" in stale.err
    last = operator("units", "drain", "tokyo")
    assert (last.code, last.out) == (4, "")
    assert "tenant default" in last.err
    ended = operator("moves", "pause", "drain-dublin")
    assert (ended.code, ended.out) == (4, "")
    assert operator("moves", "list", "-o", "json").document == {"jobs": []}
    (listed,) = operator("moves", "list", "--all", "-o", "json").document["jobs"]
    assert listed == job
    assert "drain-dublin" in operator("moves", "list", "--all").out
    assert operator("moves", "rate", "nothing", "5").code == 3
    assert operator("units", "undrain", "dublin").code == 0
    assert (
        operator("provision", "after", "--at", "53,-6", "-o", "json").document["unit"] == "dublin"
    )
    back = operator("units", "rebalance", "--max-moves", "20", "--wait", "-o", "json").document
    assert (back["state"], back["moved"]) == ("done", 20)
    assert operator("units", "cordon", "dublin", "--dry-run").code == 0
    assert operator("units", "show", "dublin", "-o", "json").document["state"] == "active"


def test_a_wrong_fleet_file_changes_nothing(operator: Operator, tmp_path: Path) -> None:
    """Every problem is named, also those behind the first."""
    file = tmp_path / "fleet.yaml"
    one, two = ({**unit, "id": f"wrong-{n}"} for n, unit in enumerate(FLEET["units"][:2]))
    file.write_text(
        yaml.safe_dump(
            {"units": [one, {**two, "capacity": 0, "colour": "red"}, copy.deepcopy(one)]}
        )
    )
    ran = operator("units", "apply", "-f", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert "wrong-1" in ran.err
    assert "unique" in ran.err
    assert "wrong-0" not in operator("units", "list").out


def test_doctor_finds_a_healthy_stack_healthy(operator: Operator) -> None:
    """Each check is there, and none has failed."""
    wait_until(
        lambda: operator("doctor", "--metrics", operator.metrics).code == 0, "the doctor is content"
    )
    ran = operator("doctor", "--metrics", operator.metrics, "-o", "json")
    outcomes = {check["check"]: check["outcome"] for check in ran.document["checks"]}
    assert set(outcomes) == {
        "server", "metrics", "version", "store", "clock", "geo", "agents", "room", "records",
        "policies", "tasks",
    }  # fmt: skip
    assert "fail" not in outcomes.values()
    assert outcomes["clock"] == outcomes["store"] == outcomes["server"] == "ok"


def test_tickets_say_when_they_end(operator: Operator) -> None:
    home = operator("provision", "timed", "--at", "53,-6", "-o", "json").document
    assert 3_500 < home["ticket_expires_at"] - time.time() < 3_700

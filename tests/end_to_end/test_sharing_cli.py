"""`homeport apps` and `homeport events` against a real server, as scripts see them."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid

import pytest

from tests.support.command_line import run_here, run_process
from tests.support.data_sharing_server import SharingServer
from tests.support.submissions import COFFEE, SPEED, coffee, text, traffic


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with SharingServer(tmp_path_factory.mktemp("sharing")) as one:
        yield one


@pytest.fixture
def homeport(server):
    """Runs a command for a tenant of the test's own."""
    tenant = f"t-{uuid.uuid4().hex[:12]}"

    def run(*arguments: str, stdin: bytes = b""):
        return run_here(
            *arguments, stdin=stdin, HOMEPORT_DATA_SERVER=server.address, HOMEPORT_TENANT=tenant
        )

    return run


@pytest.fixture
def folder(tmp_path):
    """Manifests and an artifact on disk."""
    (tmp_path / "traffic.yaml").write_text(text(traffic()))
    manifest = coffee()
    manifest["runtime"]["artifact"] = "coffee.wasm"
    (tmp_path / "coffee.yaml").write_text(text(manifest))
    (tmp_path / "coffee.wasm").write_bytes(COFFEE)
    return tmp_path


def line(name: str, **changes) -> bytes:
    document = {
        "specversion": "1.0", "id": name, "source": "/t", "type": SPEED,
        "data": {"road": "A1", "speed_kmh": 40},
    }  # fmt: skip
    return json.dumps(document | changes).encode() + b"\n"


def test_applications_are_submitted_listed_shown_and_rolled_back(homeport, folder):
    submitted = homeport("apps", "submit", str(folder / "traffic.yaml"), "-o", "json")
    assert (submitted.code, submitted.document["version"]) == (0, "1.0.0"), submitted.err
    assert homeport("apps", "submit", str(folder / "coffee.yaml")).code == 0
    again = homeport("apps", "submit", str(folder / "coffee.yaml"), "-o", "json")
    assert again.document["existing"]
    listed = homeport("apps", "list", "-o", "json").document["applications"]
    assert [one["name"] for one in listed] == ["coffee", "traffic"]
    (folder / "traffic.yaml").write_text(text(traffic(version="1.0.1")))
    assert homeport("apps", "submit", str(folder / "traffic.yaml")).code == 0
    shown = homeport("apps", "show", "traffic", "-o", "json").document
    assert [(one["version"], one["current"]) for one in shown["versions"]] == [
        ("1.0.1", True), ("1.0.0", False),
    ]  # fmt: skip
    back = homeport("apps", "rollback", "traffic", "-o", "json").document
    assert (back["version"], back["current"]) == ("1.0.0", True)
    gone = homeport("apps", "deprecate", "traffic", "1.0.1", "--reason", "it lied", "-o", "json")
    assert gone.document["deprecation"] == "it lied"
    refused = homeport("apps", "rollback", "traffic", "--to", "1.0.1")
    assert refused.code == 4
    assert "it lied" in refused.err
    assert homeport("apps", "show", "nobody").code == 3
    for command in (["list"], ["show", "traffic"]):
        assert "traffic" in homeport("apps", *command).out


def test_a_refused_manifest_shows_its_faults(homeport, folder):
    (folder / "bad.yaml").write_text(text(coffee(version="x", action_sample={"cups": 0})))
    ran = homeport("apps", "submit", str(folder / "bad.yaml"), "-o", "json")
    assert ran.code == 2
    assert [one["path"] for one in ran.document["faults"]] == ["/version"]
    assert homeport("apps", "submit", str(folder / "none.yaml")).code == 2
    assert homeport("apps", "submit", str(folder / "traffic.yaml")).code == 0
    assert homeport("apps", "submit", str(folder / "coffee.yaml")).code == 0
    (folder / "worse.yaml").write_text(text(traffic(version="2.0.0", produces=[])))
    ran = homeport("apps", "submit", str(folder / "worse.yaml"), "-o", "json")
    assert ran.code == 4
    assert ran.document["faults"][0]["consumer"] == "coffee"


def test_events_go_in_and_come_out_as_lines(homeport, folder):
    assert homeport("apps", "submit", str(folder / "traffic.yaml")).code == 0
    events = line("a") + b"\n" + b"{nonsense\n" + line("b", data={}) + line("a") + line("c")
    ran = homeport("events", "publish", "-", stdin=events)
    assert ran.code == 1
    told = [
        (one["id"], one.get("position"), one.get("error", {}).get("field")) for one in ran.lines
    ]
    assert told == [
        ("a", 1, None), (None, None, "line"), ("b", None, "data"), ("a", 1, None), ("c", 2, None),
    ]  # fmt: skip
    out = homeport("events", "tail", "--after", "0", "--no-follow", "-o", "json")
    assert [(one["id"], one["position"], one["feedkey"]) for one in out.lines] == [
        ("a", 1, "A1"), ("c", 2, "A1"),
    ]  # fmt: skip
    assert out.lines[0]["data"] == {"road": "A1", "speed_kmh": 40}
    single = homeport(
        "events", "publish", "--type", SPEED, "--data", '{"road": "B1", "speed_kmh": 1}'
    )
    assert (single.code, single.lines[0]["position"]) == (0, 3), single.err
    one = homeport("events", "tail", SPEED, "--key", "B1", "--after", "0", "--limit", "1")
    assert "B1" in one.out
    assert homeport("events", "tail", "--as", "nobody", "--no-follow").code == 3


def test_data_is_kept_as_it_was_written_and_an_empty_id_is_none(homeport, folder):
    assert homeport("apps", "submit", str(folder / "traffic.yaml")).code == 0
    given = ("events", "publish", "--type", SPEED, "--data", '{"road":"A1",\n "speed_kmh":4.50}')
    assert homeport(*given, "--id", "a").lines[0]["id"] == "a"
    refused = homeport(*given, "--id", "")
    assert (refused.code, refused.lines) == (2, [])
    assert "--id" in refused.err
    for wrong in ("NaN", "{", "\udcff"):
        ran = homeport("events", "publish", "--type", SPEED, "--data", wrong)
        assert (ran.code, "Traceback" in ran.err) == (2, False)


def test_a_file_of_thousands_is_published_whole_and_again(homeport, folder, tmp_path):
    assert homeport("apps", "submit", str(folder / "traffic.yaml")).code == 0
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"".join(line(str(n)) for n in range(2500)))
    for _ in range(2):
        ran = homeport("events", "publish", str(path))
        assert (ran.code, ran.err) == (0, "")
        assert [one["position"] for one in ran.lines] == list(range(1, 2501))
    assert all(one["duplicate"] for one in ran.lines)


def test_what_trickles_in_is_answered_at_once(server, homeport, folder):
    assert homeport("apps", "submit", str(folder / "traffic.yaml"), "--server", server.address)
    tenant = f"t-{uuid.uuid4().hex[:12]}"
    environ = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "HOMEPORT_TENANT": tenant}
    command = [
        sys.executable, "-m", "console.cli.main", "events", "publish", "-", "--server",
        server.address,
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("a", "b"):
            process.stdin.write(line(name))
            process.stdin.flush()
            # Answered before the next line comes: nobody produces the type in this tenant.
            assert json.loads(process.stdout.readline())["error"]["code"] == "NOT_FOUND"
        process.stdin.close()
        assert process.wait(30) == 1


def test_nobody_there_is_said():
    ran = run_process("apps", "list", "--server", "127.0.0.1:1")
    assert ran.code == 5
    assert "homeport share" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["publish"], id="neither a file nor data"),
        pytest.param(["publish", "-", "--data", "{}"], id="both a file and data"),
        pytest.param(["publish", "--data", "{}"], id="data without its type"),
        pytest.param(["publish", "--data", "{", "--type", "x"], id="data that is no JSON"),
        pytest.param(["publish", "/none"], id="a file that is not there"),
        pytest.param(["tail", "--since", "noon"], id="a time that is none"),
        pytest.param(["tail", "--since", "2026-01-01T00:00:00Z", "--after", "1"], id="two starts"),
    ],
)
def test_wrong_usage_exits_with_two(arguments):
    assert run_here("events", *arguments).code == 2

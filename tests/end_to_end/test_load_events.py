"""`homeport load --events` against a real server and a real platform: events by gRPC and HTTP, and
their outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from console.cli.main import main
from simulation.load.events.tenant_setup import APPLICATION
from simulation.load.report.page import held_result
from tests.support.command_line import CommandLine, Ran
from tests.support.data_sharing_server import SharingServer
from tests.support.platforms import PlatformProcess

SMALL = (
    "load", "--events", "--users", "1000", "--rate", "40", "--duration", "2s", "--connections", "2",
    "--rules", "3", "--plans", "4", "--mix", "quiet=1,invoking=1,changing=1",
)  # fmt: skip


pytestmark = pytest.mark.slow


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*arguments: str, stdin: bytes = b"") -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        told = capsys.readouterr()
        return Ran(code=int(ended.value.code or 0), out=told.out, err=told.err)

    return run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SharingServer]:
    with SharingServer(tmp_path) as one:
        yield one


@pytest.fixture
def platform(server: SharingServer, tmp_path: Path) -> Iterator[PlatformProcess]:
    port = int(server.address.rpartition(":")[2])
    made = PlatformProcess(tmp_path, port, f"--applications={APPLICATION}")
    try:
        yield made
    finally:
        made.kill()


def test_events_lead_to_outcomes_that_are_measured(
    cli: CommandLine, server: SharingServer, platform: PlatformProcess, tmp_path: Path
) -> None:
    report = tmp_path / "events.html"
    ran = cli(
        *SMALL, "--server", server.address, "--http-server", server.http, "--report", str(report),
        "--give-up-after", "60s", "--threshold", "missing<0.1%", "-o", "json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    told = ran.document
    kinds = told["kinds"]
    assert kinds["grpc"]["good"] > 0
    assert kinds["http"]["good"] > 0
    assert told["calls"]["good"] == told["calls"]["asked"]
    outcome = kinds["outcome"]
    assert outcome["good"] == outcome["arrived"] > 0
    assert outcome["by_status"] == {"done": outcome["good"]}
    assert outcome["latency_ms"]["p50"] > kinds["grpc"]["latency_ms"]["p50"]
    assert sum(one.get("outcomes", 0) for one in told["seconds"]) == outcome["good"]
    assert held_result(report.read_text()) == told
    assert "From an event to its outcome" in report.read_text()

    rules = cli("rules", "list", "--server", server.address, "-o", "json")
    assert rules.document["rules"] == []  # they are taken back

    again = cli(SMALL[0], "--from-report", str(report), "--server", server.address, "-o", "json")
    assert again.code == 0, again.err
    assert set(again.document["kinds"]) == {"grpc", "outcome"}
    assert again.document["events"] == {**told["events"], "http_share": 0.0}


def test_without_a_platform_it_says_what_to_run(cli: CommandLine, server: SharingServer) -> None:
    ran = cli(*SMALL, "--server", server.address)
    assert ran.code == 5
    assert f"no platform hosts {APPLICATION}" in ran.err
    assert "homeport platforms run" in ran.err

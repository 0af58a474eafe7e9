"""Watching on the command line: clients against a fake service, the fleet's changes alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from console.cli.calls.fleet_watch import fleet_changes
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.errors import PermissionDenied, Unavailable, error_of
from homeport.failure import Code, Failure
from tests.support.command_line import LIMIT_S, CommandLine
from tests.support.fakes.provisioning_service import FakeProvisioning
from tests.support.fakes.server import Served

AWAY = error_of(Failure(Code.UNAVAILABLE, "away", retry_after_s=3.0, from_homeport=True))
GONE = error_of(Failure(Code.OUT_OF_RANGE, "compacted", from_homeport=True))


def fake(service: Served) -> FakeProvisioning:
    assert service.provisioning is not None
    return service.provisioning


# A shell's background jobs ignore Ctrl-C, and so would what these tests start. It is heeded from
# within: code between fork and exec is not safe beside the threads of a server in this process.
HEEDING_CTRL_C = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "runpy.run_module('console.cli.main', run_name='__main__', alter_sys=True)"
)


def next_event(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    event: dict[str, Any] = json.loads(line)
    return event


def test_a_watch_ends_after_the_events_asked_for(cli: CommandLine, service: Served) -> None:
    cli("provision", "alice")
    ran = cli("watch", "alice", "--count", "1", "-o", "json")
    assert (ran.code, ran.err) == (0, "")
    (event,) = ran.lines
    assert (event["event"], event["unit"], event["epoch"]) == ("home", "unit-0", 1)
    assert event["ticket"] == "ticket:default:alice:unit-0:1"
    assert "alice lives at unit-0" in cli("watch", "alice", "-n", "1").out


def test_events_come_as_they_happen_and_ctrl_c_ends_it(cli: CommandLine, service: Served) -> None:
    cli("provision", "alice")
    command = [sys.executable, "-c", HEEDING_CTRL_C, "watch", "alice", "-o", "json"]
    with subprocess.Popen(
        [*command, "--server", service.address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert next_event(process)["event"] == "home"
            fake(service).move("default", "alice", "unit-9", cause="rebalanced")
            moved = next_event(process)
            assert (moved["event"], moved["unit"], moved["epoch"], moved["cause"]) == (
                "moved", "unit-9", 2, "rebalanced",
            )  # fmt: skip
            fake(service).set_home("default", "alice", "")
            assert next_event(process) == {
                "event": "released", "cause": None, "client_id": "alice",
            }  # fmt: skip
            process.send_signal(signal.SIGINT)
            assert process.wait(LIMIT_S) == 130
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        pytest.param(None, 3, id="a-client-without-a-home"),
        pytest.param({"code": grpc.StatusCode.PERMISSION_DENIED, "message": "no"}, 1, id="denied"),
    ],
)
def test_a_watch_that_cannot_be_fails_in_one_sentence(
    cli: CommandLine, service: Served, fault: dict[str, object] | None, code: int
) -> None:
    if fault:
        fake(service).fail(**fault)
    ran = cli("watch", "nobody")
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)


# -- the fleet ---------------------------------------------------------------------------


def unit(name: str, clients: int = 0) -> fleet.Unit:
    return fleet.Unit(spec=fleet.UnitSpec(unit_id=name), clients=clients)


def told(revision: int, *units: fleet.Unit, removed: tuple[str, ...] = ()) -> object:
    return fleet.WatchFleetResponse(units=units, removed_unit_ids=removed, revision=revision)


class Script:
    """Streams as they will go: messages, then how each ends."""

    def __init__(self, *streams: list[object]) -> None:
        self._streams = list(streams)
        self.asked: list[int] = []
        self.waits: list[float] = []

    def watch(self, revision: int) -> Iterator[fleet.WatchFleetResponse]:
        self.asked.append(revision)
        for step in self._streams.pop(0):
            if isinstance(step, Exception):
                raise step
            assert isinstance(step, fleet.WatchFleetResponse)
            yield step

    def run(self) -> list[tuple[str, int | None]]:
        changes = fleet_changes(
            self.watch, wait=self.waits.append, jitter=lambda: 1.0, lost=lambda why: None
        )
        found: list[tuple[str, int | None]] = []
        try:
            found.extend((name, unit.clients if unit else None) for name, unit in changes)
        except PermissionDenied:
            return found
        raise AssertionError("it ends with the script")


END = error_of(Failure(Code.PERMISSION_DENIED, "end of script", from_homeport=True))


def test_after_a_break_the_fleet_is_watched_from_the_last_revision() -> None:
    script = Script(
        [told(5, unit("a"), unit("b")), told(6, unit("a", 1)), AWAY],
        [told(8, unit("b", 2), removed=("a",)), END],
    )
    assert script.run() == [("a", 0), ("b", 0), ("a", 1), ("a", None), ("b", 2)]
    assert script.asked == [0, 6]
    assert script.waits == [3.0]


def test_where_history_is_compacted_only_differences_are_told() -> None:
    script = Script(
        [told(5, unit("a"), unit("b"), unit("c")), AWAY],
        [GONE],
        [told(90, unit("a"), unit("c", 7)), END],
    )
    assert script.run() == [("a", 0), ("b", 0), ("c", 0), ("b", None), ("c", 7)]
    assert script.asked == [0, 5, 0]


def test_where_nobody_answers_at_first_it_says_so() -> None:
    with pytest.raises(Unavailable):
        Script([AWAY]).run()

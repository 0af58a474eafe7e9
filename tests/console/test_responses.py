"""Streams that commands follow: read by a thread of their own, so that no interrupt finds a command
within gRPC, where a lock that it leaves locked would hold up the end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import grpc
import pytest

from console.cli.calls.responses import AHEAD, responses
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from tests.support.command_line import LIMIT_S

# As in test_watch: a shell's background jobs ignore Ctrl-C.
HEEDING_CTRL_C = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "runpy.run_module('console.cli.main', run_name='__main__', alter_sys=True)"
)


class FakeCall:
    """Gives numbers, ends as it is told, and knows who read it."""

    def __init__(self, count: int, end: BaseException | None = None) -> None:
        self.readers: set[threading.Thread] = set()
        self.read = 0
        self.cancelled = threading.Event()
        self._count, self._end = count, end

    def begin(self) -> FakeCall:
        self.readers.add(threading.current_thread())
        return self

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.readers.add(threading.current_thread())
        if self.read == self._count:
            raise self._end or StopIteration
        self.read += 1
        return self.read

    def cancel(self) -> None:
        self.cancelled.set()


def test_whoever_takes_them_is_never_within_the_call() -> None:
    call = FakeCall(3)
    assert list(responses(call.begin)) == [1, 2, 3]
    assert call.readers
    assert threading.current_thread() not in call.readers
    assert call.cancelled.is_set()


@pytest.mark.parametrize("end", [grpc.RpcError("away"), ValueError("channel closed")])
def test_what_ends_a_call_is_raised_behind_what_came(end: Exception) -> None:
    found = responses(FakeCall(2, end).begin)
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(type(end)):
        next(found)


def test_a_call_that_cannot_begin_says_so() -> None:
    def begin() -> FakeCall:
        raise ValueError("the channel is closed")

    with pytest.raises(ValueError, match="closed"):
        next(responses(begin))


def test_what_is_given_up_is_cancelled_and_only_so_much_is_read_ahead() -> None:
    call = FakeCall(AHEAD * 10)
    with closing(responses(call.begin)) as found:
        assert next(found) == 1
    assert call.cancelled.is_set()
    assert call.read <= AHEAD + 2


class OneUnit(fleet_pb2_grpc.FleetServiceServicer):
    """A fleet of one, in which nothing happens."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def WatchFleet(
        self, request: fleet_pb2.WatchFleetRequest, context: grpc.ServicerContext
    ) -> Iterator[fleet_pb2.WatchFleetResponse]:
        context.add_callback(self.ended.set)
        unit = fleet_pb2.Unit(spec=fleet_pb2.UnitSpec(unit_id="eu-west"))
        yield fleet_pb2.WatchFleetResponse(units=[unit], revision=1)
        self.ended.wait(LIMIT_S)


def test_one_ctrl_c_ends_a_watch_of_the_fleet_and_its_stream() -> None:
    fleet = OneUnit()
    server = grpc.server(ThreadPoolExecutor(4))
    fleet_pb2_grpc.add_FleetServiceServicer_to_server(fleet, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    command = [sys.executable, "-c", HEEDING_CTRL_C, "units", "watch", "-o", "json"]
    try:
        with subprocess.Popen(
            [*command, "--server", f"127.0.0.1:{port}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            try:
                assert process.stdout is not None
                assert "eu-west" in process.stdout.readline()
                process.send_signal(signal.SIGINT)
                assert process.wait(LIMIT_S) == 130
                assert fleet.ended.wait(LIMIT_S)
            finally:
                process.kill()
    finally:
        server.stop(None).wait(LIMIT_S)

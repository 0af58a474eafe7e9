"""Latencies are measured at once, within a time, and reported: once each, and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from homeport.api.policy.v1 import latency_pb2 as pb
from homeport.connecting import MOST, async_connect_times, connect_times, host_and_port
from homeport.steps import Connect, Try
from tests.sdk.core_harness import FakeTime, core_on, drive


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_who_answers_is_timed_and_who_does_not_left_out(listening: str, closed: str) -> None:
    found = connect_times({"near": listening, "gone": closed, "odd": "no-port"}, 5.0)
    assert set(found) == {"near"}
    assert 0.0 < found["near"] < 5_000.0


async def test_on_asyncio_as_well(listening: str, closed: str) -> None:
    found = await async_connect_times({"near": listening, "gone": closed, "odd": "x:"}, 5.0)
    assert set(found) == {"near"}
    assert 0.0 < found["near"] < 5_000.0


def test_few_are_measured_however_many_are_told(listening: str) -> None:
    assert len(connect_times({f"u{at}": listening for at in range(3 * MOST)}, 5.0)) == MOST


@pytest.mark.parametrize("text", ["", "host", "host:", "host:0", "host:99999", "host:x"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no host:port"):
        host_and_port(text)


def offered(request: pb.ReportLatenciesRequest) -> pb.ReportLatenciesResponse:
    answer = pb.ReportLatenciesResponse(accepted=len(request.measured))
    answer.candidates.add(unit_id="dublin", endpoint="dublin.example:443")
    answer.candidates.add(unit_id="virginia", endpoint="virginia.example:443")
    answer.report_after.FromSeconds(60)
    return answer


def test_what_was_offered_is_measured_and_what_answered_reported() -> None:
    time, asked = FakeTime(), []

    def answer(step: Try) -> Any:
        request = pb.ReportLatenciesRequest.FromString(step.request.SerializeToString())
        asked.append((step.client_id, request))
        return offered(request)

    def connect(step: Any) -> Any:
        assert step == Connect(
            {"dublin": "dublin.example:443", "virginia": "virginia.example:443"}, 2.0
        )
        return {"dublin": 12.5}

    core = core_on(time)
    steps = core.report_latencies("anna", connect_timeout_s=2.0, timeout_s=None)
    report, _ = drive(steps, time, answer, else_do=connect)
    assert [client for client, _ in asked] == ["anna", "anna"]
    assert [len(request.measured) for _, request in asked] == [0, 1]
    assert asked[1][1].tenant == "acme"
    assert asked[1][1].measured[0].round_trip.ToMicroseconds() == 12_500
    assert (report.accepted, report.measured_ms) == (1, {"dublin": 12.5})
    assert report.report_after_s == 60.0


def test_where_nothing_answered_nothing_is_reported() -> None:
    time, asked = FakeTime(), []

    def answer(step: Try) -> Any:
        asked.append(step)
        return offered(pb.ReportLatenciesRequest())

    steps = core_on(time).report_latencies("anna", connect_timeout_s=2.0, timeout_s=None)
    report, _ = drive(steps, time, answer, else_do=lambda step: {})
    assert len(asked) == 1
    assert (report.accepted, report.measured_ms) == (0, {})

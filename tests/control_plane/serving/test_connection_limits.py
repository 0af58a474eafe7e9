"""Each limit of docs/reference/connections.md, on real servers over both transports: what it holds
back, that health answers meanwhile, and that without it nothing is held back."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from dataclasses import replace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from control_plane.serving.connection_limits import ConnectionLimits, Reason
from control_plane.serving.peers import Proxies, parse_networks
from tests.support.attacks import connection_attacks as attacks
from tests.support.certificates import Authority
from tests.support.limited_server import asked, limited_server
from tests.support.local_stack import wait_until
from tests.support.tls_server import server_files

WAIT_S = 15.0
OFF = ConnectionLimits(
    per_address=0, overall=0, greeting_s=3_600, idle_s=3_600, first_message_s=3_600
)
BOTH = pytest.mark.parametrize("transport", ["native", "grpcio"])
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
WATCH = "/grpc.health.v1.Health/Watch"

CONNECTION_CASES = [
    pytest.param({"per_address": 5}, b"", 20, Reason.ADDRESS, 15, id="many-of-one-address"),
    pytest.param(
        {"per_address": 5}, attacks.GREETING, 20, Reason.ADDRESS, 15, id="many-that-greet"
    ),
    pytest.param({"overall": 8}, attacks.GREETING, 20, Reason.OVERALL, 12, id="many-in-all"),
    pytest.param({"greeting_s": 0.3}, b"", 12, Reason.SILENT, 12, id="silent"),
    pytest.param({"greeting_s": 0.3}, attacks.PREFACE[:20], 12, Reason.SILENT, 12, id="half-said"),
    pytest.param({"idle_s": 0.3}, attacks.GREETING, 12, Reason.IDLE, 12, id="idle"),
]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new()


@BOTH
@pytest.mark.parametrize(("limit", "says", "count", "reason", "closed"), CONNECTION_CASES)
def test_connections_beyond_a_limit_are_closed_and_health_answers(
    transport, limit, says, count, reason, closed
):
    with (
        limited_server(transport, replace(OFF, **limit)) as server,
        attacks.many_connections(server.port, count, says=says) as held,
    ):
        assert attacks.wait_closed(held, closed, WAIT_S) >= closed
        # Counted once they are closed, by another thread.
        wait_until(lambda: server.watch.closed[reason] >= closed, "all are counted")
        assert asked(server.port) == ["SERVING"]


@BOTH
@pytest.mark.parametrize(("limit", "says", "count", "reason", "closed"), CONNECTION_CASES)
def test_without_limits_they_all_stay(transport, limit, says, count, reason, closed):
    with (
        limited_server(transport, OFF) as server,
        attacks.many_connections(server.port, count, says=says) as held,
    ):
        time.sleep(0.5)  # longer than the times above
        assert attacks.open_among(held) == count
        assert not server.watch.closed


@BOTH
def test_a_flood_from_one_address_takes_nothing_from_another(transport):
    limits = replace(OFF, overall=12)
    with (
        limited_server(transport, limits) as server,
        attacks.many_connections(
            server.port, 4, says=attacks.GREETING, source="127.0.0.2"
        ) as others,
        attacks.many_connections(server.port, 40, says=attacks.GREETING) as flood,
    ):
        assert attacks.wait_closed(flood, 32, WAIT_S) >= 32
        assert attacks.open_among(others) == 4


@BOTH
def test_a_trusted_proxy_may_have_ten_times_as_many(transport):
    proxies = Proxies(parse_networks(["127.0.0.3"]))
    with (
        limited_server(transport, replace(OFF, per_address=2), proxies=proxies) as server,
        attacks.many_connections(server.port, 20, source="127.0.0.3") as of_proxy,
        attacks.many_connections(server.port, 20) as of_others,
    ):
        assert attacks.wait_closed(of_others, 18, WAIT_S) >= 18
        assert attacks.open_among(of_proxy) == 20


def test_a_connection_that_was_closed_is_known_until_another_one_comes_from_its_port():
    """So its calls need not begin, and those of the next one do."""
    with limited_server("native", replace(OFF, greeting_s=0.3)) as server:
        first = attacks.connect(server.port)
        here = first.getsockname()
        assert attacks.wait_closed([first], 1, WAIT_S) == 1
        assert server.watch.is_closed(*here)
        assert not server.watch.is_closed("127.0.0.9", here[1])
        first.close()
        with socket.create_connection(("127.0.0.1", server.port), WAIT_S, source_address=here):
            end = time.monotonic() + WAIT_S
            while server.watch.is_closed(*here) and time.monotonic() < end:
                time.sleep(0.01)
            assert not server.watch.is_closed(*here)


@BOTH
def test_addresses_of_both_families_are_told_apart(transport):
    with limited_server(transport, replace(OFF, per_address=3), host="[::1]") as server:
        held = [attacks.connect(server.port, source="::1", to="::1") for _ in range(9)]
        try:
            assert attacks.wait_closed(held, 6, WAIT_S) == 6
        finally:
            for one in held:
                one.close()


@BOTH
def test_calls_that_go_on_are_not_idle(transport):
    """The server's pings are answered, as a client that only listens does."""
    with limited_server(transport, replace(OFF, idle_s=0.6)) as server:
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                stub.Check(health_pb2.HealthCheckRequest(), timeout=WAIT_S)
                time.sleep(0.1)
        assert not server.watch.closed


@BOTH
def test_streams_of_one_connection_are_bounded(transport):
    """The server says so in its SETTINGS, and clients hold themselves to it."""
    with limited_server(transport, replace(OFF, streams=7)) as server:
        assert attacks.greeted_with(server.port)[attacks.MAX_STREAMS] == 7


STREAMED = [pytest.param("grpcio", path, id=f"grpcio-{path.rpartition('/')[2]}")
            for path in (attacks.HEALTH, WATCH, REFLECTION)] + [
            pytest.param("native", REFLECTION, id="native-ServerReflectionInfo")]  # fmt: skip


@pytest.mark.parametrize(("transport", "path"), STREAMED)
def test_calls_whose_message_does_not_come_end(transport, path):
    with (
        limited_server(transport, replace(OFF, first_message_s=0.3)) as server,
        attacks.half_open_streams(server.port, 20, path=path) as connection,
    ):
        assert attacks.ended_streams(connection, 20, WAIT_S) == 20
        assert asked(server.port) == ["SERVING"]


@pytest.mark.parametrize(("transport", "path"), STREAMED)
def test_without_that_limit_they_stay(transport, path):
    with (
        limited_server(transport, OFF) as server,
        attacks.half_open_streams(server.port, 20, path=path) as connection,
    ):
        assert attacks.ended_streams(connection, 1, 1.0) == 0


@BOTH
@pytest.mark.parametrize("path", [attacks.HEALTH, WATCH, REFLECTION, "/no.Such/Method"])
def test_rapid_resets_close_their_own_connection_and_cancel_nobody_elses_calls(transport, path):
    # With more streams grpcio has more to work off, and others wait longer.
    with limited_server(transport, replace(OFF, streams=200)) as server:
        with attacks.while_running(
            lambda: attacks.rapid_resets(server.port, 400_000, path=path, source="127.0.0.2")
        ) as resets:
            answers = asked(server.port, times=5)
        assert resets().closed
        assert answers == ["SERVING"] * 5


@BOTH
def test_strangers_who_talk_nonsense_leave_one_short_line_a_minute(transport, caplog, capfd):
    caplog.set_level(logging.INFO)
    with limited_server(transport, replace(OFF, greeting_s=0.2)) as server:
        for kind in attacks.GARBAGE:
            for _ in range(3):
                attacks.garbage(server.port, kind)
        with attacks.many_connections(server.port, 10) as held:
            attacks.wait_closed(held, 10, WAIT_S)
        assert asked(server.port) == ["SERVING"]
    lines = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(lines) <= 1
    assert all(r.exc_info is None and len(r.getMessage()) < 120 for r in lines)
    assert "Traceback" not in capfd.readouterr().err


@BOTH
def test_streams_are_counted_by_connection(transport):
    """Also where all of them go on over one connection inside."""
    with (
        limited_server(transport, replace(OFF, streams=3)) as server,
        attacks.half_open_streams(server.port, 3, path=REFLECTION),
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = stub.ServerReflectionInfo(iter([request]), timeout=WAIT_S)
        assert len(list(answers)) == 1


def test_short_streams_of_which_a_client_keeps_as_many_as_it_may_are_not_refused():
    """Behind the front is a server of grpcio's, which still counts those that have just ended."""

    async def burst(port: int) -> None:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)

            async def in_a_row() -> None:
                for _ in range(4):
                    answers = stub.ServerReflectionInfo(iter([request]), timeout=4 * WAIT_S)
                    assert [one async for one in answers]

            async with asyncio.TaskGroup() as group:
                for _ in range(200):
                    group.create_task(in_a_row())

    with limited_server("native", replace(OFF, streams=100)) as server:
        asyncio.run(burst(server.port))


@BOTH
@pytest.mark.parametrize(("limit", "says", "count", "reason", "closed"), CONNECTION_CASES[:3])
def test_with_tls_they_are_the_same(
    transport, limit, says, count, reason, closed, authority, tmp_path
):
    files = server_files(authority, tmp_path, mutual=False)
    with (
        limited_server(transport, replace(OFF, **limit), tls=files) as server,
        attacks.many_connections(server.port, count, says=says) as held,
    ):
        assert attacks.wait_closed(held, closed, WAIT_S) >= closed
        assert asked(server.port, ca=authority.certificate) == ["SERVING"]


@BOTH
def test_strangers_who_fail_to_shake_hands_leave_no_traceback(
    transport, authority, tmp_path, caplog, capfd
):
    caplog.set_level(logging.INFO)
    files = server_files(authority, tmp_path, mutual=True)
    with limited_server(transport, replace(OFF, greeting_s=0.3), tls=files) as server:
        for kind in attacks.GARBAGE:
            for _ in range(3):
                attacks.garbage(server.port, kind)
        with attacks.many_connections(server.port, 10) as held:
            assert attacks.wait_closed(held, 10, WAIT_S) == 10
        # Who has no certificate:
        assert asked(server.port, ca=authority.certificate) == ["UNAVAILABLE"]
    lines = [r for r in caplog.records if r.levelno >= logging.WARNING]
    # A line of who said nothing, and on native one of who was refused for a certificate.
    assert len({line.name for line in lines}) == len(lines) <= 2
    assert "Traceback" not in capfd.readouterr().err

"""Health answers whatever strangers do to its port; each limit also taken out."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import socket
import threading
import urllib.request
from collections.abc import Iterator
from wsgiref.simple_server import make_server

import pytest

from control_plane.telemetry.http_server import HEAD_BYTES, BoundedHandler, BoundedHttpServer
from tests.support.attacks import connection_attacks as attacks

WAIT_S = 15.0
HALF = b"GET /readyz HTTP/1.1\r\nHost: here\r\nX-A: "


@contextlib.contextmanager
def served(*, request_s: float = 3_600.0, connections: int = 1_000) -> Iterator[int]:
    """A server's port."""

    def application(environ, start):
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"ready\n"]

    server = make_server("127.0.0.1", 0, application, BoundedHttpServer, BoundedHandler)
    server.request_s, server.connections = request_s, connections
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ready(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=WAIT_S) as answer:
        return answer.read().decode().strip()


@pytest.mark.parametrize("says", [b"", b"G", HALF, attacks.TLS_HELLO], ids=range(4))
def test_requests_that_do_not_come_are_ended(says):
    with served(request_s=0.3) as port, attacks.many_connections(port, 10, says=says) as held:
        assert attacks.wait_closed(held, 10, WAIT_S) == 10
        assert ready(port) == "ready"


def test_a_head_that_comes_a_byte_at_a_time_is_ended():
    with served(request_s=0.3) as port:
        assert attacks.slow_bytes(port, HALF, every_s=0.02, within_s=WAIT_S) is not None


def test_without_a_time_they_stay():
    with served() as port:
        assert attacks.slow_bytes(port, HALF, every_s=0.02, within_s=0.7) is None


def test_of_too_many_connections_the_oldest_go():
    with served(connections=5) as port, attacks.many_connections(port, 20, says=HALF) as held:
        assert attacks.wait_closed(held, 15, WAIT_S) == 15
        assert attacks.open_among(held[-5:]) == 5
        assert ready(port) == "ready"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"X-A: " + b"a" * HEAD_BYTES + b"\r\n", id="one-long-header"),
        pytest.param(b"X-A: b\r\n" * (HEAD_BYTES // 8), id="many-headers"),
    ],
)
def test_a_head_has_a_size(head):
    with served() as port, contextlib.closing(attacks.connect(port)) as connection:
        connection.sendall(b"GET /readyz HTTP/1.1\r\n" + head + b"\r\n")
        assert b" 431 " in connection.recv(4_096)


def test_what_is_no_request_leaves_one_line_and_no_traceback(caplog, capfd):
    caplog.set_level(logging.INFO)
    with served() as port:
        for kind in attacks.GARBAGE:
            for _ in range(3):
                attacks.garbage(port, kind)
        for _ in range(5):  # who leaves with a reset
            connection = attacks.connect(port)
            connection.sendall(HALF)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        connection = attacks.connect(port)
        connection.sendall(b"a" * (HEAD_BYTES + 100))
        assert attacks.wait_closed([connection], 1, WAIT_S) == 1
        connection.close()
        assert ready(port) == "ready"
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is None
    assert "Traceback" not in capfd.readouterr().err


def test_health_is_answered_without_a_descriptor_left():
    """The last one is kept for it, again and again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with served() as port:
        request = b"GET /readyz HTTP/1.0\r\n\r\n"
        asking = [socket.socket() for _ in range(3)]
        filler = [os.open(os.devnull, os.O_RDONLY)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(filler) + 1, hard))
        try:
            with contextlib.suppress(OSError):
                while True:
                    filler.append(os.dup(0))
            for one in asking:
                one.settimeout(WAIT_S)
                one.connect(("127.0.0.1", port))
                one.sendall(request)
                answer = b""
                while chunk := one.recv(4_096):
                    answer += chunk
                assert answer.endswith(b"ready\n")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in filler:
                os.close(fd)
            for one in asking:
                one.close()


def test_many_may_come_at_the_same_time():
    """Before anybody is let in: who does not fit waits for a second for their next SYN."""
    server = make_server("127.0.0.1", 0, lambda environ, start: [], BoundedHttpServer)
    with (
        contextlib.closing(server.socket),
        attacks.many_connections(server.server_port, 60, within_s=0.8) as held,
    ):
        assert len(held) == 60
    server.server_close()

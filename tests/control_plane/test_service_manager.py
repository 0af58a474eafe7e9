"""What a service manager hears, on a socket of the test's own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from control_plane.process import stop_on_signals
from control_plane.ready_file import write_ready_file
from control_plane.service_manager import ALIVE, READY, Watchdog, notify, watchdog_pause_s

WITHIN_S = 20.0


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    name = f"@homeport-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(name.replace("@", "\0", 1) if name[0] == "@" else name)
        heard.settimeout(WITHIN_S)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        monkeypatch.delenv("WATCHDOG_USEC", raising=False)
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield heard


@pytest.mark.parametrize("named", [False, True], ids=["without a ready file", "with one"])
def test_whoever_serves_says_so(manager: socket.socket, tmp_path: Path, named: bool) -> None:
    write_ready_file(tmp_path / "ready.json" if named else None, {})
    assert manager.recv(100) == READY.encode()


def test_whoever_starts_yet_does_not_say_that_it_serves(
    manager: socket.socket, tmp_path: Path
) -> None:
    write_ready_file(tmp_path / "ready.json", {"starting": True}, serves=False)
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)


async def test_a_stop_by_signal_and_a_loop_that_turns_are_told(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    stop = stop_on_signals()
    for _ in range(3):  # at once, and then again and again
        assert await asyncio.to_thread(manager.recv, 100) == b"WATCHDOG=1"
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(WITHIN_S):
        await stop.wait()
        while await asyncio.to_thread(manager.recv, 100) != b"STOPPING=1":
            pass


def test_a_process_without_a_loop_says_that_it_lives_when_it_is_time(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000000")
    now = 0.0
    watchdog = Watchdog(lambda: now)
    heard = []
    manager.setblocking(False)
    for _ in range(30):
        watchdog.turn()
        with suppress(BlockingIOError):
            heard.append((now, manager.recv(100)))
        now += 1.0
    assert heard == [(0.0, ALIVE.encode()), (10.0, ALIVE.encode()), (20.0, ALIVE.encode())]


@pytest.mark.parametrize("address", ["", "vsock:2:1", "nothing", "/no/such/socket", "@nobody-here"])
def test_without_a_manager_that_listens_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify(READY)


@pytest.mark.parametrize(
    ("usec", "pid", "pause_s"),
    [
        ("", "", None), ("0", "", None), ("x", "", None), ("-1", "", None), ("²", "", None),
        ("3000000", "", 1.5), ("3000000", "me", 1.5), ("3000000", "1", None),
    ],
)  # fmt: skip
def test_how_often(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, pause_s: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "me" else pid)
    assert watchdog_pause_s() == pause_s

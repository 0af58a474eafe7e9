"""What a process tells the service manager that started it: that it serves, that it lives, that it
ends. systemd's protocol: datagrams of assignments to the socket that NOTIFY_SOCKET names
(https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html). Says nothing where there
is no such variable.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable

log = logging.getLogger(__name__)

READY, STOPPING, ALIVE = "READY=1", "STOPPING=1", "WATCHDOG=1"


def notify(state: str) -> None:
    """One assignment. Never blocks, and a manager that does not listen is only told of in the
    log."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # in the abstract namespace
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.setblocking(False)
            manager.sendto(state.encode(), address)
    except OSError as error:
        log.warning("the service manager cannot be told %s: %s", state, error)


def watchdog_pause_s() -> float | None:
    """How often this process has to say that it lives: twice in what WATCHDOG_USEC allows. None:
    nobody asks, or another process is asked (WATCHDOG_PID)."""
    asked, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not (asked.isascii() and asked.isdecimal()) or int(asked) == 0:
        return None
    if pid and pid != str(os.getpid()):
        return None
    return int(asked) / 2_000_000


def feed_watchdog(loop: asyncio.AbstractEventLoop) -> None:
    """From now on says that it lives as long as the loop turns: one that hangs is restarted."""
    pause_s = watchdog_pause_s()
    if pause_s is None:
        return

    def alive() -> None:
        notify(ALIVE)
        loop.call_later(pause_s, alive)

    alive()


class Watchdog:
    """The same for a process without an event loop, which calls `turn` again and again. clock:
    monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._pause_s = clock, watchdog_pause_s()
        self._due = clock()

    def turn(self) -> None:
        """Says that it lives, where it is time to."""
        if self._pause_s is not None and self._clock() >= self._due:
            self._due = self._clock() + self._pause_s
            notify(ALIVE)

"""ProcessorClock: a clock that goes as fast as a server's event loop computes.

Arrivals by it are so many for each second of its processor time. On a machine that does
other things besides, the load on a server then stays the same multiple of what the server can do,
while what it can do changes from second to second.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


class ProcessorClock:
    """Called with the time of the run, s, which it does not heed, returns that of the plan. used_s:
    processor time that it has used so far; speed: seconds for each second of it."""

    def __init__(self, used_s: Callable[[], float], *, speed: float = 1.0) -> None:
        self._used_s = used_s
        self._speed = speed
        self._began_s: float | None = None

    def __call__(self, now_s: float) -> float:
        used_s = self._used_s()
        if self._began_s is None:
            self._began_s = used_s
        return (used_s - self._began_s) * self._speed


def used_s(pid: int) -> float:
    """Processor time that the main thread of a process of this machine, a Linux, has used so far,
    s: of a server, its event loop. 0.0: it is gone."""
    try:
        told = Path(f"/proc/{pid}/task/{pid}/stat").read_text()
    except OSError:
        return 0.0
    user, system = told.rpartition(")")[2].split()[11:13]  # proc(5): fields 14 and 15
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

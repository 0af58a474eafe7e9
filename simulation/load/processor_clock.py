"""ProcessorClock: a clock that goes as fast as a process uses processors.

Arrivals by it are so many for each second that the process has computed. On a machine that does
other things besides, the load on a server then stays the same multiple of what the server can do,
while what it can do changes from second to second.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

LEAST: Final = 0.02  # as fast as other clocks it goes at least, or nothing would ever begin


class ProcessorClock:
    """Called with the time of the run, s, returns that of the plan. used_s: processor time that the
    process has used so far."""

    def __init__(self, used_s: Callable[[], float]) -> None:
        self._used_s = used_s
        self._began_s: float | None = None

    def __call__(self, now_s: float) -> float:
        used_s = self._used_s()
        if self._began_s is None:
            self._began_s = used_s
        return used_s - self._began_s + LEAST * now_s


def used_s(pid: int) -> float:
    """Processor time that a process of this machine, a Linux, has used so far, s; 0.0: it is
    gone."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    user, system = told.rpartition(")")[2].split()[11:13]  # proc(5): fields 14 and 15
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

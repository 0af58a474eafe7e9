"""ProcessorClock: a clock that goes as fast as a process uses processors.

Arrivals by it are so many for each second that the process has computed. On a machine that does
other things besides, the load on a server then stays the same multiple of what the server can do,
while what it can do changes from second to second.
"""

from __future__ import annotations

from collections.abc import Callable
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

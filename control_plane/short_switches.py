"""ShortSwitches: while threads are at work that an event loop hands something to and hears from,
they take turns at the interpreter's lock more often than usual.

A thread that wants the lock has it once the one that has it is through with what it is at, or
after 5 ms (sys.getswitchinterval). For work whose only need of it is to begin and to say that it
is done, as a sync of a disk, 5 ms at either end are longer than the work.
"""

from __future__ import annotations

import sys
from typing import Final

SWITCH_S: Final = 0.0005  # of a thread that others wait for


class ShortSwitches:
    """Between the first `begin` and the last `end`, threads of this process have the interpreter
    for SWITCH_S; otherwise as long as before. Use from one thread."""

    def __init__(self) -> None:
        self._at_work = 0
        self._usual_s = 0.0

    def begin(self) -> None:
        """Something is at work in a thread."""
        if not self._at_work:
            self._usual_s = sys.getswitchinterval()
            sys.setswitchinterval(min(SWITCH_S, self._usual_s))
        self._at_work += 1

    def end(self) -> None:
        """It is done."""
        self._at_work -= 1
        if not self._at_work:
            sys.setswitchinterval(self._usual_s)


SHORT_SWITCHES: Final = ShortSwitches()  # one, as the interval is of the process

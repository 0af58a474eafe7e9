"""AdaptiveThrottle: the share of calls that is refused before anybody has looked at them.

Pure. Where reading a call costs as much as serving it, refusing what was read does not help. So as
many are read as are begun, and a little more, which shows when there is room again: adaptive
throttling ("Handling Overload", Site Reliability Engineering, chapter 21), at the server.
"""

from __future__ import annotations

from typing import Final

MULTIPLE: Final = 1.1  # of the calls that are begun, as many are read
KEPT: Final = 0.9  # of what was counted, at each sample ten times a second: a second's worth


class AdaptiveThrottle:
    """`refuses` for each call; `begun` for each that begins; `sample` ten times a second."""

    def __init__(self) -> None:
        self._asked = 0.0
        self._begun = 0.0
        self._share = 0.0
        self._owed = 0.0

    def begun(self) -> None:
        """A call begins."""
        self._begun += 1.0

    def refuses(self) -> bool:
        """Whether a call that has come is refused. Refusals are spread evenly over calls."""
        self._asked += 1.0
        if not self._share:
            return False
        self._owed += self._share
        if self._owed < 1.0:
            return False
        self._owed -= 1.0
        return True

    def sample(self, *, was_full: bool) -> None:
        """was_full: whether calls had to wait; while none has, none is refused."""
        beyond = self._asked - MULTIPLE * self._begun
        self._share = max(0.0, beyond / (self._asked + 1.0)) if was_full else 0.0
        self._asked *= KEPT
        self._begun *= KEPT

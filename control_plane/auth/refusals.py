"""Refusals: credentials and calls that were refused, by reason, for operators.

Callers are told nothing of the reason: whoever tries credentials would learn by it. The log has a
line for each reason now and then, however many are refused, because anybody can make them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import NoReturn

from control_plane.errors import Unauthenticated

log = logging.getLogger(__name__)

PAUSE_S = 10.0
REFUSED = "this token is not known here; ask an operator for one"
"""The one text for all of them."""


class Refusals:
    """clock: monotonic seconds. counts: since the start, by reason; reasons are words of the code,
    never of a caller."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._quiet_until: dict[str, float] = {}
        self._unlogged: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()

    def refuse(self, reason: str, detail: str) -> NoReturn:
        """Counts and logs it, and raises Unauthenticated. detail: for the log; nothing secret."""
        self.count(reason, detail)
        raise Unauthenticated(REFUSED)

    def count(self, reason: str, detail: str) -> None:
        """Counts and logs it alone."""
        self.counts[reason] += 1
        self.tell(reason, f"a credential was refused, {reason}: {detail}")

    def tell(self, reason: str, text: str) -> None:
        """Logs it alone, now and then. text: nothing secret."""
        now = self._clock()
        if now < self._quiet_until.get(reason, now):
            self._unlogged[reason] += 1
        else:
            more = self._unlogged.pop(reason, 0)
            since = f" ({more:,} more since the last line)" if more else ""
            log.warning("%s%s", text, since)
            self._quiet_until[reason] = now + PAUSE_S

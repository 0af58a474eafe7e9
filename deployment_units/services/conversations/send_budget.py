"""SendBudget: how much an account may send, so that nobody floods others, and no unit.

A message costs one for each member whom it goes to, and a press of a button one. What is sent again
costs again: it is work.
"""

from __future__ import annotations

from collections.abc import Callable

from control_plane.errors import Exhausted
from control_plane.quotas.token_buckets import Rate, TokenBuckets

SENDS = Rate(per_s=20.0, burst=2_000.0)  # copies of messages, of one account
MOST_ACCOUNTS = 50_000  # that are remembered


class TooMuchSent(Exhausted):
    """The account has sent too much; some of it can be sent after a while."""

    reason = "TOO_MUCH_SENT"


class SendBudget:
    """Of one unit. clock: monotonic seconds."""

    def __init__(self, *, clock: Callable[[], float], rate: Rate = SENDS) -> None:
        self._clock = clock
        self._buckets = TokenBuckets(rate, most_keys=MOST_ACCOUNTS)

    def take(self, tenant: str, account: str, copies: int) -> None:
        """Raises TooMuchSent, and then nothing is taken."""
        wait_s = self._buckets.take((tenant, account), self._clock(), float(max(1, copies)))
        if wait_s:
            raise TooMuchSent("this account has sent too much; wait", retry_after_s=wait_s)

"""ChangeBudget: how much an account may have changed, so that none keeps others from it.

Each change by an account's ticket is one transaction of its unit, whose commits all accounts share.
What has a budget of its own, such as messages, takes nothing of this one.
"""

from __future__ import annotations

from collections.abc import Callable

from control_plane.errors import Exhausted
from control_plane.quotas.token_buckets import Rate, TokenBuckets

CHANGES = Rate(per_s=20.0, burst=1_000.0)  # of one account
MOST_ACCOUNTS = 50_000  # that are remembered


class TooManyChanges(Exhausted):
    """The account has had too much changed; more can be changed after a while."""

    reason = "TOO_MANY_CHANGES"


class ChangeBudget:
    """Of one unit. clock: monotonic seconds."""

    def __init__(self, *, clock: Callable[[], float], rate: Rate = CHANGES) -> None:
        self._clock = clock
        self._buckets = TokenBuckets(rate, most_keys=MOST_ACCOUNTS)

    def take(self, tenant: str, account: str, cost: float = 1.0) -> None:
        """Raises TooManyChanges, and then nothing is taken."""
        if wait_s := self._buckets.take((tenant, account), self._clock(), cost):
            raise TooManyChanges("this account changes too much; wait", retry_after_s=wait_s)

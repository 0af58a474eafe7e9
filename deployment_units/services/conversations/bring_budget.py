"""BringBudget: how much other units may bring, so that none floods an account, or this unit.

A unit holds its own accounts to their budgets (see `send_budget`); the unit that is brought
something does not rely on it. What one account brings another is bound as what an account sends,
and what one unit brings an account, or everybody here, far above what is usual: an application has
many correspondents. What is refused waits in the other unit's outbox.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from control_plane.errors import Exhausted
from control_plane.identity.introductions import Introduction
from control_plane.quotas.token_buckets import Rate, TokenBuckets
from deployment_units.services.conversations.send_budget import SENDS

MOST_PAIRS = 50_000  # that are remembered, of accounts, and of units with accounts
MOST_UNITS = 10_000


_TO_ACCOUNT = Rate(per_s=500.0, burst=5_000.0)
_OF_UNIT = Rate(per_s=5_000.0, burst=50_000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class BringRates:
    """Messages, by who brings them to whom."""

    account_to_account: Rate = SENDS
    unit_to_account: Rate = _TO_ACCOUNT
    unit: Rate = _OF_UNIT


class TooMuchBrought(Exhausted):
    """The sender, or its unit, has brought too much; the rest can be brought after a while."""

    reason = "TOO_MUCH_BROUGHT"


class BringBudget:
    """Of one unit. clock: monotonic seconds."""

    def __init__(self, *, clock: Callable[[], float], rates: BringRates | None = None) -> None:
        self._clock = clock
        rates = rates or BringRates()
        # The narrowest first: what one sender has too much of takes nothing from its unit.
        self._pairs = TokenBuckets(rates.account_to_account, most_keys=MOST_PAIRS)
        self._to_accounts = TokenBuckets(rates.unit_to_account, most_keys=MOST_PAIRS)
        self._units = TokenBuckets(rates.unit, most_keys=MOST_UNITS)

    def take(self, bringer: Introduction) -> None:
        """For one message. Raises TooMuchBrought, saying when to come again."""
        now, to = self._clock(), (bringer.tenant, bringer.account)
        for buckets, key, who in (
            (self._pairs, (bringer.viewer, *to), "this sender has brought the account"),
            (self._to_accounts, (bringer.from_unit, *to), "this unit has brought the account"),
            (self._units, bringer.from_unit, "this unit has brought"),
        ):
            if wait_s := buckets.take(key, now):
                raise TooMuchBrought(f"{who} too much; wait", retry_after_s=wait_s)

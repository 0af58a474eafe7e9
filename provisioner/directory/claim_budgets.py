"""Claim budgets: how many handles an account asks for, so that claims are no way to learn which are
taken, and nobody keeps the store busy with them.

Each account has a bucket that fills at a rate. Pure; times are seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from control_plane.errors import Exhausted

CLAIMS_A_DAY = 100.0  # and as many at once
DAY_S = 86_400.0
MOST_ACCOUNTS = 100_000  # that are remembered; the one that asked longest ago goes


class TooManyClaims(Exhausted):
    """The account has asked for as many handles as it may."""

    reason = "TOO_MANY_CLAIMS"


class ClaimBudgets:
    """Those of one server. clock: monotonic seconds; what: is asked for, in the plural."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        a_day: float = CLAIMS_A_DAY,
        what: str = "handles",
        most: int = MOST_ACCOUNTS,
    ) -> None:
        self._clock = clock
        self._a_day = a_day
        self._what = what
        self._most = most
        self._left: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()  # and when

    def take(self, tenant: str, account: str) -> None:
        """One claim. Raises TooManyClaims."""
        now_s = self._clock()
        left, at_s = self._left.get((tenant, account), (self._a_day, now_s))
        left = min(self._a_day, left + max(0.0, now_s - at_s) * self._a_day / DAY_S)
        if left < 1.0:
            raise TooManyClaims(
                f"{self._a_day:,.0f} {self._what} were asked for in a day, as many as may be; wait",
                retry_after_s=(1.0 - left) * DAY_S / self._a_day,
            )
        self._left[tenant, account] = left - 1.0, now_s
        self._left.move_to_end((tenant, account))
        if len(self._left) > self._most:
            self._left.popitem(last=False)

    def give_back(self, tenant: str, account: str) -> None:
        """It was none: the account has what it asked for."""
        if (found := self._left.get((tenant, account))) is not None:
            left, at_s = found
            self._left[tenant, account] = min(self._a_day, left + 1.0), at_s

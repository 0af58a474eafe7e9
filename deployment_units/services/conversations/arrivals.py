"""Arrivals: wakes the subscriptions of an account when something was kept for it. Knows nothing of
what that was: who is woken reads on from its position."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from control_plane.errors import Exhausted

MAX_SUBSCRIPTIONS = 16  # of one account


class TooManySubscriptions(Exhausted):
    """The account has as many as it may; it can end one."""

    reason = "TOO_MANY_SUBSCRIPTIONS"


class Arrivals:
    """Of one unit; use from its event loop."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def subscribed(self, tenant: str, account: str) -> Iterator[asyncio.Event]:
        """An event that is set by each arrival, for the length of a subscription. Raises
        TooManySubscriptions."""
        key = (tenant, account)
        if len(self._waiting.get(key, ())) >= MAX_SUBSCRIPTIONS:
            raise TooManySubscriptions(
                f"the account has {MAX_SUBSCRIPTIONS} subscriptions; end one first"
            )
        arrived = asyncio.Event()
        self._waiting[key].add(arrived)
        try:
            yield arrived
        finally:
            self._waiting[key].discard(arrived)
            if not self._waiting[key]:
                del self._waiting[key]

    def is_followed(self, tenant: str, account: str) -> bool:
        """Whether the account has a subscription."""
        return (tenant, account) in self._waiting

    def tell(self, tenant: str, account: str) -> None:
        """Something was kept for the account."""
        for arrived in self._waiting.get((tenant, account), ()):
            arrived.set()

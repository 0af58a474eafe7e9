"""DepartureLease: the lease that departures hang on, so that they go when they stop mattering.

A departure matters for as long as a ticket for the unit that was left may be out. Departures
of an hour share a lease, so the store has few of them.
"""

from __future__ import annotations

from collections.abc import Callable

from control_plane.store.port import Store

SHARED_S = 3600.0  # how long new departures go under one lease


class DepartureLease:
    """Use from one event loop. clock: monotonic seconds; longest_ticket_s: of any tenant now."""

    def __init__(
        self,
        store: Store,
        *,
        longest_ticket_s: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._longest_ticket_s = longest_ticket_s
        self._clock = clock
        self._lease = 0
        self._covers_s = 0.0  # the longest ticket it was made for
        self._until = 0.0

    async def current(self) -> int:
        """A lease that outlives every ticket signed until now. Raises StoreUnavailable,
        OutcomeUnknown."""
        now, longest_s = self._clock(), self._longest_ticket_s()
        if not self._lease or now >= self._until or longest_s > self._covers_s:
            self._lease = await self._store.lease_grant(int(longest_s + 2 * SHARED_S))
            self._until, self._covers_s = now + SHARED_S, longest_s
        return self._lease

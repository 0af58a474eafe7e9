"""SharedLease: leases that many short-lived records hang on together, so that there are few of
them."""

from __future__ import annotations

from collections.abc import Callable

from control_plane.store.port import Store


class SharedLease:
    """Use from one event loop. Each lasts `lasts_s` at least from whenever it was asked for;
    records of `shared_s` have one. clock: monotonic seconds."""

    def __init__(
        self, store: Store, *, lasts_s: float, shared_s: float, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._ttl_s = int(lasts_s + 2 * shared_s)
        self._shared_s = shared_s
        self._clock = clock
        self._lease = 0
        self._until = 0.0

    async def current(self) -> int:
        """Raises StoreUnavailable, OutcomeUnknown."""
        now = self._clock()
        if not self._lease or now >= self._until:
            self._lease = await self._store.lease_grant(self._ttl_s)
            self._until = now + self._shared_s
        return self._lease

    def lost(self) -> None:
        """It was found gone; the next call grants another."""
        self._lease = 0

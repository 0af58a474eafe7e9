"""LeaseTable: when each lease runs out. In memory; the ids and TTLs are in the file.

After a restart every lease has its full TTL again, as in etcd: its holder may be alive and
could not reach us.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from control_plane.store.port import LeaseLost

LONGEST_PAUSE_S = 1.0
SHORTEST_PAUSE_S = 0.05


class LeaseTable:
    """clock: monotonic seconds."""

    def __init__(self, connection: sqlite3.Connection, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._leases: dict[int, tuple[int, float]] = {}
        for lease, ttl_s in connection.execute("SELECT id, ttl_s FROM leases"):
            self.add(lease, ttl_s)

    def add(self, lease: int, ttl_s: int) -> None:
        """A lease that begins now."""
        self._leases[lease] = (ttl_s, self._clock() + ttl_s)

    def keep_alive(self, lease: int) -> float:
        """Begins its TTL anew and returns it, s. Raises LeaseLost."""
        found = self._leases.get(lease)
        if found is None or found[1] < self._clock():
            raise LeaseLost(f"lease {lease} is gone")
        self.add(lease, found[0])
        return float(found[0])

    def drop(self, lease: int) -> None:
        """It is gone; unknown ones are no error."""
        self._leases.pop(lease, None)

    def expired(self) -> list[int]:
        """Those that ran out, in the order they did."""
        now = self._clock()
        return [
            lease
            for lease, (_, end) in sorted(self._leases.items(), key=lambda item: item[1][1])
            if end < now
        ]

    def pause_s(self) -> float:
        """How long to wait before the next check: until the next one ends, within bounds."""
        if not self._leases:
            return LONGEST_PAUSE_S
        next_end = min(end for _, end in self._leases.values())
        return min(LONGEST_PAUSE_S, max(SHORTEST_PAUSE_S, next_end - self._clock()))

"""LoadSource: how busy a unit is; the service inside may bring its own.

By default a unit's load is the distinct clients it admitted lately, as a
share of its capacity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

WINDOW_S = 3600.0  # the default ticket TTL: whoever is still there has shown a ticket since
SAMPLE = 65_536  # clients told apart at most; at full load the error is about 0.4 %


class LoadSource(Protocol):
    """Something that knows the unit's load now."""

    def load(self) -> float:
        """Share of what the unit can do, 0.0 to 1.0."""
        ...


class AdmittedClients:
    """Counts distinct clients of this window and the one before it. Above SAMPLE clients of
    capacity it counts every n-th, chosen by hash, so memory is bounded. clock: seconds."""

    def __init__(
        self, capacity: int, *, clock: Callable[[], float], window_s: float = WINDOW_S
    ) -> None:
        self._capacity = max(1, capacity)
        self._every = -(-self._capacity // SAMPLE)
        self._clock = clock
        self._window_s = window_s
        self._ends_at = clock() + window_s
        self._now: set[int] = set()
        self._before: set[int] = set()

    def record(self, tenant: str, client_id: str) -> None:
        """A client was admitted."""
        self._advance()
        key = hash((tenant, client_id))
        if key % self._every == 0 and len(self._now) <= SAMPLE:
            self._now.add(key)

    def load(self) -> float:
        self._advance()
        return min(1.0, len(self._now | self._before) * self._every / self._capacity)

    def _advance(self) -> None:
        """Begins a new window when it is time."""
        late_s = self._clock() - self._ends_at
        if late_s >= 0:
            self._before = self._now if late_s < self._window_s else set()
            self._now = set()
            self._ends_at += self._window_s * (1 + late_s // self._window_s)

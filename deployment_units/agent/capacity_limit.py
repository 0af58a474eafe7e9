"""CapacityLimit: how many clients a unit lets in at once, counted by the tickets it admitted.

A client counts from its admission until its ticket ends, or until the control plane says that it
left. The ledger never gives out more places than the unit has; what comes on top are clients that
left and whose departure this unit has not heard of yet. The margin is the room for those. No I/O,
no clock: `now` is Unix seconds.
"""

from __future__ import annotations

import math

DEFAULT_MARGIN = 0.05
BUCKET_S = 10  # clients are let go this much after their tickets end, at most


class CapacityLimit:
    """capacity: clients; None: not known yet, and nobody is refused. margin: share of capacity
    that may be admitted beyond it. About 120 bytes for each client that counts."""

    def __init__(self, capacity: int | None, *, margin: float = DEFAULT_MARGIN) -> None:
        self._capacity = capacity
        self._margin = margin
        self._ends: dict[int, int] = {}  # client -> bucket in which its ticket has ended
        self._buckets: dict[int, set[int]] = {}
        self._next = 0  # the first bucket that has not ended
        self.refused = 0  # clients turned away

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def most(self) -> int | None:
        """How many clients may count at once."""
        if self._capacity is None:
            return None
        return self._capacity + math.ceil(self._capacity * self._margin)

    def use_capacity(self, capacity: int) -> None:
        """The unit's capacity is this now. Nobody who is in is put out."""
        self._capacity = capacity

    def admit(self, tenant: str, client_id: str, expires_at: float, now: float) -> bool:
        """Whether a client whose ticket is good may come in; from then on it counts. Who counts
        already always may."""
        self._let_go(now)
        client = hash((tenant, client_id))
        bucket = int(expires_at) // BUCKET_S + 1
        held = self._ends.get(client)
        if held is None:
            most = self.most
            if most is not None and len(self._ends) >= most:
                self.refused += 1
                return False
        elif held >= bucket:
            return True
        else:
            self._buckets[held].discard(client)
        self._ends[client] = bucket
        self._buckets.setdefault(bucket, set()).add(client)
        return True

    def leave(self, tenant: str, client_id: str) -> None:
        """A client has left the unit."""
        client = hash((tenant, client_id))
        held = self._ends.pop(client, None)
        if held is not None:
            self._buckets[held].discard(client)

    def _let_go(self, now: float) -> None:
        """Of those whose tickets have ended."""
        ended = int(now) // BUCKET_S
        if ended < self._next or not self._buckets:
            return
        for bucket in [one for one in self._buckets if one <= ended]:
            for client in self._buckets.pop(bucket):
                del self._ends[client]
        self._next = ended + 1

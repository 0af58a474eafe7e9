"""DepartureMemory: the clients that left this unit, and which of their tickets that ends.

A ticket is over when its client has left since it was issued. Within one life of a client, from
its first assignment to its release, epochs say so, and no clock matters. A client that was
released and assigned again begins another life, at epoch 1; tickets and departures say when their
life began. Only where lives differ, or are not recorded, two clocks are compared, and then a
ticket that was issued after the departure was heard of counts in any case.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

KEPT = 100_000  # departures; some 35 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Departed:
    """Where a client went that left this unit."""

    epoch: int  # of the assignment it has now; of the one it had, where it has none
    unit_id: str  # empty: it has no home any more
    endpoint: str  # empty: nobody knows
    decided_at: float  # Unix seconds, by the clock of who moved it; tells departures apart
    over_at: float  # Unix seconds; tickets issued until then were issued before it left
    first_ms: int = 0  # when this life of the client began, Unix ms; 0: not recorded

    def ends(self, epoch: int, issued_at: int, first_ms: int = 0) -> bool:
        """Whether a ticket of this epoch, issued then (whole Unix seconds), is over. first_ms: as
        the ticket has it."""
        before = epoch < self.epoch if self.unit_id else epoch <= self.epoch
        if self.first_ms and first_ms:
            if first_ms == self.first_ms:
                return before
            before = first_ms < self.first_ms
        return before and issued_at <= self.over_at


class DepartureMemory:
    """The departures noted last, `size` of them. Not kept over a restart: the control plane
    tells them again."""

    def __init__(self, size: int = KEPT) -> None:
        self._size = size
        self._departed: OrderedDict[tuple[str, str], Departed] = OrderedDict()

    def __len__(self) -> int:
        return len(self._departed)

    def note(self, tenant: str, client_id: str, departed: Departed) -> None:
        """A client left. They may be told twice and out of order: what is not newer in epoch
        or time is passed over."""
        key = (tenant, client_id)
        known = self._departed.get(key)
        if known is not None and not (
            departed.epoch > known.epoch or departed.decided_at > known.decided_at
        ):
            return
        self._departed[key] = departed
        self._departed.move_to_end(key)
        if len(self._departed) > self._size:
            self._departed.popitem(last=False)

    def find(self, tenant: str, client_id: str) -> Departed | None:
        """Its last departure, if one is remembered."""
        return self._departed.get((tenant, client_id))

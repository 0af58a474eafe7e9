"""Account: what one provisioner knows of, and holds at, one unit. Pure state, no I/O.

The truth is in the store; an account is what this provisioner read of it last, plus what it
has reserved since. Room is what it may still hand out without asking anybody:

    room = grant - usage - in flight      (0 until the fence has been adopted)
"""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.fleet.capacity import CapacityRecord

NO_CAPACITY = CapacityRecord(capacity=0, open=False)


@dataclass(slots=True, kw_only=True)
class Account:
    """Mutable; owned by one event loop. Slots are clients."""

    unit: str  # or the quota of a tenant (quota_keys.client_quota)
    queue_name: str = ""  # behind our id where each commit queue has an account of its own
    most_block: int = 1 << 62  # slots asked for at once, unless more are wanted
    queue: int = 0  # which commit queue writes its usage; never changes
    index: int = -1  # place in the fleet snapshot; -1: not in it
    record: CapacityRecord = NO_CAPACITY  # the newest seen
    record_revision: int = 0  # its mod_revision; 0: no record
    grant: int = 0  # slots granted to us
    usage: int = 0  # net slots handed out since we last returned slots; may be negative
    usage_revision: int = 0  # mod_revision of our usage key; 0: it does not exist
    fence_revision: int = 0  # mod_revision of the fence as adopted
    adopted: bool = False  # whether fence_revision may be used
    in_flight: int = 0  # slots reserved for assignments that are not committed yet
    block: int = 0  # slots in the grant taken last
    waiting: int = 0  # claims that wait for a grant to arrive
    last_reserved_at: float = 0.0  # monotonic time a slot was last reserved, s

    def accept_record(self, record: CapacityRecord, revision: int, me: str) -> None:
        """Takes over a record unless a newer one was seen. Only we write our own grant, so
        whatever the newest record says of it is true."""
        if revision > self.record_revision:
            self.record = record
            self.record_revision = revision
            self.grant = record.grants.get(me + self.queue_name, 0)

    @property
    def room(self) -> int:
        """Slots that can be reserved now."""
        return self.grant - self.usage - self.in_flight if self.adopted else 0

    @property
    def idle(self) -> int:
        """Slots that could be given back now."""
        return max(0, self.grant - self.usage - self.in_flight)

    @property
    def reachable(self) -> int:
        """Slots that can be reserved now, or might be granted on asking."""
        if not self.record.open:
            return 0
        own = self.grant - self.usage - self.in_flight - self.waiting
        return own + max(0, self.record.free)

    @property
    def load(self) -> float:
        """Share of the unit's capacity that is committed: clients, and others' grants, 0 to 1."""
        record = self.record
        if record.capacity <= 0:
            return 1.0
        others = record.granted - self.grant
        held = record.settled + max(0, others) + self.usage + self.in_flight
        return min(1.0, max(0.0, held / record.capacity))


def block_size(free: int, wanted: int, most: int = 1 << 62) -> int:
    """How many slots to ask for: what is wanted now, or an eighth of what is free, `most` at most,
    where that is more; never more than is free, and at least one while any is.

    The eighth keeps the store out of the way while there is plenty and shrinks with what is
    left, so that the last slots do not end up with whoever asked first.
    """
    if free <= 0:
        return 0
    return min(free, max(wanted, min(free // 8, most), 1))

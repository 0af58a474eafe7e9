"""What becomes of each record of a backup when it is put into a store. Pure.

After a backup was taken the world went on: clients moved and were told so, places were handed out
and taken, keys signed tickets. None of that is known any more, so a restored record must be good
whatever it was:

    assignments   at an epoch above every one that the client can have been given since
    capacity      the clients that are there are settled, and nobody holds a grant; of quotas of
                  clients, too
    ticket keys   new ones; tickets of before are refused, and so cannot let a client into a unit
                  that a later assignment of it, or of another client, does not know of
    holds         gone: whoever held a place may have been admitted since, and keeps it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

import msgspec

from control_plane import keys, quota_keys
from control_plane.fleet.capacity import decode_capacity, encode_capacity
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.store.damaged import UNREADABLE, name_in

# They end with their holders, or tell watchers what happened; a backup has hardly any of them.
LEFT_BEHIND = (
    keys.SESSIONS, keys.LIVE, keys.USAGE, keys.STARVING, keys.MOVES, keys.HOLDS,
    keys.BOOTSTRAP_TOKENS, keys.DIRECTORY_PROOFS, keys.DIRECTORY_CODES,
    keys.INVITATIONS, keys.DOMAIN_CHECKER,
)  # fmt: skip
_ONCE = frozenset({keys.RELEASED, keys.KEY_RING, keys.RESTORING, keys.POLICIES_FENCE})


def is_left_behind(key: bytes) -> bool:
    """Whether a key is not written as it is: it is gone, or made anew."""
    return key in _ONCE or key.startswith(LEFT_BEHIND)


def raised_assignment(value: bytes, *, now_ms: int) -> bytes | None:
    """An assignment at a higher epoch, with all else that is in it; None: it is damaged.

    The epoch becomes the time of the restore in Unix ms, where that is more than one higher. A
    client is not moved a thousand times a second for ever, so that this is above every epoch that
    it was given since the backup; and another restore of the same file, later, is above this one.
    """
    try:
        record = msgspec.json.decode(value)
        epoch, at_ms = record["epoch"], record["at_ms"]
        unit = record["unit"]
        if not (isinstance(epoch, int) and isinstance(at_ms, int) and isinstance(unit, str)):
            return None
    except (*UNREADABLE, TypeError, KeyError):
        return None
    if epoch == 1:
        record.setdefault("first", at_ms)  # only at epoch 1 is it the time of the assignment
    record["epoch"] = max(epoch + 1, now_ms)
    return msgspec.json.encode(record)


def settled_capacity(value: bytes, clients: int) -> bytes | None:
    """A capacity record with so many clients and no grants. None: it is damaged."""
    try:
        record = decode_capacity(value)
    except UNREADABLE:
        return None
    return encode_capacity(replace(record, settled=clients, grants={}))


class ClientCount:
    """Clients of each unit in a backup, told one by one. Those whose records are damaged are at a
    unit that nobody knows; then what the books said is not gone below."""

    def __init__(self, usage: Iterable[tuple[bytes, bytes]]) -> None:
        self._counted: Counter[str] = Counter()
        self._of_tenants: Counter[str] = Counter()
        self._handed_out: Counter[str] = Counter()
        self._unknown = 0
        for key, value in usage:
            unit = (name_in(key, keys.USAGE) or "").partition("/")[0]
            with suppress(ValueError):
                self._handed_out[unit] += int(value)

    def add(self, key: bytes, value: bytes | None) -> None:
        """One restored assignment; value None: it is damaged."""
        self._of_tenants[keys.tenant_in(key).decode(errors="replace")] += 1
        if value is None:
            self._unknown += 1
        else:
            self._counted[msgspec.json.decode(value)["unit"]] += 1

    def at(self, unit: str, capacity: bytes) -> int:
        """Clients of a unit, or of the tenant whose quota it is, by its capacity record as it
        was."""
        if unit.startswith(quota_keys.CLIENT_QUOTA):
            return self._of_tenants[quota_keys.tenant_of_quota(unit)]
        counted = self._counted[unit]
        if not self._unknown:
            return counted
        try:
            settled = decode_capacity(capacity).settled
        except UNREADABLE:
            return counted
        return max(counted, settled + self._handed_out[unit])


def succeeding_ring(ring: KeyRing, *, now: float, random: Callable[[int], bytes]) -> KeyRing:
    """A ring of one new epoch that signs at once. Its number is the time in Unix seconds, or one
    higher than the newest: above all that rotations can have come to since the backup, so that no
    key is taken for another one under the same id. now: Unix seconds."""
    number = max(ring.newest.epoch + 1, int(now))
    return KeyRing(epochs=(new_epoch(number, now=now, random=random),))

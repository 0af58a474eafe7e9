"""What the fleets of several clusters have in common, and the mistakes that can be made in them."""

from __future__ import annotations

from control_plane import keys

UNITS = ("near", "far")
CLUSTERS = ("east", "west")
CLIENTS = [keys.assignment("t", f"c{n}") for n in range(20)]
GROUPS = 3  # of shards that move together

BUGS = {
    "session": "batches do not compare their session",
    "gate": "batches do not compare the gate",
    "epoch": "batches do not compare the epoch of the map",
    "usage": "nobody compares usage",
    "licence": "copies do not compare their mover's fencing token",
    "uncertain": "capacity is given back while a batch may still arrive",
    "absorbed-twice": "expired sessions are absorbed whether or not they stand in L",
    "older-ledger": "a gate is adopted with a ledger read earlier, whatever it says",
    "no-freeze": "a shard is switched without anybody being kept from writing to it",
    "no-attempt": "a mover goes on without raising its attempt",
    "cleared-early": "the source is cleared while old maps may still be read by",
}


class Violation(AssertionError):
    """A promise was broken."""

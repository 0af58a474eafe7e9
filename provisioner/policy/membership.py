"""Membership: in which groups and rings a client is: by its id, and groups by attributes too. Pure.

A pattern is held against the whole id, piece by piece from the left, in time linear in the id: the
first place at which a piece fits is as good as any later one, because only `*` is between them.
A ring is a share of all ids by hash, in steps of a hundredth of a per cent: who is in it at one
share is in it at every larger one.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from provisioner.placement.attributes import NO_ATTRIBUTES, Attributes
from provisioner.policy.document import Group, Ring

BUCKETS = 10_000


def matches(pattern: str, text: str) -> bool:
    """Whether the whole text is what the pattern says; `*` stands for any characters.

    >>> matches("gov-*", "gov-7"), matches("gov-*", "a-gov-7"), matches("*a*b", "xaab")
    (True, False, True)
    """
    pieces = pattern.split("*")
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return text == pattern
    if len(text) < len(first) + len(last):
        return False
    if not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in pieces[1:-1]:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def groups_of(
    client_id: str, groups: Sequence[Group], attributes: Attributes = NO_ATTRIBUTES
) -> list[str]:
    """The names of the groups that a client is in, in their order."""
    return [
        group.name
        for group in groups
        if client_id in group.ids
        or any(matches(one, client_id) for one in group.patterns)
        or (attributes and _has_all(group, attributes))
    ]


def _has_all(group: Group, attributes: Attributes) -> bool:
    wanted = group.attributes
    return bool(wanted) and all(attributes.get(name) in values for name, values in wanted)


def is_in(ring: Ring, tenant: str, client_id: str) -> bool:
    """Whether the client is in the ring's share."""
    return bucket_of(ring.name, tenant, client_id) < buckets_in(ring)


def buckets_in(ring: Ring) -> int:
    """So many of the first BUCKETS are in the ring's share."""
    return round(ring.share * BUCKETS / 100)


def bucket_of(ring: str, tenant: str, client_id: str) -> int:
    """Of BUCKETS, the same on every machine, and for each ring another."""
    return bucket_after(ring_prefix(ring, tenant), client_id.encode())


def ring_prefix(ring: str, tenant: str) -> bytes:
    """What goes before the client's id where its bucket is hashed."""
    return f"{ring}\0{tenant}\0".encode()


def bucket_after(prefix: bytes, client_id: bytes) -> int:
    """The bucket of a client, by `ring_prefix`."""
    return int.from_bytes(blake2b(prefix + client_id, digest_size=8).digest(), "big") % BUCKETS

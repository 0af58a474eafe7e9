"""Which client a key belongs to, so that a shard moves with all that is its clients'."""

from __future__ import annotations

from control_plane import keys


def client_of(key: bytes) -> bytes | None:
    """The assignment's key of the client that a key belongs to; None: to no client."""
    if key.startswith(keys.ASSIGNMENTS):
        return key
    if key.startswith(keys.HOLDS):
        return keys.ASSIGNMENTS + key[len(keys.HOLDS) :]
    if key.startswith(keys.MOVES):
        return keys.ASSIGNMENTS + key[len(keys.MOVES) :].partition(b"/")[2]
    return None


def hold_of(assignment_key: bytes) -> bytes:
    """The hold that may stand beside an assignment."""
    return keys.HOLDS + assignment_key[len(keys.ASSIGNMENTS) :]

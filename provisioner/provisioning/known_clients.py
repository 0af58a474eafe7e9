"""KnownClients: whether this server has told a client of its home lately, without asking anybody.

Pure. A table of fingerprints, each at a place that follows from the client's id (a direct-mapped
cache): who comes later takes the place of who came before, so it has the same size for ever. It
may know a client that it was never told of, one in some ten thousand, and forgets some. So it is no
answer to whether a client has a home; it says who is asked in first where not all can be.
"""

from __future__ import annotations

from array import array
from typing import Final

PLACES: Final = 1 << 21  # of two bytes: of a million clients some four in five are remembered
_SHIFT: Final = 40  # the fingerprint's bits are none of the place's


class KnownClients:
    """Clients by id, whosoever they are: of the same id in several tenants it knows one."""

    __slots__ = ("_mask", "_places")

    def __init__(self, places: int = PLACES) -> None:
        """places: a power of two."""
        self._places = array("H", bytes(2 * places))
        self._mask = places - 1

    def note(self, client_id: str) -> None:
        """The client was told of its home."""
        number = hash(client_id)  # of another seed in each process
        self._places[number & self._mask] = (number >> _SHIFT) & 0xFFFF | 1

    def __contains__(self, client_id: str) -> bool:
        number = hash(client_id)
        return self._places[number & self._mask] == (number >> _SHIFT) & 0xFFFF | 1

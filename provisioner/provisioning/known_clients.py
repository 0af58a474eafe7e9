"""KnownClients: whether this server has told a client of its home lately, without asking anybody.

Pure. A table of fingerprints, each at a place that follows from the client's id and its tenant's
(a direct-mapped cache): who comes later takes the place of who came before, so it has the same size
for ever. It may know a client that it was never told of, one in some ten thousand, and forgets
some. So it is no answer to whether a client has a home; it says who is asked in first where not all
can be.
"""

from __future__ import annotations

from array import array
from typing import Final

PLACES: Final = 1 << 21  # of two bytes: of a million clients some four in five are remembered
_SHIFT: Final = 40  # the fingerprint's bits are none of the place's


class KnownClients:
    """Clients by their tenants' ids and theirs."""

    __slots__ = ("_mask", "_places")

    def __init__(self, places: int = PLACES) -> None:
        """places: a power of two."""
        self._places = array("H", bytes(2 * places))
        self._mask = places - 1

    def note(self, tenant: str, client_id: str) -> None:
        """The client was told of its home."""
        number = hash(client_id) ^ hash(tenant)  # of another seed in each process
        self._places[number & self._mask] = (number >> _SHIFT) & 0xFFFF | 1

    def knows(self, tenant: str, client_id: str) -> bool:
        """Whether it was, as far as is remembered."""
        number = hash(client_id) ^ hash(tenant)
        return self._places[number & self._mask] == (number >> _SHIFT) & 0xFFFF | 1

"""DomainNames: the port through which DNS is asked what mail needs of it.

An adapter is given its resolver; tests have a table. Answers are bounded, and each ask has a
deadline.
"""

from __future__ import annotations

from typing import Protocol

from control_plane.errors import Unavailable

MOST_ANSWERS = 20
MOST_TEXT_BYTES = 4_096  # of one TXT record


class NamesUnavailable(Unavailable):
    """DNS did not say, or not in time; it may later."""

    reason = "NAMES_UNAVAILABLE"


class DomainNames(Protocol):
    """kind: A, AAAA, MX, PTR or TXT."""

    async def ask(self, name: str, kind: str) -> tuple[str | bytes | tuple[int, str], ...]:
        """What stands there: an address, (preference, host), a host, or the bytes of a text;
        nothing where there is nothing. Raises NamesUnavailable."""
        ...

"""CodeSender: what brings a code to an identifier. A code travels nowhere else."""

from __future__ import annotations

from typing import Protocol

from control_plane.identifiers.identifier import Identifier


class CodeSender(Protocol):
    """One per server."""

    def channel(self, identifier: Identifier) -> str:
        """How a code travels to it, in one word; empty: not at all."""
        ...

    async def send(self, identifier: Identifier, code: str, *, lasts_s: float) -> None:
        """Returns once somebody has taken it on who will deliver it. Raises Unavailable;
        ClaimNotAllowed where it was refused for good."""
        ...

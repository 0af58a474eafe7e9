"""SeenProfile: what a unit says of an account to a viewer, and who asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from provisioner.directory.residence import Residence


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenIdentifier:
    """One that the viewer sees. proved: else its owner says so."""

    uri: str
    shown: str
    label: str
    proved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenProfile:
    """What a unit says of an account to a viewer. vcard: the same as a vCard 4.0."""

    name: str
    identifiers: tuple[SeenIdentifier, ...]
    vcard: str


class ProfileReader(Protocol):
    """Asks units."""

    async def read(self, residence: Residence) -> SeenProfile | None:
        """None: the account is not at home there any more. Raises Unavailable."""
        ...

    async def close(self) -> None:
        """Ends all connections."""
        ...

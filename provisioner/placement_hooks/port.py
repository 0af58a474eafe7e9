"""Hook: a tenant's own service that ranks units, as this server asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from provisioner.geo.location import Location
from provisioner.placement.hook_candidates import HookCandidate
from provisioner.placement.hooks import NOTHING_TOLD, HookAnswer, ToldOfClient


@dataclass(frozen=True, slots=True, kw_only=True)
class HookQuestion:
    """client_id: empty where an answer is for all clients of the location's cell; candidates: as
    the policy ranks them; told: of the client, the same for all for whom the answer is."""

    tenant: str
    client_id: str
    location: Location
    candidates: Sequence[HookCandidate]
    told: ToldOfClient = NOTHING_TOLD


class HookFailed(Exception):
    """It could not be asked, or what it said cannot be read; the message says why."""


class Hook(Protocol):
    """One service."""

    async def rank(self, question: HookQuestion, *, timeout_s: float) -> HookAnswer:
        """What it says, within the time. Raises HookFailed; TimeoutError."""
        ...

    async def close(self) -> None:
        """Ends its connections."""
        ...

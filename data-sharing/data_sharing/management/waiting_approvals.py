"""WaitingApprovals: how many instructions wait for a person, for metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from data_sharing.database import Database
from data_sharing.decisions import approval_tables

EVERY_S = 5.0
MOST_TENANTS = 1_000  # that are told apart


class Waiting(NamedTuple):
    """Of one tenant. oldest_s: for how long the first of them has waited."""

    tenant: str
    instructions: int
    oldest_s: float


class WaitingApprovals:
    """wall_ms: Unix ms. `tenants` may be read in any thread."""

    def __init__(self, database: Database, *, wall_ms: Callable[[], int]) -> None:
        self._database, self._wall_ms = database, wall_ms
        self._found: list[tuple[str, int, int]] = []

    async def run(self) -> None:
        """Looks again and again, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Counts those that wait now."""
        self._found = self._database.read(lambda db: approval_tables.waiting(db, MOST_TENANTS))

    @property
    def tenants(self) -> list[Waiting]:
        """By name, as it was at the last look."""
        now_ms = self._wall_ms()
        return [
            Waiting(tenant, count, max(0, now_ms - asked_ms) / 1000)
            for tenant, count, asked_ms in self._found
        ]

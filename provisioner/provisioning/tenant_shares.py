"""TenantShares: how many clients of each tenant wait, and whether a tenant has its share of the
room: an equal part for each that has somebody waiting, all of it for one that is alone."""

from __future__ import annotations

WITH_SHARES = 2  # times as many as there is room for may wait at most, whatever the shares say


class TenantShares:
    """Counts of those who wait, by tenant id; only tenants for whom somebody waits are kept."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[str, int] = {}

    def enter(self, tenant: str) -> None:
        """One more waits."""
        self._waiting[tenant] = self._waiting.get(tenant, 0) + 1

    def leave(self, tenant: str) -> None:
        """One that had entered does not wait any more."""
        left = self._waiting[tenant] - 1
        if left:
            self._waiting[tenant] = left
        else:
            del self._waiting[tenant]

    def waiting(self, tenant: str) -> int:
        """How many of it wait."""
        return self._waiting.get(tenant, 0)

    def is_full(self, tenant: str, waiting: int, room: int) -> bool:
        """Whether no further client of a tenant may wait, where so many do. One that has less than
        its share finds room where others have all of it, in bounds."""
        if waiting < room:
            return False
        return self.waiting(tenant) >= self.share(tenant, room) or waiting >= WITH_SHARES * room

    def share(self, tenant: str, room: int) -> int:
        """How many of it may wait where there is room for so many in all."""
        others = len(self._waiting) - (tenant in self._waiting)
        return room // (others + 1)

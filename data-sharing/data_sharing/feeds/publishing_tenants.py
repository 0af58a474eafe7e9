"""PublishingTenants: whether several tenants publish, so that what one asks for is done in smaller
pieces. Pure; the time is an argument."""

from __future__ import annotations

import math

SHARED_FOR_S = 10.0  # since somebody else has published


class PublishingTenants:
    """Remembers the last tenant and when it was another one."""

    def __init__(self) -> None:
        self._latest, self._other_at = "", -math.inf

    def note(self, tenant: str, now: float) -> None:
        """A tenant publishes. now: s."""
        if tenant != self._latest:
            if self._latest:
                self._other_at = now
            self._latest = tenant

    def several(self, now: float) -> bool:
        """Whether several do, or have of late."""
        return now - self._other_at <= SHARED_FOR_S

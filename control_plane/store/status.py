"""StoreStatus: whether what a server knows is what the store says, and since when it is not.

Asks the adapter's health once a second and says in the log when the store goes and when it
is back. A store that comes back as another one (an empty cluster, a restored backup) goes
to `on_foreign`: revisions mean nothing across stores, so nothing known may be kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from control_plane.store.port import Health

log = logging.getLogger(__name__)

POLL_S = 1.0
WAIT_S, SHORT_WAIT_S = 4.0, 0.5


class StoreStatus:
    """`run` is a task of the owner's. wall: Unix seconds. confirmed(): whether all that is
    known was read from the store itself. as_of, cluster: of the snapshot that the owner
    started from, if it did. meanwhile: what becomes of its work while the store is away."""

    def __init__(
        self,
        health: Health,
        *,
        wall: Callable[[], float],
        confirmed: Callable[[], bool],
        on_foreign: Callable[[], None],
        as_of: float = 0.0,
        cluster: str = "",
        meanwhile: str = "known clients are answered from tickets",
    ) -> None:
        self._health = health
        self._wall = wall
        self._confirmed = confirmed
        self._on_foreign = on_foreign
        self._as_of = as_of
        self._meanwhile = meanwhile
        self._logged = True  # what the log says: the store is there
        self.foreign = False  # whether the store came back as another one
        self.cluster = cluster  # which store we know; empty: none has said yet

    @property
    def current(self) -> bool:
        """Whether the store answers and all that is known comes from it."""
        return self._health.connected and self._confirmed()

    @property
    def wait_s(self) -> float:
        """How long somebody who can do with what is known should wait for the store."""
        return WAIT_S if self.current else SHORT_WAIT_S

    @property
    def as_of(self) -> float:
        """When the store last confirmed what is known, Unix time."""
        return self._wall() if self.current else self._as_of

    @property
    def age_s(self) -> float:
        """How long ago that was; 0 while the store answers."""
        return 0.0 if self.current else max(0.0, self._wall() - self._as_of)

    def poll(self) -> None:
        """Once; `run` does it every second."""
        current, cluster = self.current, self._health.cluster
        if current:
            self._as_of = self._wall()
        if cluster and self.cluster and cluster != self.cluster:
            log.error("the store is another one now: %s, not %s", cluster, self.cluster)
            self.foreign = True
            self._on_foreign()
        self.cluster = cluster or self.cluster
        if current is not self._logged:
            self._logged = current
            if current:
                log.warning("the store answers again")
            else:
                log.warning("the store does not answer; %s", self._meanwhile)

    async def run(self) -> None:
        """Polls for ever."""
        while True:
            self.poll()
            await asyncio.sleep(POLL_S)

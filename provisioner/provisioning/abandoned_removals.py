"""AbandonedRemovals: goes on with removals of tenants whose server is gone, for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from control_plane.errors import ServiceError
from control_plane.fleet.tenant_removal import TenantRemover
from provisioner.fleet_view import FleetView

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
IDLE_S = 30.0  # a remover that lives and was not at it for so long has lost its caller


class AbandonedRemovals:
    """`run` is a task of the owner's. jitter: 0 to 1, so that not all servers look at once."""

    def __init__(
        self, fleet_view: FleetView, remover: TenantRemover, *, jitter: Callable[[], float]
    ) -> None:
        self._fleet_view = fleet_view
        self._remover = remover
        self._jitter = jitter

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S * (0.5 + self._jitter()))
            for tenant in list(self._fleet_view.tenants.values()):
                if tenant.removal is None:
                    continue
                try:
                    if await self._remover.go_on(tenant, idle_s=IDLE_S):
                        log.info("went on with the removal of tenant %s", tenant.id)
                except ServiceError as error:
                    log.warning("the removal of tenant %s has to wait: %s", tenant.id, error)

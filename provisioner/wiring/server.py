"""Builds one provisioning server in one pass, part by part, and runs it.

Each part takes what it needs of the parts before it: `state` (what the server knows and
writes with), `moving`, `use_case` (provisioning), `services` (what callers reach).
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from control_plane.errors import Refused
from control_plane.telemetry.endpoint import MetricsEndpoint
from provisioner.ledger.port import Ledger
from provisioner.moves.mover import Mover
from provisioner.placement.filters import PlacementPolicy
from provisioner.settings import Settings
from provisioner.wiring.moving import build_moving
from provisioner.wiring.services import Services, build_services
from provisioner.wiring.state import read_state
from provisioner.wiring.tasks import Task
from provisioner.wiring.use_case import build_use_case

log = logging.getLogger("homeport")

RETURN_SLOTS_S = 3.0  # for giving idle slots back before a server ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where a running server can be reached."""

    grpc: str
    metrics: str
    transport: str


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[Serving], None],
    share_port: bool = False,
) -> None:
    """Serves until `stop` is set, then drains. Raises ServiceError where it cannot start, and
    Refused where the store came back as another one."""
    rng = random.Random(secrets.randbits(64))
    policy = PlacementPolicy(nowhere=settings.nowhere)
    async with AsyncExitStack() as stack:
        state = await read_state(settings, rng, stop, stack)
        if state is None:
            return
        moving = build_moving(settings, state, policy, rng)
        use_case = build_use_case(settings, state, moving.mover, policy, rng, stack)
        services = build_services(settings, state, moving, use_case, rng, share_port=share_port)
        tasks = {**state.tasks(), **use_case.tasks(), **moving.tasks(), **services.tasks()}
        await _run(settings, stop, on_ready, services, state.ledger, moving.mover, tasks)
        if state.store_status.foreign:
            raise Refused(
                "the store is another one than before (an empty cluster, or a restored "
                "backup); start again, so that nothing of the old one is taken for true"
            )


async def _run(
    settings: Settings,
    stop: asyncio.Event,
    on_ready: Callable[[Serving], None],
    services: Services,
    ledger: Ledger,
    mover: Mover,
    tasks: Mapping[str, Task],
) -> None:
    server, metrics = services.server, services.metrics
    host = settings.listen.rpartition(":")[0]
    port = server.bind(settings.listen)
    with MetricsEndpoint(settings.metrics_listen, metrics, ready=metrics.readiness) as endpoint:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(task(), name=name) for name, task in tasks.items()]
            await server.start()
            await server.ready()
            on_ready(
                Serving(
                    grpc=f"{host}:{port}",
                    metrics=endpoint.address,
                    transport=server.transport.value,
                )
            )
            await stop.wait()
            log.info("draining: refusing new calls, finishing those under way")
            services.watching.close()
            await server.stop(settings.drain_s)
            await ledger.return_idle_slots(timeout_s=RETURN_SLOTS_S)
            await mover.return_idle_slots(timeout_s=RETURN_SLOTS_S)
            for task in running:
                task.cancel()
    await ledger.close()
    await mover.close()

"""Builds one provisioning server in one pass, part by part, and runs it.

Each part takes what it needs of the parts before it: `state` (what the server knows and
writes with), `moving`, `use_case` (provisioning), `services` (what callers reach).
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from control_plane.errors import Refused
from control_plane.supervision import Supervisor
from control_plane.telemetry.endpoint import MetricsEndpoint
from control_plane.tracing.otlp import opened_tracer
from provisioner.ledger.port import Ledger
from provisioner.moves.mover import Mover
from provisioner.settings import Settings
from provisioner.wiring.directory import open_directory
from provisioner.wiring.moving import build_moving
from provisioner.wiring.services import Services, build_services
from provisioner.wiring.state import read_state
from provisioner.wiring.tasks import Task
from provisioner.wiring.use_case import build_use_case, read_geo

log = logging.getLogger("homeport")

RETURN_SLOTS_S = 3.0  # for giving idle slots back before a server ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where a running server can be reached."""

    grpc: str
    http: str  # empty: nowhere
    pages: str  # likewise
    metrics: str
    transport: str
    registry: CollectorRegistry  # what is told to Prometheus


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[Serving], None],
    share_port: bool = False,
) -> None:
    """Serves until `stop` is set, then drains. Raises ServiceError where it cannot start. What
    ends it while it serves, after it has drained as well, is Refused: the store came back as
    another one, or its assignments were spread over clusters that this server does not know.
    Whatever else a background task raises is the supervisor's business."""
    rng = random.Random(secrets.randbits(64))
    supervisor = Supervisor(clock=time.monotonic, jitter=rng.random, on_end=stop.set)
    async with AsyncExitStack() as stack:
        # Last to end: what draining does is traced as well.
        tracer = await stack.enter_async_context(
            opened_tracer(settings, "homeport-provisioner", wall_ns=time.time_ns)
        )
        # Before there is a session, whose lease nobody renews until everything is built.
        geo, overrides = await asyncio.to_thread(read_geo, settings)
        state = await read_state(settings, rng, supervisor, stop, stack)
        if state is None:
            return
        moving = build_moving(settings, state, rng, supervisor)
        use_case = build_use_case(
            settings,
            geo,
            overrides,
            state,
            moving.mover,
            moving.departures,
            rng,
            stack,
        )
        directory = await open_directory(settings, state)
        services = build_services(
            settings,
            state,
            moving,
            use_case,
            directory,
            rng,
            supervisor,
            share_port=share_port,
            tracer=tracer,
        )
        if tracer is not None:
            use_case.provisioner.traces_calls = True
            state.ledger.use_tracer(tracer)
        tasks = {
            **state.tasks(), **use_case.tasks(), **moving.tasks(), **directory.tasks(),
            **services.tasks(),
        }  # fmt: skip
        ledgers = (state.ledger, moving.mover)
        await _run(settings, stop, on_ready, services, ledgers, tasks, supervisor)
        supervisor.raise_if_ended()
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
    ledgers: tuple[Ledger, Mover],
    tasks: Mapping[str, Task],
    supervisor: Supervisor,
) -> None:
    ledger, mover = ledgers
    server, metrics = services.server, services.metrics
    host = settings.listen.rpartition(":")[0]
    port = server.bind(settings.listen)
    listen = settings.metrics_listen
    with MetricsEndpoint(
        listen, metrics, supervisor, *services.collectors, ready=metrics.readiness
    ) as endpoint:
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(supervisor.keep(name, task), name=name)
                for name, task in tasks.items()
            ]
            await services.http.start()
            await services.pages.start()
            await server.start()
            await server.ready()
            on_ready(
                Serving(
                    grpc=f"{host}:{port}",
                    http=services.http.address,
                    pages=services.pages.address,
                    metrics=endpoint.address,
                    transport=server.transport.value,
                    registry=endpoint.registry,
                )
            )
            await stop.wait()
            log.info("draining: refusing new calls, finishing those under way")
            services.watching.close()
            await asyncio.gather(
                services.http.stop(settings.drain_s),
                services.pages.stop(),
                server.stop(settings.drain_s),
            )
            await ledger.return_idle_slots(timeout_s=RETURN_SLOTS_S)
            await mover.return_idle_slots(timeout_s=RETURN_SLOTS_S)
            for task in running:
                task.cancel()
    await ledger.close()
    await mover.close()

"""Builds one platform and runs it until told to stop."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import msgspec
from grpc import aio

from control_plane.data_folder import SQLITE, DataFolder
from control_plane.errors import InvalidInput
from control_plane.identity.jws import from_base64url
from control_plane.serving.dialing import FileDialer
from control_plane.supervision import Supervisor
from control_plane.telemetry.endpoint import MetricsEndpoint, Readiness
from control_plane.tracing.otlp import opened_tracer
from control_plane.tracing.tracer import Tracer
from data_sharing.clock import clock_of
from data_sharing.platforms.connection import PlatformConnection, PlatformIdentity
from data_sharing.platforms.host import PlatformHost
from data_sharing.platforms.installer import Installer
from data_sharing.platforms.journal import Journal
from data_sharing.platforms.reports import ReportQueue
from data_sharing.platforms.settings import PlatformSettings
from data_sharing.runtimes.metrics import SandboxMetrics
from data_sharing.runtimes.runtime_host import COMPILED_FOLDER, RuntimeHost
from data_sharing.signing import InstructionVerifier

CAPACITY_PER_THREAD = 8
DATA_FOLDER = DataFolder(
    flag="--data-dir",
    parts=("journal*", "artifacts", "compiled"),
    earlier={"journal": SQLITE},
)


async def run_platform(
    settings: PlatformSettings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[dict[str, str]], None],
) -> None:
    """Until `stop`, and until what was accepted is reported. on_ready: gets {application: version}
    once all that was asked for is ready. Raises ServiceError, and grpc.aio.AioRpcError where the
    service will not have this platform. Whatever else its connection raises is the supervisor's
    business."""
    async with opened_tracer(settings, "homeport-platform", wall_ns=time.time_ns) as tracer:
        await _run_platform(settings, stop, on_ready, tracer)


async def _run_platform(
    settings: PlatformSettings,
    stop: asyncio.Event,
    on_ready: Callable[[dict[str, str]], None],
    tracer: Tracer | None,
) -> None:
    wall_ms = clock_of(settings.clock_file)
    pinned = read_keys(settings.instruction_keys) if settings.instruction_keys else {}
    connect = FileDialer(
        ca=settings.ca,
        certificate=settings.certificate,
        key=settings.certificate_key,
        settings=("ca", "certificate", "certificate_key"),
    )
    await asyncio.to_thread(DATA_FOLDER.take, settings.data_dir)
    compiled = settings.compiled_dir or settings.data_dir / "compiled"
    if settings.compiled_dir is not None:
        await asyncio.to_thread(COMPILED_FOLDER.take, compiled)
    journal = await Journal.open(settings.data_dir / "journal", now_ms=wall_ms())
    try:
        with RuntimeHost(
            compiled,
            threads=settings.threads or None,
            processes=settings.processes(),
        ) as runtimes:
            reports = ReportQueue()
            verifier = InstructionVerifier(settings.tenant, settings.name, pinned)
            host = PlatformHost(
                settings.name,
                verifier,
                journal,
                runtimes,
                capacity=settings.capacity or CAPACITY_PER_THREAD * runtimes.capacity,
                wall_ms=wall_ms,
                report=reports.put,
            )
            host.tracer = tracer
            installer = Installer(
                settings.tenant,
                settings.data_dir / "artifacts",
                host,
                runtimes,
                on_ready=reports.applications_changed,
                grants=settings.grants(),
            )
            rng = random.Random(secrets.randbits(64))
            connection = PlatformConnection(
                PlatformIdentity(
                    tenant=settings.tenant,
                    name=settings.name,
                    incarnation=f"{wall_ms():013x}-{secrets.token_hex(4)}",
                    version=version("homeport-server"),
                    ttl_s=settings.ttl_s,
                    wanted=settings.wanted(),
                    partition=settings.partition,
                ),
                [part.strip() for part in settings.server.split(",") if part.strip()],
                host,
                journal,
                verifier,
                installer,
                reports,
                token=settings.token,
                pinned_keys=bool(pinned),
                jitter=rng.random,
                wall_ms=wall_ms,
                connect=connect,
                secured=settings.ca is not None,
            )
            supervisor = Supervisor(clock=time.monotonic, jitter=rng.random)
            keep = supervisor.keep("platform", connection.run, ends_on=(aio.AioRpcError,))
            endpoint = MetricsEndpoint(
                settings.metrics_listen,
                SandboxMetrics(runtimes),
                supervisor,
                ready=lambda: Readiness.READY if connection.ready.is_set() else Readiness.NOT_READY,
            )
            with endpoint:
                async with asyncio.TaskGroup() as group:
                    run = group.create_task(keep, name="platform")
                    ready = group.create_task(
                        _announce_ready(connection, host, on_ready), name="ready"
                    )
                    leave = group.create_task(_leave(stop, connection), name="stop")
                    await asyncio.wait([run])
                    ready.cancel()
                    leave.cancel()
            supervisor.raise_if_ended()
    finally:
        await journal.close()


async def _leave(stop: asyncio.Event, connection: PlatformConnection) -> None:
    await stop.wait()
    connection.leave()


async def _announce_ready(
    connection: PlatformConnection, host: PlatformHost, on_ready: Callable[[dict[str, str]], None]
) -> None:
    await connection.ready.wait()
    on_ready({one.application: one.version for one in host.hosted})


def read_keys(path: Path) -> Mapping[str, bytes]:
    """The Ed25519 keys of a JWK set, by id. Raises InvalidInput."""
    try:
        document = msgspec.json.decode(path.read_bytes())
        keys = {
            str(one["kid"]): from_base64url(one["x"])
            for one in document["keys"]
            if one.get("crv") == "Ed25519"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput("instruction_keys", f"{path} is not a JWK set: {error}") from error
    if not keys:
        raise InvalidInput("instruction_keys", f"{path} holds no Ed25519 key")
    return keys

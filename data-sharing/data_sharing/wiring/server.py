"""One data-sharing server, built by hand from top to bottom, and run until told to stop.

With `wiring.decisions` the only module that knows every part. Reading it shows what talks to
what.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from control_plane.audit import service as audit_service
from control_plane.audit.auditing import Auditing, AuditRetention, build_auditing, new_entry_id
from control_plane.audit.sqlite_log import SCHEMA as AUDIT_SCHEMA
from control_plane.audit.sqlite_log import SqliteAuditLog, marking
from control_plane.auth.access import Access
from control_plane.auth.method_access import access_of_services
from control_plane.data_folder import SQLITE, DataFolder
from control_plane.errors import Conflict
from control_plane.monitoring.audit_metrics import AuditMetrics
from control_plane.monitoring.disk import DiskMetrics
from control_plane.monitoring.event_loop import EventLoopLag
from control_plane.monitoring.serving_metrics import ServingMetrics
from control_plane.monitoring.store_metrics import StoreMetrics
from control_plane.offloading.pool import ProcessPool
from control_plane.process import serving_tls
from control_plane.quotas.interceptor import QuotaInterceptor
from control_plane.quotas.limits import read_limits
from control_plane.quotas.open_streams import OpenStreams
from control_plane.quotas.quota_metrics import QuotaMetrics
from control_plane.quotas.quotas import Quotas
from control_plane.quotas.tenant_quota_records import TenantQuotaRecords
from control_plane.serving.connection_watch import ConnectionWatch
from control_plane.serving.peers import Proxies
from control_plane.serving.server import Server
from control_plane.serving.tls import HTTP1, following
from control_plane.store.measured import StoreStatistics
from control_plane.supervision import Supervisor
from control_plane.telemetry.endpoint import MetricsEndpoint
from control_plane.tracing.otlp import opened_tracer
from control_plane.tracing.tracer import Tracer
from data_sharing.api import (
    approval_service,
    decision_service,
    feed_service,
    http_approvals,
    http_consents,
    offloaded_tasks,
    plan_service,
    platform_service,
    registry_service,
    rule_service,
    sharing_service,
)
from data_sharing.api.audited_objects import audited_objects
from data_sharing.api.call_quotas import METHOD_QUOTAS, QUOTAS
from data_sharing.api.callers import Callers
from data_sharing.api.feed_service import FeedService
from data_sharing.api.http_events import HttpEvents
from data_sharing.api.http_methods import HttpMethods
from data_sharing.api.metrics import SharingMetrics
from data_sharing.api.open_feeds import OpenFeeds
from data_sharing.api.partition_metrics import PartitionMetrics
from data_sharing.api.registry_service import RegistryService
from data_sharing.clock import clock_of
from data_sharing.decisions import tables as decision_tables
from data_sharing.feeds import log_tables as feed_tables
from data_sharing.feeds.intake import Intake, IntakeLimits
from data_sharing.feeds.port import Retention
from data_sharing.feeds.publisher import Publisher
from data_sharing.feeds.retention import Retainer
from data_sharing.memory_limits import TenantLimits
from data_sharing.registry import addresses, artifact_copies
from data_sharing.registry import tables as registry_tables
from data_sharing.registry.addresses import Addresses
from data_sharing.registry.artifact_copies import ArtifactCopies
from data_sharing.registry.artifacts import Artifacts
from data_sharing.registry.registry import Registry
from data_sharing.registry.trial import Trial
from data_sharing.replication import replica_tables
from data_sharing.runtimes.metrics import SandboxMetrics
from data_sharing.runtimes.runtime_host import COMPILED_FOLDER, RuntimeHost
from data_sharing.settings import PARTITIONS_FOLDER, Settings
from data_sharing.wiring import partition_parts
from data_sharing.wiring.decisions import Deciding, build_deciding
from data_sharing.wiring.partition import OpenedPartition, opened_partition
from data_sharing.wiring.tenant_records import tenant_quota_records

log = logging.getLogger("homeport")

SERVICES = (
    registry_service.NAME, feed_service.NAME, rule_service.NAME, plan_service.NAME,
    decision_service.NAME, approval_service.NAME, platform_service.NAME, sharing_service.NAME,
    audit_service.NAME,
)  # fmt: skip
SIGNING_KEY = "signing.key"
DATA_FOLDER = DataFolder(
    flag="--data-dir",
    parts=("sharing.db*", PARTITIONS_FOLDER, "artifacts", "compiled", "trials", f"{SIGNING_KEY}*"),
    earlier={"sharing.db": SQLITE},
)
SCHEMAS = (
    feed_tables.SCHEMA,
    registry_tables.SCHEMA,
    addresses.SCHEMA,
    artifact_copies.SCHEMA,
    replica_tables.SCHEMA,
    *decision_tables.SCHEMAS,
    AUDIT_SCHEMA,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where a running server can be reached."""

    grpc: str
    http: str
    metrics: str
    transport: str
    registry: CollectorRegistry  # what is told to Prometheus


async def serve(
    settings: Settings, *, stop: asyncio.Event, on_ready: Callable[[Serving], None]
) -> None:
    """Serves until `stop` is set, then drains. Raises ServiceError where it cannot start, and,
    once it has drained, Conflict where another server has taken the decisions over. Whatever
    else a background task raises is the supervisor's business."""
    quotas = Quotas(read_limits(settings.quotas, QUOTAS), clock=time.monotonic)
    memory = TenantLimits(settings.memory())
    statistics = StoreStatistics(clock=time.monotonic)
    async with (
        opened_tracer(settings, "homeport-sharing", wall_ns=time.time_ns) as tracer,
        tenant_quota_records(settings, statistics, quotas.follow_tenant, memory) as records,
    ):
        store_metrics = StoreMetrics(statistics)
        await _serve(settings, stop, on_ready, tracer, quotas, memory, records, store_metrics)


async def _serve(
    settings: Settings,
    stop: asyncio.Event,
    on_ready: Callable[[Serving], None],
    tracer: Tracer | None,
    quotas: Quotas,
    memory: TenantLimits,
    records: TenantQuotaRecords | None,
    store_metrics: StoreMetrics,
) -> None:
    rng = random.Random(secrets.randbits(64))
    supervisor = Supervisor(clock=time.monotonic, jitter=rng.random, on_end=stop.set)
    folder, wall_ms = settings.data_dir, clock_of(settings.clock_file)
    access = Access(
        settings, SERVICES, wall=time.time, clock=time.monotonic, tickets=settings.shown_tickets()
    )
    callers = Callers(access.control)
    wrapping = settings.wrapping(secrets.token_bytes)
    # A key that lies open is not mended but refused by its reader: others may have it by now.
    await asyncio.to_thread(DATA_FOLDER.take, folder, leave=[SIGNING_KEY])
    compiled = settings.compiled_dir or folder / "compiled"
    if settings.compiled_dir is not None:
        await asyncio.to_thread(COMPILED_FOLDER.take, compiled)
    workers = max(2, min(4, os.cpu_count() or 1))  # two at least, so that no tenant has them all
    pool = ProcessPool(offloaded_tasks.PLACE, workers=workers, limits=offloaded_tasks.LIMITS)
    # The same certificate for HTTP: tokens come in there, too.
    tls = serving_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    async with (
        opened_partition(
            settings, SCHEMAS, stop=stop, wall_ms=wall_ms, supervisor=supervisor
        ) as opened,
        partition_parts.other_partitions(settings, opened, is_open=access.control.open) as others,
    ):
        if opened is None:
            return
        database = opened.database
        database.around = marking
        artifacts = Artifacts(folder / "artifacts")
        with RuntimeHost(compiled, processes=settings.processes()) as hosting:
            registry = Registry(
                database,
                artifacts,
                Trial(hosting, folder / "trials"),
                pool,
                wall_ms=wall_ms,
            )
            if opened.replica is not None:
                copies = ArtifactCopies(database, artifacts, folder / "artifacts")
                await copies.restore()
                registry.keep_artifact = copies.keep
            feeds = OpenFeeds(registry.catalogue)
            registry.on_change.append(feeds.follow)
            deciding = await build_deciding(
                database,
                registry,
                callers,
                pool,
                signing_key=settings.signing_key or folder / SIGNING_KEY,
                wrapping=wrapping,
                keep_decisions_s=settings.keep_decisions_s,
                keep_events_s=settings.retain_s,
                weight_of=settings.weight_of,
                max_hops=settings.max_hops,
                memory=memory,
                wall_ms=wall_ms,
                partitions=opened.partitions,
            )
            if tracer is not None:
                deciding.worker.tracer = tracer
                deciding.dispatcher.use_tracer(tracer)
            feed_log = deciding.feed_log
            limits = IntakeLimits(
                event_bytes=settings.max_event_bytes,
                ahead_s=settings.max_ahead_s,
                late_s=settings.max_late_s,
            )
            elsewhere = partition_parts.elsewhere_of(opened.partitions)
            intake = Intake(feeds.find, limits, elsewhere=elsewhere)
            publisher = Publisher(intake, feed_log, wall_ms=wall_ms, clock=time.monotonic)
            retention = Retention(age_s=settings.retain_s, content_bytes=settings.retain_bytes)
            retainer = Retainer(feed_log, retention, wall_ms=wall_ms)
            feeds_served = FeedService(
                publisher,
                feed_log,
                lambda: registry.catalogue,
                callers,
                quotas,
                OpenStreams("tails", settings.open_tails(), jitter=random.random),
                deciding.shown,
                deciding.turns,
                others,
            )
            applications = RegistryService(
                registry,
                Addresses(database, registry, wall_ms=wall_ms),
                callers,
                deciding.turns,
                max_artifact_bytes=settings.max_artifact_bytes,
            )
            methods = access_of_services(SERVICES)
            counting = QuotaInterceptor(METHOD_QUOTAS, quotas, methods, access.control, Proxies())
            checks = [
                access.interceptor,
                counting,
                *partition_parts.calls_of_partitions(others, callers, settings),
            ]
            auditing = build_auditing(
                SqliteAuditLog(database, wall_ms=_now_ms, new_id=new_entry_id),
                methods,
                audited_objects(
                    applications,
                    deciding.rules,
                    deciding.plans,
                    deciding.decisions,
                    deciding.sharing,
                ),
                access.control,
                Proxies(),
                AuditRetention(age_s=settings.audit_keep_s, entries=settings.audit_keep_entries),
                wall_ms=_now_ms,
            )
            connections, watch = settings.connection_limits(), ConnectionWatch()
            server = Server(
                [
                    applications.service(),
                    feeds_served.service(),
                    *deciding.services,
                    auditing.service.service(),
                ],
                interceptors=[*checks, auditing.interceptor],
                transport=settings.transport,
                tls=tls,
                limits=connections,
                watch=watch,
                tracer=tracer,
            )
            http = HttpEvents(
                settings.http_listen,
                publisher,
                callers,
                quotas,
                methods=HttpMethods(
                    (*http_approvals.ROUTES, *http_consents.ROUTES),
                    [deciding.approvals.service(), deciding.sharing.service()],
                    [*checks, auditing.interceptor],
                ),
                tls=following(tls, HTTP1) if tls else None,
                watch=watch,
                limits=connections,
                partitions=others,
            )
            metrics = SharingMetrics(
                database,
                feed_log,
                publisher,
                feeds,
                retainer,
                deciding.worker,
                deciding.dispatcher,
                pool,
                deciding.waiting_approvals,
                records,
            )
            loop_lag = EventLoopLag(clock=time.monotonic)
            collectors = (
                ServingMetrics(server),
                store_metrics,
                AuditMetrics(auditing.recorder),
                SandboxMetrics(hosting),
                DiskMetrics({"database": opened.file}),
                loop_lag,
                access,
                QuotaMetrics(quotas),
                PartitionMetrics(opened.replica, opened.lease, opened.snapshots, opened.term),
            )
            await _run(
                settings, stop, on_ready, server, http, metrics, feeds_served, retainer, deciding,
                pool, access, auditing, loop_lag, collectors, supervisor, records, opened,
            )  # fmt: skip
            supervisor.raise_if_ended()


async def _run(
    settings: Settings,
    stop: asyncio.Event,
    on_ready: Callable[[Serving], None],
    server: Server,
    http: HttpEvents,
    metrics: SharingMetrics,
    feeds_served: FeedService,
    retainer: Retainer,
    deciding: Deciding,
    pool: ProcessPool,
    access: Access,
    auditing: Auditing,
    loop_lag: EventLoopLag,
    collectors: Sequence[Collector],
    supervisor: Supervisor,
    records: TenantQuotaRecords | None,
    opened: OpenedPartition,
) -> None:
    followed = {} if records is None else records.tasks()
    host = settings.listen.rpartition(":")[0]
    port = server.bind(settings.listen)
    listen = settings.metrics_listen
    with MetricsEndpoint(
        listen, metrics, supervisor, *collectors, ready=metrics.readiness
    ) as endpoint:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(supervisor.keep("feed retention", retainer.run)),
                group.create_task(supervisor.keep("offloading", pool.run)),
                group.create_task(supervisor.keep("event loop lag", loop_lag.run)),
                group.create_task(supervisor.keep("audit log", auditing.recorder.run)),
                *deciding.run(group, supervisor),
                *(
                    group.create_task(supervisor.keep(name, task, ends_on=(Conflict,)), name=name)
                    for name, task in opened.tasks.items()
                ),
                *(
                    group.create_task(supervisor.keep(name, task), name=name)
                    for name, task in {**access.tasks(), **followed}.items()
                ),
            ]
            await http.start()
            await server.start()
            await server.ready()
            partition_parts.tell_address(settings, opened, f"{host}:{port}")
            on_ready(
                Serving(
                    grpc=f"{host}:{port}",
                    http=http.address,
                    metrics=endpoint.address,
                    transport=server.transport.value,
                    registry=endpoint.registry,
                )
            )
            await stop.wait()
            log.info("draining: refusing new calls, finishing those under way")
            feeds_served.drain()
            deciding.platforms.drain()
            await server.stop(settings.drain_s)
            await http.stop()
            for task in tasks:
                task.cancel()


def _now_ms() -> int:
    """Of the audit log, which goes by the real time, whatever `clock_file` says."""
    return int(time.time() * 1_000)

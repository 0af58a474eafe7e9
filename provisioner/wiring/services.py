"""Services: what callers reach over gRPC, who may call, and what watches and metrics show.

Part of the wiring: `provisioner.wiring.server` builds the rest.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prometheus_client.registry import Collector

from control_plane.audit import service as audit_service
from control_plane.audit.auditing import AuditRetention, build_auditing, new_entry_id
from control_plane.audit.recorder import AuditRecorder
from control_plane.audit.store_log import StoreAuditLog
from control_plane.auth.access import Access
from control_plane.auth.method_access import access_of_services
from control_plane.http_serving.cross_origin import read_origins
from control_plane.http_serving.json_server import JsonServer
from control_plane.monitoring.audit_metrics import AuditMetrics
from control_plane.monitoring.disk import DiskMetrics
from control_plane.monitoring.event_loop import EventLoopLag
from control_plane.monitoring.serving_metrics import ServingMetrics
from control_plane.monitoring.store_metrics import StoreMetrics
from control_plane.process import serving_tls
from control_plane.quotas.interceptor import QuotaInterceptor
from control_plane.quotas.limits import Quota, read_limits
from control_plane.quotas.quota_metrics import QuotaMetrics
from control_plane.quotas.quotas import Quotas
from control_plane.serving.admission_queue import AdmissionQueue
from control_plane.serving.peers import Proxies, parse_networks
from control_plane.serving.server import Server
from control_plane.store.opening import StoreUrl
from control_plane.supervision import Supervisor
from control_plane.tracing.tracer import Tracer
from provisioner.api import (
    directory_service,
    fleet_service,
    provisioning_service,
    tenant_service,
)
from provisioner.api.account_watches import AccountWatches
from provisioner.api.audited_objects import audited_objects, directory_objects, policy_objects
from provisioner.api.callers import Callers
from provisioner.api.claim_calls import ClaimCalls
from provisioner.api.client_lines import ClientLines
from provisioner.api.client_proofs import ClientProofs
from provisioner.api.directory_metrics import DirectoryMetrics
from provisioner.api.directory_service import DirectoryService
from provisioner.api.fleet_service import FleetService
from provisioner.api.http_routes import OPENAPI, ROUTES, openapi
from provisioner.api.ledger_metrics import LedgerMetrics
from provisioner.api.lookup_calls import LookupCalls
from provisioner.api.metrics import ProvisionerMetrics
from provisioner.api.provision_admission import ProvisionAdmission
from provisioner.api.provisioning_service import ProvisioningService
from provisioner.api.unit_metrics import UnitMetrics
from provisioner.api.unit_operations import UnitOperations
from provisioner.api.watching import Watching
from provisioner.directory.directory import Directory
from provisioner.provisioning.bootstrap_lookup import BootstrapEnrolment
from provisioner.provisioning.enrolment import Enrolment
from provisioner.provisioning.network_provision import NetworkFinder
from provisioner.provisioning.tenant_issuers import TenantIssuers
from provisioner.settings import Settings
from provisioner.wiring.directory_pages import DirectoryPages, build_pages
from provisioner.wiring.moving import Moving
from provisioner.wiring.numbers import SERVICES as OF_NUMBERS
from provisioner.wiring.numbers import build_numbers
from provisioner.wiring.organisations import SERVICES as OF_ORGANISATIONS
from provisioner.wiring.organisations import OrganisationParts, build_organisations
from provisioner.wiring.policies import QUOTAS as OF_LATENCIES
from provisioner.wiring.policies import SERVICES as OF_POLICIES
from provisioner.wiring.policies import PolicyParts, build_policies, policy_registry
from provisioner.wiring.state import ServerState
from provisioner.wiring.tasks import Task
from provisioner.wiring.tenants import TenantParts, build_tenants
from provisioner.wiring.use_case import UseCase

SERVICES = (
    provisioning_service.NAME, fleet_service.NAME, tenant_service.NAME, directory_service.NAME,
    audit_service.NAME, *OF_POLICIES, *OF_ORGANISATIONS, *OF_NUMBERS,
)  # fmt: skip

METHOD_QUOTAS = {**provisioning_service.QUOTAS, **OF_LATENCIES, **directory_service.QUOTAS}
QUOTAS = (Quota.PROVISIONS, Quota.BATCHED_CLIENTS, *dict.fromkeys(METHOD_QUOTAS.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The servers do not listen yet. http: of clients that have HTTP and JSON alone; pages: of
    people and programs that look names up."""

    server: Server
    http: JsonServer
    pages: DirectoryPages
    watching: Watching
    metrics: ProvisionerMetrics
    access: Access
    issuers: TenantIssuers
    audit: AuditRecorder
    quotas: Quotas
    tenants: TenantParts
    lookups: LookupCalls
    claims: ClaimCalls
    provisions: AdmissionQueue
    organisations: OrganisationParts
    policies: PolicyParts
    loop_lag: EventLoopLag
    collectors: tuple[Collector, ...]  # beside `metrics`

    def tasks(self) -> dict[str, Task]:
        """What works beside the calls, by name."""
        return {
            **self.watching.tasks(),
            **self.access.tasks(),
            "issuers of tenants": self.issuers.run,
            "audit log": self.audit.run,
            **self.tenants.tasks(),
            "lookups": self.lookups.run,
            "claims": self.claims.run,
            "admission queue": self.provisions.run,
            **self.organisations.tasks(),
            **self.policies.tasks(),
            "event loop lag": self.loop_lag.run,
        }


def build_services(
    settings: Settings,
    state: ServerState,
    moving: Moving,
    use_case: UseCase,
    directory: Directory,
    rng: random.Random,
    supervisor: Supervisor,
    *,
    share_port: bool,
    tracer: Tracer | None,
) -> Services:
    """Over everything else. Raises InvalidInput."""
    store, fleet_view, cluster_set = state.store, state.fleet_view, state.cluster_set
    access = Access(settings, SERVICES, wall=time.time, clock=time.monotonic, clients_enrol=True)
    issuers = TenantIssuers(wall=time.time, clock=time.monotonic)
    issuers.follow(fleet_view.tenants)
    fleet_view.subscribe(lambda _: issuers.follow(fleet_view.tenants))
    quotas = Quotas(read_limits(settings.quotas, QUOTAS), clock=time.monotonic)
    use_case.provisioner.over_quota = partial(quotas.count_refusal, "clients", "tenant")
    quotas.follow(fleet_view.tenants)
    fleet_view.subscribe(lambda _: quotas.follow(fleet_view.tenants))
    proxies = Proxies(parse_networks(settings.trusted_proxies))
    callers = Callers(proxies, access.control)
    watching = Watching.of(
        store,
        state.registry,
        limit=settings.max_watchers,
        clock=time.monotonic,
        jitter=rng.random,
        supervisor=supervisor,
        clusters=cluster_set.clusters if cluster_set else None,
        shard_map_cache=cluster_set.shard_map_cache if cluster_set else None,
    )
    proofs = ClientProofs(callers, use_case.fallback, Enrolment(state.enrolment_groups, issuers))
    provisioning_service = ProvisioningService(
        provisioner=use_case.provisioner,
        assignments=use_case.assignments,
        answers=use_case.answers,
        fallback=use_case.fallback,
        fleet_view=fleet_view,
        callers=callers,
        proofs=proofs,
        bootstrap=BootstrapEnrolment(
            None if cluster_set else state.ledger.look_up, clock=time.monotonic, wall=time.time
        ),
        watches=watching.clients,
        store_status=state.store_status,
        quotas=quotas,
        policies=state.policies,
        latencies=state.latencies,
        networks=NetworkFinder(
            use_case.provisioner.locator, use_case.provisioner.placer, state.policies.is_alike
        ),
    )
    provisions = AdmissionQueue(
        provisioning_service.provision_hot,
        ProvisionAdmission(
            use_case.answers.known,
            use_case.fallback,
            use_case.provisioner.admission,
            refused=provisioning_service.provision_hot,
        ),
        clock=time.monotonic,
    )
    registry = policy_registry(state)
    fleet_service = FleetService(
        store,
        state.registry,
        state.issuer,
        callers,
        moving.holds,
        UnitOperations(
            store,
            state.client_keys,
            registry=state.registry,
            transitions=moving.transitions,
            job_store=moving.job_store,
            fleet_view=fleet_view,
            placer=use_case.provisioner.placer,
            policies=registry,
            wall=time.time,
        ),
        watching.departures,
        watching.fleet,
        state.store_status,
        state.fleet_pairs,
        endpoint_of=fleet_view.endpoint_of,
        capacity_of=fleet_view.capacity_of,
        places_in=lambda unit: (
            fleet_view.capacity_of(unit) > 0 and unit in state.ledger.capacity.items
        ),
        wall=time.time,
    )
    tenants = build_tenants(state, use_case.assignments, quotas, callers, rng.random)
    policies = build_policies(
        settings, state, moving, use_case, registry, proofs, callers, rng.random
    )
    directory_service = DirectoryService(
        directory,
        fleet_view,
        callers,
        AccountWatches(
            watching.clients,
            directory.changes,
            directory.holdings,
            endpoint_of=fleet_view.endpoint_of,
        ),
        new_id=lambda: secrets.token_hex(16),
    )
    lookups = LookupCalls(directory.resolver, fleet_view, callers)
    claims = ClaimCalls(directory_service, callers)
    organisations = build_organisations(settings, state, directory, callers, rng.random)
    numbers = build_numbers(state, directory, callers)
    methods = access_of_services(SERVICES)
    counting = QuotaInterceptor(METHOD_QUOTAS, quotas, methods, access.control, proxies)
    auditing = build_auditing(
        StoreAuditLog(
            store,
            wall=time.time,
            new_id=new_entry_id,
            session=lambda: state.ledger.session.id,
        ),
        methods,
        {
            **audited_objects(fleet_service, tenants.service, provisioning_service),
            **directory_objects(directory_service, marked=cluster_set is None),
            **organisations.audited,
            **numbers.audited,
            **policy_objects(policies.service, policies.pins),
        },
        access.control,
        proxies,
        AuditRetention(age_s=settings.audit_keep_s, entries=settings.audit_keep_entries),
        wall_ms=lambda: int(time.time() * 1_000),
    )
    served = [
        provisioning_service.service(provisions),
        fleet_service.service(),
        tenants.service.service(),
        *policies.served(),
        directory_service.service(lookups.begin, claims.begin),
        auditing.service.service(),
        *organisations.services,
        *numbers.services,
    ]
    interceptors = [access.interceptor, counting, auditing.interceptor]
    server = Server(
        served,
        interceptors=interceptors,
        transport=settings.transport,
        tls=serving_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca),
        share_port=share_port,
        limits=settings.connection_limits(),
        proxies=proxies,
        tracer=tracer,
    )
    http = JsonServer(
        settings.http_listen,
        ROUTES,
        served,
        beside=server,
        interceptors=interceptors,
        allowed_origins=read_origins(settings.http_allow_origins),
        documents={OPENAPI: openapi()},
        lines=lambda methods: ClientLines(methods).answer,
        limits=settings.connection_limits(),
        proxies=proxies,
        share_port=share_port,
        tracer=tracer,
    )
    pages = build_pages(settings, state, directory, proxies, beside=server, share_port=share_port)
    loop_lag = EventLoopLag(clock=time.monotonic)
    return Services(
        server=server,
        http=http,
        pages=pages,
        loop_lag=loop_lag,
        lookups=lookups,
        claims=claims,
        provisions=provisions,
        organisations=organisations,
        policies=policies,
        watching=watching,
        access=access,
        issuers=issuers,
        audit=auditing.recorder,
        quotas=quotas,
        tenants=tenants,
        metrics=ProvisionerMetrics(
            use_case.provisioner,
            state.ledger,
            state.health,
            use_case.fallback,
            moving.mover,
            watching,
            state.store_status,
            state.keeper,
            policies_behind=state.policies.behind,
            damaged=lambda: (
                *(
                    key
                    for one in (*fleet_view.replicas, state.policies.replica, *state.ring.replicas)
                    for key in one.damaged_keys()
                ),
                *moving.damaged,
                *state.ledger.counts().damaged,
            ),
            ring=lambda: state.ring.ring,
        ),
        collectors=(
            LedgerMetrics(state.ledger),
            DirectoryMetrics(directory, pages.outcomes),
            organisations.collector,
            *policies.collectors,
            UnitMetrics(fleet_view, use_case.provisioner.placer, state.ledger),
            StoreMetrics(state.store_statistics),
            ServingMetrics(server),
            AuditMetrics(auditing.recorder),
            loop_lag,
            DiskMetrics(_databases(settings)),
            access,
            QuotaMetrics(quotas),
            *tenants.collectors,
        ),
    )


def _databases(settings: Settings) -> Mapping[str, Path]:
    """The embedded store, if that is what there is."""
    path = StoreUrl.parse(settings.store).path
    return {} if path is None else {"store": path}

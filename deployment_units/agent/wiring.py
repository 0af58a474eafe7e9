"""Builds the agents of one process, each in one pass, and runs them until told to stop.

The only module of the agent that knows every part.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from grpc import aio

from control_plane.fleet.unit import UnitSpec
from control_plane.fleet_messages import spec_to_proto
from control_plane.identity.admission import Admission, TicketVerifier
from control_plane.monitoring.event_loop import EventLoopLag
from control_plane.process import serving_tls
from control_plane.serving.connection_watch import ConnectionWatch
from control_plane.serving.dialing import FileDialer
from control_plane.serving.server import Server, Service, Transport
from control_plane.supervision import Supervisor
from control_plane.telemetry.endpoint import MetricsEndpoint
from deployment_units.agent.admitted import AdmittedHolds
from deployment_units.agent.capacity_limit import CapacityLimit
from deployment_units.agent.config_checks import specs_of
from deployment_units.agent.departures import record_departures
from deployment_units.agent.inviting import Inviting
from deployment_units.agent.keeping import UnitKeeping, Whereabouts, keeping
from deployment_units.agent.load import AdmittedClients
from deployment_units.agent.metrics import AgentMetrics
from deployment_units.agent.registration import Registration, UnitIdentity
from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.state import StateHandoff
from deployment_units.agent.telephony import UnitTelephony
from deployment_units.agent.transport import connector
from deployment_units.agent.unit_service import NAME, UnitService
from deployment_units.services.applications.agent import ApplicationAgent
from deployment_units.services.device_graph.service import DeviceService
from deployment_units.services.directory.client import DirectoryClient
from deployment_units.services.gateway.measures import OutboxMeasures
from deployment_units.services.identities.service import IdentityService
from deployment_units.services.web.server import WebServer
from homeport.api.unit.v1 import unit_pb2_grpc

if TYPE_CHECKING:
    from deployment_units.services.mail_in.smtp_server import SmtpServer
    from deployment_units.services.telephony.sip.call_server_process import CallServerProcess

DRAIN_S = 5.0
UNKNOWN_CAPACITY = 1_000_000  # clients, for a unit whose record an operator applies


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One unit's server and its registration with the control plane."""

    unit_id: str
    endpoint: str
    server: Server
    registration: Registration
    service: UnitService
    limit: CapacityLimit
    holds: AdmittedHolds
    keeping: UnitKeeping
    web: WebServer | None
    directory: DirectoryClient

    @property
    def applications(self) -> ApplicationAgent | None:
        """What it does for accounts of applications; None: it keeps no accounts."""
        return self.keeping.applications

    @property
    def devices(self) -> DeviceService | None:
        """Matches browsers with devices; None: it keeps no accounts."""
        return self.keeping.devices

    @property
    def identities(self) -> IdentityService | None:
        """Suggests as whom to write; None: it keeps no accounts."""
        return self.keeping.identities

    @property
    def inviting(self) -> Inviting | None:
        """Invites to groups; None: it keeps no accounts."""
        return self.keeping.inviting

    @property
    def calls(self) -> UnitTelephony | None:
        """Passes calls and texts on; None: it keeps no accounts."""
        return self.keeping.telephony

    @property
    def call_server(self) -> CallServerProcess | None:
        """Speaks SIP; None: nobody does."""
        return self.keeping.call_server

    @property
    def outbox(self) -> OutboxMeasures | None:
        """What is told of its deliveries; None: it keeps no accounts."""
        return self.keeping.outbox

    @property
    def smtp(self) -> SmtpServer | None:
        """Takes mail in; None: nobody does."""
        return None if self.keeping.mail is None else self.keeping.mail.server


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingUnits:
    """Where the units of a process can be reached, by id, by gRPC, by browsers, by mail and by SIP,
    and its metrics; empty: nowhere."""

    endpoints: dict[str, str]
    web: dict[str, str]
    mail: dict[str, str]
    sip: dict[str, str]
    metrics: str


def new_incarnation(now: float, random_hex: str) -> str:
    """An id of this run that sorts after earlier ones; `now` in Unix seconds."""
    return f"{int(now * 1000):013x}-{random_hex}"


async def run_agents(
    settings: AgentSettings, *, stop: asyncio.Event, on_ready: Callable[[ServingUnits], None]
) -> None:
    """Serves until `stop`. `on_ready` once all are registered, without those that an operator
    removed: those wait for their return. Raises what ends a registration,
    grpc.aio.AioRpcError; no server is left running then. Whatever else a registration raises is
    the supervisor's business."""
    rng = random.Random(secrets.randbits(64))
    ended = asyncio.Event()
    supervisor = Supervisor(clock=time.monotonic, jitter=rng.random, on_end=ended.set)
    specs = specs_of(settings)
    watch = ConnectionWatch()
    connect = connector(settings)
    transport = transport_of(len(specs))
    agents = [build_agent(settings, spec, watch, connect, transport) for spec in specs]
    metrics = AgentMetrics(agents, lambda: _certificates(agents, connect))
    loop_lag = EventLoopLag(clock=time.monotonic)
    try:
        with MetricsEndpoint(
            settings.metrics_listen, metrics, supervisor, loop_lag, ready=metrics.readiness
        ) as endpoint:

            def ready(endpoints: dict[str, str]) -> None:
                web = {one.unit_id: one.web.address for one in agents if one.web is not None}
                kept = {one.unit_id: one.keeping.mail for one in agents}
                mail = {unit: one.address for unit, one in kept.items() if one is not None}
                called = {one.unit_id: one.keeping.call_server for one in agents}
                sip = {unit: one.shown for unit, one in called.items() if one is not None}
                on_ready(
                    ServingUnits(
                        endpoints=endpoints, web=web, mail=mail, sip=sip, metrics=endpoint.address
                    )
                )

            await _run(agents, stop, ended, ready, supervisor, loop_lag)
        supervisor.raise_if_ended()
    finally:
        await asyncio.gather(*(one.web.stop() for one in agents if one.web is not None))
        await asyncio.gather(*(agent.server.stop(DRAIN_S) for agent in agents))
        await asyncio.gather(*(agent.keeping.close() for agent in agents))
        await asyncio.gather(*(agent.directory.close() for agent in agents))


async def _run(
    agents: Sequence[Agent],
    stop: asyncio.Event,
    ended: asyncio.Event,
    on_ready: Callable[[dict[str, str]], None],
    supervisor: Supervisor,
    loop_lag: EventLoopLag,
) -> None:
    """Serves and registers until `stop` or `ended`, then lets the registrations say goodbye."""
    async with asyncio.TaskGroup() as group:
        for agent in agents:
            await agent.server.start()
            if agent.web is not None:
                await agent.web.start()
            if agent.keeping.mail is not None:
                await agent.keeping.mail.start()
            if agent.keeping.call_server is not None:
                await agent.keeping.call_server.start()
            await agent.server.ready()
        tasks = [
            group.create_task(
                supervisor.keep(
                    f"agent {agent.unit_id}", agent.registration.run, ends_on=(aio.AioRpcError,)
                )
            )
            for agent in agents
        ]
        announce = group.create_task(_announce(agents, on_ready), name="agents ready")
        background = [
            group.create_task(supervisor.keep(name, work))
            for name, work in [
                ("event loop lag", loop_lag.run),
                *((name, work) for agent in agents for name, work in agent.keeping.tasks.items()),
            ]
        ]
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        for task in (announce, *background):
            task.cancel()
        for agent in agents:
            agent.registration.leave()
        await asyncio.wait(tasks, timeout=DRAIN_S)
        for task in tasks:
            task.cancel()


def transport_of(units: int) -> Transport:
    """What serves the units of one process: the fastest there is for one. Each server of the native
    transport has threads of its own, which would be too many."""
    return Transport.AUTO if units == 1 else Transport.GRPCIO


def build_agent(
    settings: AgentSettings,
    spec: UnitSpec | None,
    watch: ConnectionWatch | None = None,
    connect: FileDialer | None = None,
    transport: Transport = Transport.GRPCIO,
) -> Agent:
    """One agent, listening but not serving yet. connect: to the control plane; transport: of the
    unit's own server. Raises InvalidInput for its address; Unavailable when its state folder cannot
    be used."""
    unit_id = spec.id if spec is not None else settings.unit
    tenants = spec.tenants if spec is not None else _listed(settings.tenants)
    verifier = TicketVerifier(unit_id, tenants=tenants)
    capacity = spec.capacity if spec is not None else UNKNOWN_CAPACITY
    load = AdmittedClients(capacity, clock=time.monotonic)
    whereabouts = Whereabouts(verifier)
    dial = connect or connector(settings)
    servers = _listed(settings.server)
    directory = DirectoryClient(
        unit_id, servers, dial, connect_apart=dial.apart, token=settings.token
    )
    rng = random.Random(secrets.randbits(64))
    kept = keeping(settings, unit_id, verifier, whereabouts, directory, dial, jitter=rng.random)
    handoff = StateHandoff(
        unit_id, verifier, kept.state, wall=time.time, max_bytes=settings.max_state_bytes
    )
    holds = AdmittedHolds()
    limit = CapacityLimit(
        spec.capacity if spec is not None else None, margin=settings.capacity_margin
    )

    def admitted(admission: Admission) -> None:
        load.record(admission.tenant, admission.client_id)
        if admission.held:
            holds.add(admission.tenant, admission.client_id, admission.epoch)

    servicer = UnitService(verifier, handoff, limit, wall=time.time, on_admitted=admitted)
    service = Service(
        add=unit_pb2_grpc.add_UnitServiceServicer_to_server, servicer=servicer, name=NAME, hot={}
    )
    server = Server(
        [service, *kept.services],
        transport=transport,
        tls=serving_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca),
        limits=settings.connection_limits(),
        watch=watch,
    )
    web = None
    if settings.http_listen and kept.callers is not None:
        web = WebServer(
            unit_id, settings.http_listen, kept.services, kept.callers,
            beside=server, limits=settings.connection_limits(), confirmations=kept.confirmations,
            messages=kept.message_pages, observer=kept.stamps,
        )  # fmt: skip
    host = settings.listen.rpartition(":")[0]
    endpoint = f"{host}:{server.bind(settings.listen)}"
    registration = Registration(
        UnitIdentity(
            unit_id=unit_id,
            incarnation=new_incarnation(time.time(), secrets.token_hex(4)),
            version=version("homeport-server"),
            ttl_s=settings.ttl_s,
            spec=spec,
            # What --listen says of one unit is its own affair: something may stand before it.
            endpoint=endpoint if spec is not None and not settings.keep_endpoints else "",
        ),
        servers,
        verifier,
        load,
        holds,
        limit,
        token=settings.token,
        jitter=rng.random,
        spec_to_proto=spec_to_proto,
        connect=dial,
        secured=settings.ca is not None,
        on_departures=partial(record_departures, verifier.departures, limit, wall=time.time),
        wall=time.time,
    )
    whereabouts.registration = registration
    return Agent(
        unit_id=unit_id, endpoint=endpoint, server=server, registration=registration,
        service=servicer, limit=limit, holds=holds, keeping=kept, web=web,
        directory=directory,
    )  # fmt: skip


def _certificates(agents: Sequence[Agent], connect: FileDialer) -> dict[str, bytes | None]:
    """What the files say now that all units of the process have in common."""
    found = {"client": connect.certificate()}
    if agents and (tls := agents[0].server.tls) is not None:
        current = tls.latest()
        found |= {"server": current.certificate, "client_ca": current.client_ca}
    return found


def _listed(text: str) -> tuple[str, ...]:
    """What stands between commas; spaces around it mean nothing."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


async def _announce(agents: Sequence[Agent], on_ready: Callable[[dict[str, str]], None]) -> None:
    for agent in agents:
        await agent.registration.settled.wait()
    on_ready({agent.unit_id: agent.endpoint for agent in agents if not agent.registration.removed})

"""The use case of provisioning, real from the request to the store, without a server around it."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import cache

from control_plane.errors import ServiceError
from control_plane.fleet.registry import UnitRegistry
from control_plane.fleet.unit import DEFAULT_TENANT, TenantSpec, UnitSpec
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from control_plane.identity.waiting_tokens import WaitingTokens
from control_plane.store.port import Health, Store
from provisioner.fleet_view import FleetView
from provisioner.geo.database import GeoDatabase
from provisioner.geo.locator import Locator
from provisioner.geo.reloading import GeoReloader
from provisioner.ledger.single_store import single_store_ledger
from provisioner.placement.attributes import NO_ATTRIBUTES, Attributes
from provisioner.placement.filters import CurrentPolicies, PlacementPolicy
from provisioner.placement_hooks.hooked_policies import HookedPolicies
from provisioner.provisioning.admission_control import MAX_WAITING, AdmissionController
from provisioner.provisioning.answers import Answers
from provisioner.provisioning.assignments import Assignments
from provisioner.provisioning.attribute_updates import AttributeUpdates
from provisioner.provisioning.hook_waits import HookWaits
from provisioner.provisioning.key_binding import RecordStore
from provisioner.provisioning.placer import Placer
from provisioner.provisioning.provisioner import Provisioner
from provisioner.provisioning.single import SingleProvision, Sink, waiting_since
from provisioner.provisioning.ticket_fallback import TicketFallback
from provisioner.provisioning.ticket_signer import TicketSigner
from tests.support.supervision import FailFast

IN_IRELAND = "81.2.69.142"  # an address that the bundled database locates
_names = itertools.count()


class AwaitedSink:
    """Where the answer to one client can be awaited. Answering twice fails."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes | ServiceError]
        self.answer = asyncio.get_running_loop().create_future()

    def reply(self, response: bytes) -> None:
        self.answer.set_result(response)

    def fail(self, error: ServiceError) -> None:
        self.answer.set_result(error)


@cache
def bundled_database() -> GeoDatabase:
    """Read once: it never changes, and each reading takes half a second."""
    return GeoDatabase.open()


class ProvisioningHarness:
    """Every part of the use case over one store; `ledger.run` is a task of `provisioning`."""

    def __init__(
        self,
        store: Store,
        fleet_view: FleetView,
        signers: ThreadPoolExecutor,
        *,
        most_waiting: int = MAX_WAITING,
        hooked: HookedPolicies | None = None,
        policies: CurrentPolicies | None = None,
    ) -> None:
        rng = random.Random(3)
        self.store = store
        self.fleet_view = fleet_view
        self.ledger = single_store_ledger(
            store,
            clock=time.monotonic,
            jitter=lambda: 0.1,
            new_id=lambda: f"p-{next(_names)}",
            supervisor=FailFast(),
        )
        self.issuer = TicketIssuer(KeyRing(epochs=(new_epoch(1, now=0.0, random=os.urandom),)))
        self.tickets = TicketSigner(self.issuer, wall=time.time, signers=signers)
        self.locator = Locator(GeoReloader(None, bundled_database()), None)
        self.placer = Placer(
            fleet_view,
            self.ledger,
            hooked or policies or PlacementPolicy(nowhere="spread"),
            jitter=rng.random,
            waiting=WaitingTokens(self.issuer),
            hooks=hooked,
        )
        self.answers = Answers(fleet_view, self.tickets)
        self.admission = AdmissionController(jitter=rng.random)
        self.assignments = Assignments(
            self.ledger,
            lease=lambda _: store.lease_grant(3600),
            clock=time.monotonic,
            wall=time.time,
        )
        self.updates = AttributeUpdates(lambda key: RecordStore(store), clock=time.monotonic)
        self.provisioner = Provisioner(
            fleet_view=fleet_view,
            locator=self.locator,
            ledger=self.ledger,
            placer=self.placer,
            answers=self.answers,
            admission=self.admission,
            move_on_contact=None,
            hook_waits=HookWaits(fleet_view, self.ledger, hooked) if hooked else None,
            most_waiting=most_waiting,
            updates=self.updates,
            clock=time.monotonic,
            wall=time.time,
        )
        self.fallback = TicketFallback(
            fleet_view,
            self.issuer,
            self.answers,
            Health(connected=True),
            grace_s=60,
            wall=time.time,
        )

    async def ask(
        self,
        client_id: str,
        *,
        tenant: TenantSpec = DEFAULT_TENANT,
        attributes: Attributes = NO_ATTRIBUTES,
        waits_since_ms: int = 0,
    ) -> bytes | ServiceError:
        """The answer to one client."""
        sink = AwaitedSink()
        self.begin(
            client_id, sink, tenant=tenant, attributes=attributes, waits_since_ms=waits_since_ms
        )
        return await sink.answer

    def begin(
        self,
        client_id: str,
        sink: Sink,
        *,
        tenant: TenantSpec = DEFAULT_TENANT,
        attributes: Attributes = NO_ATTRIBUTES,
        waits_since_ms: int = 0,
    ) -> None:
        """One client asks; attributes: that are told of it; waits_since_ms: for room."""
        kind: Callable[..., SingleProvision] = SingleProvision
        if waits_since_ms:
            kind = waiting_since(kind, waits_since_ms)
        try:
            self.provisioner.provision(
                tenant, client_id, IN_IRELAND, None, sink, attributes=attributes, kind=kind
            )
        except ServiceError as error:
            sink.fail(error)


@asynccontextmanager
async def provisioning(
    store: Store,
    units: Iterable[UnitSpec],
    *,
    most_waiting: int = MAX_WAITING,
    hooked: HookedPolicies | None = None,
    policies: CurrentPolicies | None = None,
) -> AsyncIterator[ProvisioningHarness]:
    """A harness at work over a fleet of these units. The store is the caller's."""
    registry = UnitRegistry(store, clock=time.monotonic, wall=time.time)
    for spec in units:
        await registry.apply(spec)
    fleet_view = FleetView(store, clock=time.monotonic)
    await fleet_view.start()
    with ThreadPoolExecutor(1) as signers:
        harness = ProvisioningHarness(
            store,
            fleet_view,
            signers,
            most_waiting=most_waiting,
            hooked=hooked,
            policies=policies,
        )
        await harness.ledger.start()
        running = [
            asyncio.create_task(work()) for work in (harness.ledger.run, harness.updates.run)
        ]
        await asyncio.sleep(0)  # its tasks are begun: it can ask for slots
        yield harness
        for task in running:
            task.cancel()
        for task in running:
            with suppress(asyncio.CancelledError):
                await task

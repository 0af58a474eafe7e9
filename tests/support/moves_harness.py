"""MovesHarness: everything that moves clients, put together as `provisioner.wiring.server`
does, over a real embedded store in one process, for tests that go step by step."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from control_plane import keys
from control_plane.fleet.capacity import decode_capacity, encode_capacity
from control_plane.fleet.lifecycle import Event, LossPolicy
from control_plane.fleet.move_job import MoveJob
from control_plane.fleet.records import decode_job, encode_tenant
from control_plane.fleet.registry import UnitRegistry
from control_plane.fleet.transitions import TransitionRequest, Transitions
from control_plane.fleet.unit import TenantSpec
from control_plane.handoff.orders import OrderIssuer
from control_plane.identity.keyring import load_or_create
from control_plane.identity.tickets import TicketIssuer
from control_plane.store.port import Put, Store, Txn
from provisioner.fleet_view import FleetView
from provisioner.geo.location import Location
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.ledger.departure import decode_departure
from provisioner.ledger.departure_lease import DepartureLease
from provisioner.ledger.single_store import single_store_ledger
from provisioner.moves.dialing import unit_dialer
from provisioner.moves.executor import Executor
from provisioner.moves.handoff import Handoff
from provisioner.moves.job_store import JobStore
from provisioner.moves.mover import Mover
from provisioner.placement.filters import PlacementPolicy, Stamp
from provisioner.placement_hooks.asked_hook import AskedHook
from provisioner.placement_hooks.hooked_policies import HookedPolicies
from provisioner.settings import Settings
from tests.support.servers import units
from tests.support.supervision import FailFast

DUBLIN_CELL = "IE:53.3,-6.3~20"
WAIT_S = 30.0
NO_HOOKS: Mapping[str, AskedHook] = MappingProxyType({})
_names = itertools.count()


class MovesHarness:
    """One provisioner's part in moves. `endpoints`: where units answer, beside their specs;
    `policy`: what its clients are placed by, may be set at any time."""

    def __init__(
        self,
        store: Any,
        issuer: TicketIssuer,
        hooks: Mapping[str, AskedHook] = NO_HOOKS,
        **of_executor: Any,
    ) -> None:
        self.policy = PlacementPolicy()
        self.hooked = HookedPolicies(self, hooks, supervisor=FailFast(), clock=time.monotonic)
        self.store = store
        self.issuer = issuer
        self.endpoints: dict[str, str] = {}
        self.registry = UnitRegistry(store, clock=time.monotonic, wall=time.time)
        self.transitions = Transitions(
            store, self.registry, wall=time.time, loss_policy=LossPolicy(), rate_per_s=1e6
        )
        self.fleet_view = FleetView(store, clock=time.monotonic)
        departures = DepartureLease(
            store, longest_ticket_s=self.fleet_view.longest_ticket_s, clock=time.monotonic
        )
        self.mover = Mover(
            store,
            new_ledger=lambda: single_store_ledger(
                store,
                clock=time.monotonic,
                jitter=lambda: 0.0,
                new_id=lambda: f"m{next(_names)}",
                supervisor=FailFast(),
                queues=1,
            ),
            policies=self.hooked,
            hooks=self.hooked,
            fleet=self.fleet_view.fleet,
            endpoint=self._endpoint,
            lease=lambda client: departures.current(),
            handoff=Handoff(OrderIssuer(issuer), connect=unit_dialer(Settings()), wall=time.time),
            supervisor=FailFast(),
            clock=time.monotonic,
            wall=time.time,
        )
        self.fleet_view.subscribe(self.mover.follow)
        self.job_store = JobStore(store, wall=time.time)
        self.executor = Executor(
            store,
            store,
            job_store=self.job_store,
            mover=self.mover,
            fleet_view=self.fleet_view,
            registry=self.registry,
            transitions=self.transitions,
            supervisor=FailFast(),
            clock=time.monotonic,
            wall=time.time,
            jitter=lambda: 0.0,
            **of_executor,
        )

    # -- as a PolicySource -------------------------------------------------------------

    @property
    def default(self) -> PlacementPolicy:
        return self.policy

    def of(self, tenant: str, location: Location, client_key: bytes) -> PlacementPolicy:
        return self.policy

    def revision_of(self, tenant: str) -> int:
        return self.policy.revision

    def stamp_of(self, tenant: str) -> Stamp:
        return self.policy.revision, 0

    def _endpoint(self, unit: str) -> str:
        spec = self.fleet_view.seen(unit)
        return self.endpoints.get(unit) or (spec.endpoint if spec is not None else "")

    async def make(self, unit: str, event: Event, **terms: Any) -> MoveJob | None:
        done = await self.transitions.apply(unit, TransitionRequest(event=event, **terms))
        await self.fleet_view.wait_for_units(done.view.revision)
        return done.job

    async def job(self, name: str) -> MoveJob:
        pair = await self.store.get(keys.job(name))
        assert pair is not None, f"there is no job {name}"
        return decode_job(pair)

    async def ended(self, name: str) -> MoveJob:
        """The job, once it has ended."""
        return await until(lambda: self.job(name), lambda job: not job.is_open, name)

    async def homes(self) -> dict[str, AssignmentRecord]:
        """Assignments by client."""
        page = await self.store.range(keys.ASSIGNMENTS)
        return {p.key.decode().rpartition("/")[2]: decode_assignment(p.value) for p in page.items}

    async def counts(self) -> dict[str, int]:
        """Clients by unit, where there are any; held to what the ledgers say."""
        counted = Counter(record.unit for record in (await self.homes()).values())
        views, _ = await self.registry.list()
        assert {v.spec.id: v.clients for v in views if v.clients} == counted
        return dict(counted)

    async def departures(self) -> dict[str, tuple[str, str, str, int]]:
        """By client: (left, for, cause, epoch)."""
        told = {}
        for pair in (await self.store.range(keys.MOVES)).items:
            unit, _, client = pair.key[len(keys.MOVES) :].decode().split("/")
            record = decode_departure(pair.value)
            assert pair.lease
            told[client] = (unit, record.unit, record.cause, record.epoch)
        return told


async def until(read: Callable[[], Any], good: Callable[[Any], bool], what: str) -> Any:
    """What is read, once it is good."""
    async with asyncio.timeout(WAIT_S):
        while not good(found := await read()):  # noqa: ASYNC110 - it is the store that changes
            await asyncio.sleep(0.01)
    return found


async def fleet(store: Store, **capacities: int) -> None:
    """Units without agents."""
    registry = UnitRegistry(store, clock=time.monotonic, wall=time.time)
    for spec in units(**capacities):
        await registry.apply(spec)


async def tenant(store: Store, name: str = "t", **terms: Any) -> None:
    spec = TenantSpec(id=name, **terms)
    await store.commit(Txn(then=[Put(keys.tenant(name), encode_tenant(spec))]))


async def settle_in(
    store: Store, unit: str, *clients: str, cell: str = DUBLIN_CELL, home: str = ""
) -> None:
    """Clients of tenant t that live at the unit, as if their provisioner had settled."""
    for start in range(0, len(clients), 100):
        part = clients[start : start + 100]
        pair = await store.get(keys.capacity(unit))
        assert pair is not None
        record = decode_capacity(pair.value)
        record = replace(record, settled=record.settled + len(part))
        value = encode_assignment(unit, 1, 1_000, cell, 0, home)
        await store.commit(
            Txn(
                then=[
                    Put(keys.capacity(unit), encode_capacity(record)),
                    *(Put(keys.assignment("t", client), value) for client in part),
                ]
            )
        )


@asynccontextmanager
async def at_work(
    store: Any, *, executing: bool = True, **of_executor: Any
) -> AsyncIterator[MovesHarness]:
    """A harness whose tasks run."""
    ring = await load_or_create(store, path=None, now=time.time(), random=lambda n: b"k" * n)
    harness = MovesHarness(store, TicketIssuer(ring), **of_executor)
    await harness.fleet_view.start()
    await harness.job_store.start()
    running = [harness.fleet_view.run(), harness.job_store.run(), harness.mover.run()]
    running.append(harness.hooked.run())
    if executing:
        running.append(harness.executor.run())
    tasks = [asyncio.create_task(one) for one in running]
    await asyncio.sleep(0)
    try:
        yield harness
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await harness.mover.close()

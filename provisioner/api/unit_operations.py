"""UnitOperations: what operators do to units and to the jobs that move clients.

The use cases behind FleetService: a call is checked, decided on one snapshot, and written by
`Transitions` or `JobStore` with compares on all of it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from control_plane import keys
from control_plane.errors import Conflict, InvalidInput, NotFound, Refused
from control_plane.fleet.lifecycle import Event
from control_plane.fleet.move_job import JobKind, JobState, MoveJob, job_id
from control_plane.fleet.registry import UnitRegistry
from control_plane.fleet.transitions import ATTEMPTS, GuardFailed, TransitionRequest, Transitions
from control_plane.fleet.unit_view import UnitView, changed_since
from control_plane.identity.names import check_slug
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import Compare, KeyValue, Store, range_all, unchanged
from provisioner.api.resumed_jobs import resumed_by
from provisioner.applied_policies.registry import PolicyRegistry
from provisioner.fleet_view import FleetView
from provisioner.ledger.assignment import decode_assignment, split_key
from provisioner.ledger.client_keys import ClientKeys
from provisioner.moves.job_store import JobStore
from provisioner.moves.plan import MovePlan, MoveStrategy, Planner, Resident, left_without, without
from provisioner.placement.fleet import PlacementFleet
from provisioner.provisioning.placer import Placer

PAGE = 2_000
SLICE = 100  # clients planned before other calls get a turn
MOST_LOOKED_AT = 20_000  # clients in one call that lists a unit's
DEFAULT_PAGE, MAX_PAGE = 500, 1_000  # clients
MAX_TOKEN = 256
MAX_JOB_ID = 120
MOST_WITNESSES = 50  # two compares each, of a transaction's 128
BOUND_SHARE = 10  # a rebalance moves at most one in so many, where nobody says otherwise


class UnitClient(NamedTuple):
    """A client that lives at a unit."""

    tenant: str
    client_id: str
    epoch: int


class ClientPage(NamedTuple):
    """Some clients of a unit. next_token: to go on after them; empty: there are no more."""

    clients: Sequence[UnitClient]
    next_token: str


class UnitOperations:
    """One per server. wall: Unix seconds."""

    def __init__(
        self,
        store: Store,
        clients: ClientKeys,
        *,
        registry: UnitRegistry,
        transitions: Transitions,
        job_store: JobStore,
        fleet_view: FleetView,
        placer: Placer,
        policies: PolicyRegistry,
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._clients = clients
        self._registry = registry
        self._transitions = transitions
        self._job_store = job_store
        self._fleet_view = fleet_view
        self._placer = placer
        self._policies = policies
        self._wall = wall

    def job_of(self, view: UnitView) -> MoveJob | None:
        """The open job that moves clients off a unit."""
        for kind in (JobKind.DRAIN, JobKind.FAILOVER):
            seen = self._job_store.jobs.get(job_id(kind, view.spec.id))
            if seen is not None and seen[0].is_open:
                return seen[0]
        return None

    async def cordon(self, unit_id: str, *, revision: int, dry_run: bool) -> UnitView:
        """Raises NotFound, Conflict."""
        if dry_run:
            return await self._checked(unit_id, revision)
        wanted = TransitionRequest(event=Event.CORDON, expected_revision=revision)
        return (await self._make(unit_id, wanted))[0]

    async def undrain(self, unit_id: str, *, revision: int, dry_run: bool) -> UnitView:
        """Raises NotFound, Conflict."""
        if dry_run:
            return await self._checked(unit_id, revision)
        wanted = TransitionRequest(
            event=Event.UNDRAIN,
            expected_revision=revision,
            return_home=self._fleet_view.brings_home(),
        )
        return (await self._make(unit_id, wanted))[0]

    async def drain(
        self, unit_id: str, *, revision: int, rate_per_s: float
    ) -> tuple[UnitView, MoveJob | None]:
        """The unit and the job that empties it; the last one, where nobody is left to move.
        Raises NotFound, Conflict, Refused."""
        check_rate(rate_per_s)
        for tries_left in reversed(range(ATTEMPTS)):
            wanted = TransitionRequest(
                event=Event.DRAIN,
                expected_revision=revision,
                rate_per_s=rate_per_s,
                guards=await self._others_can_serve(unit_id),
            )
            try:
                view, job = await self._make(unit_id, wanted)
                break
            except GuardFailed:  # another unit has changed: whether it can serve is asked again
                if not tries_left:
                    raise
        if job is None:
            seen = self._job_store.jobs.get(job_id(JobKind.DRAIN, unit_id))
            job = seen[0] if seen is not None else None
        return view, job

    async def plan_drain(self, unit_id: str, *, revision: int) -> tuple[UnitView, MovePlan]:
        """Where the unit's clients would go. Changes nothing. Raises NotFound, Conflict,
        Refused."""
        view = await self._checked(unit_id, revision)
        await self._others_can_serve(unit_id)
        fleet = without(self._placer.fleet, unit_id, "it is being drained")
        return view, await self._plan(fleet, MoveStrategy.PLACE, unit_id=unit_id, bound=None)

    async def remove(self, unit_id: str, *, revision: int, dry_run: bool) -> None:
        """Raises NotFound, Conflict, Refused."""
        await self._registry.remove(unit_id, expected_revision=revision, dry_run=dry_run)

    async def plan_rebalance(self, *, max_moves: int) -> MovePlan:
        """Who would move where. Changes nothing."""
        bound = max_moves or await self._bound()
        return await self._plan(self._placer.fleet, MoveStrategy.BETTER, unit_id="", bound=bound)

    async def rebalance(self, *, max_moves: int, rate_per_s: float) -> MoveJob:
        """Raises Conflict while one is under way."""
        check_rate(rate_per_s)
        return await self._job_store.create(
            MoveJob(
                id=job_id(JobKind.REBALANCE),
                kind=JobKind.REBALANCE,
                rate_per_s=rate_per_s or self._transitions.rate_per_s,
                max_moves=max_moves or await self._bound(),
                start_ms=int(self._wall() * 1000),
            )
        )

    async def clients_of(self, unit_id: str, *, page_size: int, page_token: str) -> ClientPage:
        """Clients of a unit, by tenant and id. Looks at MOST_LOOKED_AT clients of all units at
        most; a page may be short, or empty, and not the last. Raises NotFound, InvalidInput."""
        size = page_size or DEFAULT_PAGE
        if not 1 <= size <= MAX_PAGE:
            raise InvalidInput("page_size", f"page_size is {size}; it must be 1 to {MAX_PAGE:,}")
        if len(page_token) > MAX_TOKEN or not page_token.isprintable():
            raise InvalidInput("page_token", "page_token is none that a page before brought")
        await self._registry.get(unit_id)
        after = keys.ASSIGNMENTS + page_token.encode() if page_token else None
        found: list[UnitClient] = []
        for _ in range(MOST_LOOKED_AT // PAGE):
            page = await self._clients.range(keys.ASSIGNMENTS, start_after=after, limit=PAGE)
            for pair in page.items:
                after = pair.key
                client = _client_at(pair, unit_id)
                if client is not None:
                    found.append(client)
                    if len(found) == size:
                        return ClientPage(found, keys.cursor(after, keys.ASSIGNMENTS))
            if not page.more:
                return ClientPage(found, "")
        return ClientPage(found, keys.cursor(after, keys.ASSIGNMENTS) if after else "")

    async def jobs(self, *, with_ended: bool, tenant: str = "") -> Sequence[MoveJob]:
        """Newest first. tenant: of its policy alone; empty: all. Raises InvalidInput."""
        if tenant:
            check_slug(tenant, "tenant")
        return await self._job_store.list(with_ended=with_ended, tenant=tenant)

    async def control(
        self,
        job: str,
        *,
        state: JobState | None,
        rate_per_s: float,
        policy_version: int = 0,
        tenant: str = "",
    ) -> MoveJob:
        """policy_version: of its tenant's policy, by which a job of a policy goes on; 0: as before.
        tenant: whose policy's job it has to be; empty: any. Raises InvalidInput, NotFound, Refused,
        Conflict."""
        if not job or len(job) > MAX_JOB_ID or not job.isprintable():
            raise InvalidInput("job_id", "job_id is empty or no job's; `homeport moves list`")
        if tenant:
            check_slug(tenant, "tenant")
        check_rate(rate_per_s)
        version: int = 0
        guards: Sequence[Compare] = ()
        if state is JobState.RUNNING or policy_version:
            stands, _ = await self._job_store.get(job, tenant)
            version, guards = await resumed_by(self._policies, stands, policy_version)
        return await self._job_store.control(
            job,
            state=state,
            rate_per_s=rate_per_s or None,
            policy_version=version,
            tenant=tenant,
            guards=guards,
        )

    # -- how ---------------------------------------------------------------------------

    async def _make(
        self, unit_id: str, wanted: TransitionRequest
    ) -> tuple[UnitView, MoveJob | None]:
        done = await self._transitions.apply(unit_id, wanted)
        await self._fleet_view.wait_for_units(done.view.revision)
        return done.view, done.job

    async def _checked(self, unit_id: str, revision: int) -> UnitView:
        view = await self._registry.get(unit_id)
        if revision and view.revision != revision:
            raise changed_since(unit_id, revision)
        return view

    async def _others_can_serve(self, unit_id: str) -> list[Compare]:
        """That somebody else can take every tenant's clients; what this stands on, as compares
        for the transaction that counts on it. Raises Refused."""
        # Revisions before the snapshot that is decided on: a later change fails the compare.
        units = await range_all(self._store, keys.UNITS, keys_only=True)
        states = await range_all(
            self._store, keys.LIFECYCLE, keys_only=True, at_revision=units.revision
        )
        revisions = {pair.key: pair.mod_revision for pair in (*units.items, *states.items)}
        if keys.unit(unit_id) not in revisions:
            raise NotFound(f"there is no unit {unit_id}")
        await self._fleet_view.wait_for_units(
            max((pair.mod_revision for pair in states.items), default=0),
            max(pair.mod_revision for pair in units.items),
        )
        fleet = self._placer.fleet
        known = {unit.id for unit in fleet.units}
        tenants = {"default", *self._fleet_view.tenants}
        leaving = self._fleet_view.units.get(unit_id)
        tenants.update(leaving.tenants if leaving is not None else ())
        tenant, witnesses = left_without(fleet, unit_id, tenants)
        if tenant:
            raise Refused(
                f"unit {unit_id} is the last one that takes clients of tenant {tenant} "
                "everywhere it does; add another, or `homeport units undrain` one, first"
            )
        unread = [unit for unit in witnesses if keys.unit(unit) not in revisions]
        if unit_id not in known or unread or len(witnesses) > MOST_WITNESSES:
            raise Conflict("the fleet is changing under this request; try again")
        return [
            unchanged(key(unit), revisions.get(key(unit), 0))
            for unit in witnesses
            for key in (keys.unit, keys.lifecycle)
        ]

    async def _bound(self) -> int:
        views, _ = await self._registry.list()
        return max(1, sum(view.clients for view in views) // BOUND_SHARE)

    async def _plan(
        self, fleet: PlacementFleet, strategy: MoveStrategy, *, unit_id: str, bound: int | None
    ) -> MovePlan:
        occupancy, units = self._placer.occupancy, self._fleet_view.units
        planner = Planner(
            fleet,
            self._placer.policies,
            room=list(occupancy.room),
            load=list(occupancy.load),
            capacity=[units[unit.id].capacity if unit.id in units else 1 for unit in fleet.units],
            strategy=strategy,
            bound=bound,
        )
        after: bytes | None = None
        while True:
            page = await self._clients.range(keys.ASSIGNMENTS, start_after=after, limit=PAGE)
            for start in range(0, len(page.items), SLICE):
                pairs = page.items[start : start + SLICE]
                residents = [who for who in map(resident_of, pairs) if who is not None]
                planner.add(who for who in residents if not unit_id or who.unit == unit_id)
                await asyncio.sleep(0)
            if not page.more:
                return planner.plan()
            after = page.items[-1].key


def resident_of(pair: KeyValue) -> Resident | None:
    """Of an assignment; None: it is damaged."""
    try:
        record = decode_assignment(pair.value)
        tenant, _ = split_key(pair.key)
    except UNREADABLE:
        return None  # damaged: nobody can move it
    source = record.location.source
    return Resident(
        record.placed_by(pair.key), tenant, record.unit, record.cell, source, record.sub
    )


def _client_at(pair: KeyValue, unit_id: str) -> UnitClient | None:
    """The client of an assignment, where it lives at the unit."""
    try:
        record = decode_assignment(pair.value)
        tenant, client_id = split_key(pair.key)
    except UNREADABLE:
        return None
    return UnitClient(tenant, client_id, record.epoch) if record.unit == unit_id else None


def check_rate(rate_per_s: float) -> float:
    """0 for the default, or clients per second."""
    if not (math.isfinite(rate_per_s) and rate_per_s >= 0.0) or 0.0 < rate_per_s < 0.01:
        raise InvalidInput(
            "rate_per_s",
            f"rate_per_s is {rate_per_s:g}; give clients per second, at least 0.01, or 0 for the "
            "server's default",
        )
    return rate_per_s

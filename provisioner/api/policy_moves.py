"""PolicyMoves: jobs that bring a tenant's clients where one version of its policy places them.

Each is made of a plan, from which unit to which how many, and of the version that is in force: the
transaction that writes it compares that. It moves while that version is in force, nobody beyond the
plan and nobody twice; another job brings back those whom it moved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from control_plane import keys
from control_plane.errors import Conflict, InvalidInput, Refused
from control_plane.fleet.move_job import JobKind, JobState, MoveJob, Way, policy_job_id
from control_plane.printable import quoted
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import Compare, KeyValue
from provisioner.api.unit_operations import PAGE, SLICE, check_rate, resident_of
from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.applied_policies.registry import KEPT_VERSIONS, PolicyRegistry
from provisioner.fleet_view import FleetView
from provisioner.ledger.assignment import decode_assignment
from provisioner.ledger.client_keys import ClientKeys
from provisioner.moves.job_store import JobStore
from provisioner.moves.plan import MovePlan, MoveStrategy, Planner
from provisioner.moves.ways import MOST_WAYS
from provisioner.provisioning.placer import Placer

MOST_CLIENTS = 1 << 40  # of one way
OF_POLICIES = frozenset({JobKind.POLICY, JobKind.MOVE_BACK})


class PolicyMoves:
    """One per server. rate_per_s: where nobody says another; wall: Unix seconds."""

    def __init__(
        self,
        clients: ClientKeys,
        *,
        registry: PolicyRegistry,
        followed: FollowedPolicies,
        job_store: JobStore,
        fleet_view: FleetView,
        placer: Placer,
        rate_per_s: float,
        wall: Callable[[], float],
    ) -> None:
        self._clients = clients
        self._registry = registry
        self._followed = followed
        self._job_store = job_store
        self._fleet_view = fleet_view
        self._placer = placer
        self._rate_per_s = rate_per_s
        self._wall = wall

    async def plan(self, tenant: str, version: int) -> tuple[int, MovePlan]:
        """The version in force, and who would move by it, were they to move now. Changes nothing.
        Raises Conflict, Refused."""
        stands, _ = await self._in_force(tenant, version)
        return stands, await self._plan(tenant, stands)

    async def move(
        self, tenant: str, version: int, ways: Sequence[Way], rate_per_s: float
    ) -> MoveJob:
        """A job of this plan; of none: as `plan` has it. Raises InvalidInput; Conflict where
        another version is in force, or such a job is under way; Refused where nobody would move."""
        check_rate(rate_per_s)
        self._check(ways)
        stands, guard = await self._in_force(tenant, version)
        if not ways:
            planned = (await self._plan(tenant, stands)).ways
            ways = [Way(*pair, count) for pair, count in list(planned.items())[:MOST_WAYS]]
        if not ways:
            raise Refused(f"version {stands} of the policy of tenant {tenant} would move nobody")
        return await self._create(
            JobKind.POLICY,
            tenant,
            stands,
            guard,
            of_version=stands,
            ways=tuple(ways),
            total=sum(way.clients for way in ways),
            rate_per_s=rate_per_s,
        )

    async def count_back(self, tenant: str, version: int) -> int:
        """How many clients live where the job for this version moved them. Raises NotFound."""
        job = policy_job_id(JobKind.POLICY, tenant, version)
        await self._job_store.get(job)
        return await self._moved_by(tenant, job)

    async def move_back(self, tenant: str, version: int, rate_per_s: float) -> MoveJob:
        """A job that brings those back whom the job for this version moved, where nothing has
        moved them since; that job ends, where it waits. Raises NotFound; Refused while it moves
        clients; Conflict."""
        check_rate(rate_per_s)
        undone = policy_job_id(JobKind.POLICY, tenant, version)
        earlier, _ = await self._job_store.get(undone)
        stands, guard = await self._in_force(tenant, 0)
        if earlier.is_open and earlier.policy_version == stands:
            raise Refused(
                f"job {undone} is under way; end it first with `homeport moves cancel {undone}`"
            )
        if earlier.is_open:  # what it moves by is not in force: it moves nobody any more
            await self._job_store.control(undone, state=JobState.CANCELLED, rate_per_s=None)
        return await self._create(
            JobKind.MOVE_BACK,
            tenant,
            stands,
            guard,
            of_version=version,
            undoes=undone,
            total=await self._moved_by(tenant, undone),
            rate_per_s=rate_per_s,
        )

    async def _create(
        self,
        kind: JobKind,
        tenant: str,
        stands: int,
        guard: Compare,
        *,
        of_version: int,
        total: int,
        rate_per_s: float,
        ways: tuple[Way, ...] = (),
        undoes: str = "",
    ) -> MoveJob:
        await self._end_forgotten(tenant, stands)
        return await self._job_store.create(
            MoveJob(
                id=policy_job_id(kind, tenant, of_version),
                kind=kind,
                tenant=tenant,
                policy_version=stands,
                ways=ways,
                undoes=undoes,
                total=total,
                rate_per_s=rate_per_s or self._rate_per_s,
                start_ms=int(self._wall() * 1000),
            ),
            [guard],
            replaced=self._forgotten(tenant, stands),
        )

    def _of_forgotten(self, tenant: str, stands: int) -> list[tuple[MoveJob, int]]:
        """Jobs of versions that are not kept any more, with their revisions."""
        return [
            (job, revision)
            for job, revision in self._job_store.jobs.values()
            if job.kind in OF_POLICIES
            and job.tenant == tenant
            and job.policy_version <= stands - KEPT_VERSIONS
        ]

    def _forgotten(self, tenant: str, stands: int) -> list[str]:
        """Of these, those that have ended."""
        return [job.id for job, _ in self._of_forgotten(tenant, stands) if not job.is_open]

    async def _end_forgotten(self, tenant: str, stands: int) -> None:
        """Ends those that wait: so a tenant has no more jobs than versions that are kept, of each
        kind. One that an operator lets go on by a newer version at this moment does so."""
        for job, revision in self._of_forgotten(tenant, stands):
            if job.is_open:
                ended = replace(
                    job,
                    state=JobState.CANCELLED,
                    end_ms=int(self._wall() * 1000),
                    message=f"version {job.policy_version} of the policy is not kept any more",
                )
                await self._job_store.write(ended, revision)

    async def _in_force(self, tenant: str, version: int) -> tuple[int, Compare]:
        """Raises Conflict where it is not `version`; 0: any."""
        stands, guard = await self._registry.in_force(tenant)
        if not stands:
            raise Refused(f"tenant {tenant} has no policy to move clients by")
        if version and version != stands:
            raise Conflict(
                f"version {stands} of the policy of tenant {tenant} is in force, not {version}; "
                "plan again"
            )
        await self._followed.wait_for(tenant, stands)
        return stands, guard

    def _check(self, ways: Sequence[Way]) -> None:
        """Raises InvalidInput."""
        if len(ways) > MOST_WAYS:
            raise InvalidInput("plan", f"the plan has {len(ways):,} ways; at most {MOST_WAYS:,}")
        units = self._fleet_view.units
        for way in ways:
            for unit in (way.source, way.target):
                if unit not in units:
                    raise InvalidInput(
                        "plan", f"there is no unit {quoted(unit)} to move clients to or off"
                    )
            if way.source == way.target or not 0 < way.clients <= MOST_CLIENTS:
                raise InvalidInput(
                    "plan", "a way leads from one unit to another, with one client or more"
                )
        if len({(way.source, way.target) for way in ways}) < len(ways):
            raise InvalidInput("plan", "the plan has a way twice; give each once")

    async def _plan(self, tenant: str, version: int) -> MovePlan:
        fleet, occupancy = self._placer.fleet, self._placer.occupancy
        units = self._fleet_view.units
        planner = Planner(
            fleet,
            self._placer.policies,
            room=list(occupancy.room),
            load=list(occupancy.load),
            capacity=[units[unit.id].capacity if unit.id in units else 1 for unit in fleet.units],
            strategy=MoveStrategy.ANEW,
        )

        def add(pairs: Sequence[KeyValue]) -> None:
            planner.add(who for who in map(resident_of, pairs) if who is not None)

        await self._each_slice(tenant, add)
        if self._followed.revision_of(tenant) != version:
            raise Conflict(
                f"the policy of tenant {tenant} was replaced while it was planned; plan again"
            )
        return planner.plan()

    async def _moved_by(self, tenant: str, job: str) -> int:
        found = 0

        def count(pairs: Sequence[KeyValue]) -> None:
            nonlocal found
            for pair in pairs:
                try:
                    record = decode_assignment(pair.value)
                except UNREADABLE:
                    continue
                found += record.why is not None and record.why.job == job

        await self._each_slice(tenant, count)
        return found

    async def _each_slice(self, tenant: str, take: Callable[[Sequence[KeyValue]], None]) -> None:
        """All assignments of a tenant, some at a time, other calls between them."""
        prefix, after = keys.assignment(tenant, ""), None
        while True:
            page = await self._clients.range(prefix, start_after=after, limit=PAGE)
            for start in range(0, len(page.items), SLICE):
                take(page.items[start : start + SLICE])
                await asyncio.sleep(0)
            if not page.more:
                return
            after = page.items[-1].key

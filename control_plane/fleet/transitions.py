"""Transitions: writes a unit's next state, in one transaction with all that follows from it.

A unit that stops taking clients gets a closed capacity record and a new fence with it, one
whose clients have to leave gets the job that moves them, one that is trusted again loses that
job. Each transaction compares everything it was decided on, so it does not matter which server,
or how many, write the same event: one is first, the others find it done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from control_plane import keys
from control_plane.errors import Conflict, NotFound
from control_plane.fleet.capacity import encode_capacity
from control_plane.fleet.lifecycle import (
    LEAVING,
    TAKING,
    Event,
    LifecycleRecord,
    LossPolicy,
    State,
    advance,
)
from control_plane.fleet.move_job import JobKind, JobState, MoveJob, job_id
from control_plane.fleet.records import decode_job, encode_job, encode_lifecycle
from control_plane.fleet.registry import UnitRegistry
from control_plane.fleet.unit_view import UnitSnapshot, UnitView, changed_since, revision_of
from control_plane.store.port import (
    Compare,
    Get,
    Operation,
    Put,
    Store,
    Target,
    Txn,
    absent,
    unchanged,
)

ATTEMPTS = 10
MOVES_AWAY = {State.DRAINING: JobKind.DRAIN, State.LOST: JobKind.FAILOVER}


class GuardFailed(Conflict):
    """A guard does not hold; of the unit itself nothing is known to have changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionRequest:
    """An event for a unit, and on which terms it is written.

    guards: what must hold besides. rate_per_s: of the job that moves its clients away; 0: as
    it is, or the default. return_home: once it takes clients again, those who had to leave
    it are brought back.
    """

    event: Event
    expected_revision: int = 0
    rate_per_s: float = 0.0
    guards: Sequence[Compare] = ()
    return_home: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Transitioned:
    """A unit after an event, and the job that moves its clients away, if one is open."""

    view: UnitView
    job: MoveJob | None
    changed: bool


class Transitions:
    """Over one store. Raises StoreUnavailable and OutcomeUnknown besides what is said.

    wall: Unix seconds. rate_per_s: of the jobs it begins, where nobody says another.
    """

    def __init__(
        self,
        store: Store,
        registry: UnitRegistry,
        *,
        wall: Callable[[], float],
        loss_policy: LossPolicy,
        rate_per_s: float,
    ) -> None:
        self._store = store
        self._registry = registry
        self._wall = wall
        self.loss_policy = loss_policy
        self.rate_per_s = rate_per_s

    async def apply(self, unit_id: str, request: TransitionRequest) -> Transitioned:
        """Writes the event, unless it makes no difference any more.

        Raises NotFound; Conflict when the unit changed since the expected revision, or when others
        keep changing it; GuardFailed.
        """
        if request.event is Event.EMPTIED:
            # Nobody anywhere may add a client while it is counted that there is none.
            await self._registry.raise_gates(unit_id)
        for _ in range(ATTEMPTS):
            seen = await self._registry.snapshot(unit_id)
            if seen.unit is None or seen.capacity is None:
                raise NotFound(f"there is no unit {unit_id}")
            if request.expected_revision and seen.revision != request.expected_revision:
                raise changed_since(unit_id, request.expected_revision)
            before, now_ms = seen.state, int(self._wall() * 1000)
            after = advance(before, request.event, now_ms=now_ms, policy=self.loss_policy)
            jobs = await self._jobs(unit_id, before, after)
            compares = agent_compares(unit_id, request.event, seen)
            view, writes = seen.view(unit_id), list[Operation]()
            if compares is None:
                return Transitioned(view=view, job=away_job(jobs), changed=False)
            for kind, (old, revision) in jobs.items():
                new = job_after(
                    kind, old, before, after, request,
                    unit_id=unit_id, clients=seen.clients, now_ms=now_ms,
                    rate_per_s=self.rate_per_s,
                )  # fmt: skip
                if new is not None and new != old:
                    compares.append(unchanged(keys.job(new.id), revision))
                    writes.append(Put(keys.job(new.id), encode_job(new)))
                    jobs[kind] = (new, revision)
            if after is not before:
                writes.append(Put(keys.lifecycle(unit_id), encode_lifecycle(after)))
                writes += capacity_writes(unit_id, seen, after)
            job = away_job(jobs)
            if not writes:
                await self._registry.raise_gates(unit_id)
                return Transitioned(view=view, job=job, changed=False)
            compares += [
                unchanged(keys.unit(unit_id), revision_of(seen.unit)),
                unchanged(keys.lifecycle(unit_id), revision_of(seen.lifecycle)),
                unchanged(keys.capacity(unit_id), seen.capacity.mod_revision),
                *request.guards,
            ]
            result = await self._store.commit(Txn(compares=compares, then=writes))
            if result.succeeded:
                await self._registry.raise_gates(unit_id)
                revision = result.revision if after is not before else view.revision
                view = replace(view, lifecycle=after, revision=revision)
                return Transitioned(view=view, job=job, changed=True)
            if request.guards and not await self._hold(request.guards):
                raise GuardFailed(f"what unit {unit_id} depends on changed meanwhile; try again")
        raise Conflict(f"unit {unit_id} keeps changing under this request; try again")

    async def _jobs(
        self, unit_id: str, before: LifecycleRecord, after: LifecycleRecord
    ) -> dict[JobKind, tuple[MoveJob | None, int]]:
        """The jobs this may concern, each with its revision."""
        kinds = dict.fromkeys(
            kind
            for state in (before.state, after.state)
            if (kind := MOVES_AWAY.get(state)) is not None
        )
        kinds[JobKind.RETURN_HOME] = None
        found = await self._store.commit(
            Txn(then=[Get(keys.job(job_id(kind, unit_id))) for kind in kinds])
        )
        return {
            kind: (decode_job(read[0]), read[0].mod_revision) if read else (None, 0)
            for kind, read in zip(kinds, found.results, strict=True)
        }

    async def _hold(self, guards: Sequence[Compare]) -> bool:
        return (await self._store.commit(Txn(compares=guards))).succeeded


def job_after(
    kind: JobKind,
    old: MoveJob | None,
    before: LifecycleRecord,
    after: LifecycleRecord,
    request: TransitionRequest,
    *,
    unit_id: str,
    clients: int,
    now_ms: int,
    rate_per_s: float,
) -> MoveJob | None:
    """What becomes of a unit's job of one kind; None: there is none, and none is needed. Pure."""
    returning = kind is JobKind.RETURN_HOME
    if returning:
        came_back = after.state in TAKING and before.state not in TAKING
        wanted = came_back and request.return_home
        if not came_back and after.state in TAKING:
            return old
    else:
        wanted = MOVES_AWAY.get(after.state) is kind
    is_open = old is not None and old.is_open
    if wanted and old is not None and is_open:
        return replace(old, rate_per_s=request.rate_per_s) if request.rate_per_s else old
    if wanted:
        return MoveJob(
            id=job_id(kind, unit_id),
            kind=kind,
            unit=unit_id,
            rate_per_s=request.rate_per_s or rate_per_s,
            total=0 if returning else clients,
            start_ms=now_ms,
        )
    if old is None or not is_open:
        return old
    if after.state is State.DRAINED:
        return replace(old, state=JobState.DONE, kept=0, cursor="", end_ms=now_ms, message="")
    return replace(
        old, state=JobState.CANCELLED, end_ms=now_ms, message=f"the unit is {after.state.value}"
    )


def agent_compares(unit_id: str, event: Event, seen: UnitSnapshot) -> list[Compare] | None:
    """What must hold of the unit for the event; None where it does not. A failure detector whose
    watch is late must neither give up a unit that is heard, nor trust one that is not. Pure."""
    live = keys.live(unit_id)
    if event is Event.SILENT:
        return [absent(live)] if seen.live is None else None
    if event is Event.HEARD:
        if seen.live is None:
            return None
        return [Compare(live, Target.CREATE_REVISION, seen.live.create_revision)]
    if event is Event.EMPTIED:
        return [] if seen.clients == 0 and seen.state.state in LEAVING else None
    return []


def capacity_writes(unit_id: str, seen: UnitSnapshot, after: LifecycleRecord) -> list[Operation]:
    """Closes or opens the unit for new clients, as its new state has it. Pure."""
    is_open = after.state in TAKING
    if seen.record.open == is_open:
        return []
    record = encode_capacity(replace(seen.record, open=is_open))
    writes: list[Operation] = [Put(keys.capacity(unit_id), record)]
    if not is_open:
        writes.append(Put(keys.fence(unit_id), after.state.value.encode()))
    return writes


def away_job(jobs: dict[JobKind, tuple[MoveJob | None, int]]) -> MoveJob | None:
    """The open job that moves clients off the unit."""
    for kind, (job, _) in jobs.items():
        if kind is not JobKind.RETURN_HOME and job is not None and job.is_open:
            return job
    return None

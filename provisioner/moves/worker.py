"""Worker: carries one job out, for as long as it is its own.

It pages through the assignments in the order of their keys and moves those that the job is
about, slice by slice, at the job's rate. How far it has come is written now and then, never
for each client: a worker that dies is replaced by another one that begins at the last mark
and finds those who have moved already gone. A pass begins anew until nobody is left; so a
client that was assigned late, behind the mark, is found as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import msgspec

from control_plane import faultpoints, keys
from control_plane.errors import Conflict, NotFound, Unavailable
from control_plane.fleet.lifecycle import Event
from control_plane.fleet.move_job import JobKind, JobState, MoveJob
from control_plane.fleet.registry import UnitRegistry
from control_plane.fleet.transitions import TransitionRequest, Transitions
from control_plane.fleet.unit import ReturnHome, TenantSpec
from control_plane.store.port import Compare, KeyValue, Page
from provisioner.geo.remembered import location_of
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment, split_key
from provisioner.ledger.client_keys import ClientKeys
from provisioner.moves.job_store import JobStore
from provisioner.moves.move_operation import (
    DRAINED,
    FAILED_OVER,
    REBALANCED,
    RETURNED,
    Moved,
    MoveRequest,
    NotMoved,
    Outcome,
)
from provisioner.moves.mover import Mover
from provisioner.moves.plan import MoveStrategy
from provisioner.moves.rate_limiter import RateLimiter

log = logging.getLogger(__name__)

PAGE = 2_000  # assignments read at once
SLICE_S = 0.025  # of the rate is under way at once, so that others wait for few moves,
SLICE_MIN, SLICE_MAX = 16, 250  # within these bounds; handoffs take their time, side by side
LOOKED_AT = 50  # assignments, before other calls get their turn
MARK_S = 1.0  # how often progress is written
BETWEEN_S, BETWEEN_MAX_S = 0.5, 15.0  # between passes in which clients had to stay
RETRY_S = 0.5
PAUSED_S = 5.0
CAUSES = {
    JobKind.DRAIN: (DRAINED, MoveStrategy.PLACE),
    JobKind.FAILOVER: (FAILED_OVER, MoveStrategy.SPREAD),
    JobKind.REBALANCE: (REBALANCED, MoveStrategy.BETTER),
    JobKind.RETURN_HOME: (RETURNED, MoveStrategy.PLACE),
}
T = TypeVar("T")


class Lands(Protocol):
    """What a worker asks the server's world."""

    def tenant(self, tenant_id: str) -> TenantSpec | None:
        """A tenant, if there is one."""
        ...

    async def wait_for_units(self, state_revision: int, /) -> None:
        """Returns when the units' states are known as of this revision, or after a while."""
        ...


class LostOwnership(Exception):
    """The job is not this worker's any more, or has ended. Nothing is left to do."""


@dataclass(slots=True)
class PassTally:
    """What one pass came to."""

    moved: int = 0
    kept: Counter[str] = field(default_factory=Counter)  # by reason

    def message(self) -> str:
        """Why clients stay; empty when none had to."""
        if not self.kept:
            return ""
        reason, _ = min(self.kept.items(), key=lambda item: (-item[1], item[0]))
        count = self.kept.total()
        return f"{count:,} {'clients stay' if count > 1 else 'client stays'}: {reason}"


class Worker:
    """One per job and server. `job` at `revision` names this server's session as its worker,
    and `session` holds while that stands. clock: monotonic seconds; wall: Unix seconds."""

    def __init__(
        self,
        job: MoveJob,
        revision: int,
        *,
        session: Compare,
        clients: ClientKeys,
        job_store: JobStore,
        mover: Mover,
        fleet_view: Lands,
        registry: UnitRegistry,
        transitions: Transitions,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.job = job
        self._revision = revision
        self._session = session
        self._clients = clients
        self._job_store = job_store
        self._mover = mover
        self._fleet_view = fleet_view
        self._registry = registry
        self._transitions = transitions
        self._clock = clock
        self._wall = wall
        self._pace = RateLimiter(job.rate_per_s, clock())
        self._marked_at = clock()

    async def run(self) -> None:
        """Returns when the job has ended, or is somebody else's."""
        pause_s = BETWEEN_S
        try:
            await self._see_the_unit()
            while True:
                tally = await self._pass()
                if await self._is_over(tally):
                    return
                pause_s = BETWEEN_S if tally.moved else min(BETWEEN_MAX_S, 2 * pause_s)
                await self._mark(
                    cursor="", passes=self.job.passes + 1,
                    kept=tally.kept.total(), message=tally.message(),
                )  # fmt: skip
                if tally.kept:
                    await self._job_store.change(within_s=pause_s)
        except LostOwnership:
            return

    async def _see_the_unit(self) -> None:
        """Returns when this server knows the state of the unit that the job is about: before,
        it might take a unit that drains for a place to move to."""
        if self.job.unit:
            seen = await _until_there(lambda: self._registry.snapshot(self.job.unit))
            if seen.lifecycle is not None:
                await self._fleet_view.wait_for_units(seen.lifecycle.mod_revision)

    # -- one pass ----------------------------------------------------------------------

    async def _pass(self) -> PassTally:
        tally = PassTally()
        after = keys.ASSIGNMENTS + self.job.cursor.encode() if self.job.cursor else None
        while True:
            faultpoints.passing("moves.page.before")
            page = await self._read(after)
            faultpoints.passing("moves.page.after")
            move_requests = await self._move_requests(page.items)
            while move_requests:
                await self._may_go_on()
                count = await self._turn(move_requests)
                slice_, move_requests = move_requests[:count], move_requests[count:]
                if not slice_:
                    return tally  # the bound is reached
                await self._move(slice_, tally)
                if self._clock() - self._marked_at >= MARK_S:
                    await self._mark(
                        cursor=_cursor(slice_[-1].found.key),
                        kept=tally.kept.total(),
                        message=tally.message(),
                    )
            if not page.more:
                return tally
            after = page.items[-1].key
            if self._clock() - self._marked_at >= MARK_S:
                await self._may_go_on()
                await self._mark(cursor=_cursor(after))

    async def _read(self, after: bytes | None) -> Page:
        """Each page as it stands when its turn comes: what was assigned, released or moved
        since the pass began shows, and no history has to be kept for it."""
        return await _until_there(
            lambda: self._clients.range(keys.ASSIGNMENTS, start_after=after, limit=PAGE)
        )

    async def _move_requests(self, pairs: Sequence[KeyValue]) -> list[MoveRequest]:
        """Those the job is about. Other calls get their turn in between."""
        found: list[MoveRequest] = []
        for start in range(0, len(pairs), LOOKED_AT):
            for pair in pairs[start : start + LOOKED_AT]:
                who = self._move_request(pair)
                if who is not None:
                    found.append(who)
            await asyncio.sleep(0)
        return found

    def _move_request(self, pair: KeyValue) -> MoveRequest | None:
        """The client, if this job is about it."""
        try:
            record: AssignmentRecord = decode_assignment(pair.value)
        except msgspec.MsgspecError:
            log.warning("the assignment at %r is damaged; it stays", pair.key)
            return None
        job = self.job
        leaves = job.kind in (JobKind.DRAIN, JobKind.FAILOVER)
        if leaves and record.unit != job.unit:
            return None
        if job.kind is JobKind.RETURN_HOME and record.home != job.unit:
            return None
        tenant_id, client_id = split_key(pair.key)
        tenant = self._fleet_view.tenant(tenant_id)
        if tenant is None:
            return None
        if job.kind is JobKind.RETURN_HOME and tenant.return_home is not ReturnHome.GRADUAL:
            return None
        cause, strategy = CAUSES[job.kind]
        who = MoveRequest(
            tenant=tenant,
            client_id=client_id,
            found=pair,
            record=record,
            location=location_of(record.cell),
            cause=cause,
            strategy=strategy,
            to=job.unit if job.kind is JobKind.RETURN_HOME else "",
        )
        if job.kind is JobKind.REBALANCE and not self._mover.suits_better(who):
            return None
        return who

    async def _turn(self, move_requests: Sequence[MoveRequest]) -> int:
        """How many may go now, by rate and bound; waits for the rate, 0 by the bound."""
        job = self.job
        wanted = min(len(move_requests), self._slice(move_requests[0]))
        if job.max_moves:
            wanted = min(wanted, job.max_moves - job.moved)
            if wanted <= 0:
                return 0
        while True:
            self._pace.rate_per_s = job.rate_per_s
            count, wait_s = self._pace.take(wanted, self._clock())
            if count:
                return count
            await self._job_store.change(within_s=wait_s)
            await self._may_go_on()
            job = self.job

    def _slice(self, first: MoveRequest) -> int:
        """How many may be under way at once: few where each is a share of a transaction."""
        if first.takes_state:
            return SLICE_MAX
        return min(SLICE_MAX, max(SLICE_MIN, int(self.job.rate_per_s * SLICE_S)))

    async def _move(self, move_requests: Sequence[MoveRequest], tally: PassTally) -> None:
        if self.job.max_moves:
            # Counted before they go: whoever takes over from a dead worker keeps to the bound.
            await self._mark(moved=self.job.moved + len(move_requests))
        outcomes: list[Outcome] = await asyncio.gather(
            *(self._mover.move(who) for who in move_requests)
        )
        moved = sum(isinstance(one, Moved) for one in outcomes)
        tally.moved += moved
        tally.kept.update(one.reason for one in outcomes if isinstance(one, NotMoved))
        ahead = len(move_requests) if self.job.max_moves else 0
        self.job = replace(self.job, moved=self.job.moved + moved - ahead)

    # -- the end -----------------------------------------------------------------------

    async def _is_over(self, tally: PassTally) -> bool:
        """Ends the job, if nothing is left to do."""
        job = self.job
        if job.kind in (JobKind.REBALANCE, JobKind.RETURN_HOME):
            bounded = bool(job.max_moves) and job.moved >= job.max_moves
            await self._end(
                total=job.moved + tally.kept.total(),
                kept=tally.kept.total(),
                message=tally.message()
                or (f"the bound of {job.max_moves:,} moves is reached" if bounded else ""),
            )
            return True
        seen = await _until_there(lambda: self._registry.snapshot(job.unit))
        if seen.clients > 0:
            return False
        if job.kind is JobKind.FAILOVER or seen.unit is None:
            await self._end(kept=0, message="")
            return True
        await self._mark(kept=0, message="")
        faultpoints.passing("moves.end.before")
        wanted = TransitionRequest(event=Event.EMPTIED, guards=(self._session,))
        try:
            done = await self._transitions.apply(job.unit, wanted)
        except (Unavailable, Conflict, NotFound) as error:
            log.info("unit %s cannot be said to be drained now: %s", job.unit, error)
            await asyncio.sleep(RETRY_S)
            await self._may_go_on()
            return False
        faultpoints.passing("moves.end.after")
        return done.job is None

    async def _end(self, **last: Any) -> None:
        faultpoints.passing("moves.end.before")
        await self._mark(state=JobState.DONE, cursor="", end_ms=int(self._wall() * 1000), **last)
        faultpoints.passing("moves.end.after")

    # -- the record --------------------------------------------------------------------

    async def _may_go_on(self) -> None:
        """Waits while the job is paused. Raises LostOwnership."""
        while True:
            seen = self._job_store.seen.get(self.job.id)
            if seen is not None and seen[1] > self._revision:
                self._adopt(*seen)
            if self._mover.session_id != self.job.worker:
                raise LostOwnership
            if self.job.state is JobState.RUNNING:
                return
            if self.job.state is not JobState.PAUSED:
                raise LostOwnership
            await self._job_store.change(within_s=PAUSED_S)

    def _adopt(self, theirs: MoveJob, revision: int) -> None:
        """Takes over what others wrote: state and rate are theirs, progress is ours."""
        if theirs.worker != self.job.worker or not theirs.is_open:
            raise LostOwnership
        self.job = replace(self.job, state=theirs.state, rate_per_s=theirs.rate_per_s)
        self._revision = revision

    async def _mark(self, **changes: Any) -> None:
        """Writes how far it has come. Raises LostOwnership."""
        faultpoints.passing("moves.progress.before")
        while True:
            marked = replace(self.job, **changes)
            try:
                written = await self._job_store.write(marked, self._revision, (self._session,))
            except Unavailable:
                await asyncio.sleep(RETRY_S)
                written = 0  # or of unknown outcome: what stands there says
            if written:
                self.job, self._revision = marked, written
                break
            try:
                theirs, revision = await _until_there(lambda: self._job_store.get(self.job.id))
            except NotFound:
                raise LostOwnership from None
            if theirs == marked:
                self.job, self._revision = marked, revision
                break
            if revision == self._revision:
                # Nobody wrote, so it is our session that is gone; its successor takes over.
                await asyncio.sleep(RETRY_S)
                if self._mover.session_id != self.job.worker:
                    raise LostOwnership
            self._adopt(theirs, revision)
            if "state" not in changes and self.job.state is not JobState.RUNNING:
                await self._may_go_on()
        self._marked_at = self._clock()
        faultpoints.passing("moves.progress.after")


def _cursor(key: bytes) -> str:
    return key[len(keys.ASSIGNMENTS) :].decode()


async def _until_there(read: Callable[[], Awaitable[T]]) -> T:
    """What the store answers, once it does."""
    while True:
        try:
            return await read()
        except Unavailable as error:
            log.info("a job that moves clients waits: %s", error)
        await asyncio.sleep(RETRY_S)

"""Worker: carries out one job, for as long as this server owns it.

It pages through the assignments, of its tenant alone where it has one, in the order of their keys
and moves those that the job is about, slice by slice, at the job's rate. How far it has come is
written now and then, never for each client: a worker that dies is replaced by another one that
begins at the last cursor and finds those who have moved already gone. A pass begins anew until
nobody is left; so a client that was assigned late, behind the cursor, is found as well.

A job of a policy goes by one version of it, and moves nobody once another one is in force: it
pauses itself, says so, and begins its pass anew when an operator lets it go on by that one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from control_plane import faultpoints, keys
from control_plane.errors import Conflict, NotFound, Unavailable
from control_plane.fleet.lifecycle import Event
from control_plane.fleet.move_job import JobKind, JobState
from control_plane.fleet.registry import UnitRegistry
from control_plane.fleet.transitions import TransitionRequest, Transitions
from control_plane.store.port import Page
from provisioner.fleet_view import FleetView
from provisioner.ledger.client_keys import ClientKeys
from provisioner.moves.job_clients import JobClients
from provisioner.moves.job_store import JobStore
from provisioner.moves.move_operation import Moved, MoveRequest
from provisioner.moves.mover import Mover
from provisioner.moves.owned_job import LostOwnership, OwnedJob
from provisioner.moves.pass_result import PassResult
from provisioner.moves.rate_limiter import RateLimiter
from provisioner.moves.store_reads import RETRY_S, read_when_available
from provisioner.moves.ways import WaysLeft

log = logging.getLogger(__name__)

PAGE = 2_000  # assignments read at once
SLICE_S = 0.025  # of the rate is under way at once, so that others wait for few moves,
SLICE_MIN, SLICE_MAX = 16, 250  # within these bounds; handoffs take their time, side by side
PROGRESS_S = 1.0  # how often progress is written
BETWEEN_S, BETWEEN_MAX_S = 0.5, 15.0  # between passes in which clients had to stay
HEARD_S = 1.0  # how often it is looked whether this server has heard of a version
OTHER_WAY = "placement would have them go another way than the plan, or it has no more that way"
ONE_PASS = frozenset({
    JobKind.REBALANCE, JobKind.RETURN_HOME, JobKind.POLICY, JobKind.MOVE_BACK,
})  # fmt: skip


class Worker:
    """One per job and server. clock: monotonic seconds; wall: Unix seconds; page: assignments
    read at once; progress_s: how often progress is written."""

    def __init__(
        self,
        owned: OwnedJob,
        *,
        clients: ClientKeys,
        job_store: JobStore,
        mover: Mover,
        fleet_view: FleetView,
        registry: UnitRegistry,
        transitions: Transitions,
        clock: Callable[[], float],
        wall: Callable[[], float],
        page: int = PAGE,
        progress_s: float = PROGRESS_S,
    ) -> None:
        self._owned = owned
        self._page = page
        self._progress_s = progress_s
        self._clients = clients
        self._job_store = job_store
        self._mover = mover
        self._fleet_view = fleet_view
        self._registry = registry
        self._transitions = transitions
        self._clock = clock
        self._wall = wall
        self._job_clients = JobClients(fleet_view, mover)
        tenant = owned.job.tenant
        self._prefix = keys.assignment(tenant, "") if tenant else keys.ASSIGNMENTS
        self._ways = WaysLeft(owned.job.ways) if owned.job.kind is JobKind.POLICY else None
        self._limiter = RateLimiter(owned.job.rate_per_s, clock())

    @property
    def job_id(self) -> str:
        """The id of its job."""
        return self._owned.job.id

    async def run(self) -> None:
        """Returns when the job has ended, or another server owns it."""
        owned, pause_s = self._owned, BETWEEN_S
        try:
            await self._wait_for_unit_state()
            while True:
                result = await self._pass()
                if result.again:
                    await owned.write(cursor="", kept=0, message="")
                    continue
                if await self._end_if_over(result):
                    return
                pause_s = BETWEEN_S if result.moved else min(BETWEEN_MAX_S, 2 * pause_s)
                await owned.write(
                    cursor="", passes=owned.job.passes + 1,
                    kept=result.kept, message=result.message(),
                )  # fmt: skip
                if result.kept:
                    await self._job_store.wait_for_change(timeout_s=pause_s)
        except LostOwnership:
            return

    async def _wait_for_unit_state(self) -> None:
        """Returns when this server knows the state of the unit that the job is about: before,
        it might take a unit that drains for a place to move to."""
        unit = self._owned.job.unit
        if unit:
            seen = await read_when_available(lambda: self._registry.snapshot(unit))
            if seen.lifecycle is not None:
                await self._fleet_view.wait_for_units(seen.lifecycle.mod_revision)

    # -- one pass ----------------------------------------------------------------------

    async def _pass(self) -> PassResult:
        owned, result = self._owned, PassResult()
        cursor = owned.job.cursor
        after = keys.ASSIGNMENTS + cursor.encode() if cursor else None
        while True:
            if await self._was_replaced():
                result.again = True
                return result
            faultpoints.passing("moves.page.before")
            page = await self._read(after)
            faultpoints.passing("moves.page.after")
            requests = await self._job_clients.requests(owned.job, page.items)
            while requests:
                await owned.wait_until_running()
                if await self._was_replaced():
                    result.again = True
                    return result
                count = await self._permitted(requests)
                slice_, requests = requests[:count], requests[count:]
                if not slice_:
                    return result  # the bound is reached
                await self._move(slice_, result)
                if owned.written_s_ago() >= self._progress_s:
                    await owned.write(
                        cursor=keys.cursor(slice_[-1].found.key, keys.ASSIGNMENTS),
                        kept=result.kept,
                        message=result.message(),
                    )
            if not page.more or (self._ways is not None and self._ways.used_up):
                return result
            after = page.items[-1].key
            if owned.written_s_ago() >= self._progress_s:
                await owned.wait_until_running()
                await owned.write(cursor=keys.cursor(after, keys.ASSIGNMENTS))

    async def _was_replaced(self) -> bool:
        """Whether the policy by which the job moves was not in force. Then it is now, again or
        by another version: the job was paused until an operator let it go on."""
        owned, found = self._owned, False
        while (wanted := owned.job.policy_version) and wanted != (
            stands := self._mover.policy_version(owned.job.tenant)
        ):
            found = True
            if 0 < stands < wanted:  # this server has not heard of it yet
                await self._job_store.wait_for_change(timeout_s=HEARD_S)
                await owned.wait_until_running()
                continue
            said = f"version {stands}" if stands else "none"
            await owned.write(
                state=JobState.PAUSED,
                message=f"it moves by version {wanted} of the policy of tenant {owned.job.tenant}, "
                f"and {said} is in force now",
            )
            await owned.wait_until_running()
        return found

    async def _read(self, after: bytes | None) -> Page:
        """Each page as it is when its turn comes: what was assigned, released or moved since
        the pass began shows, and no history has to be kept for it."""
        return await read_when_available(
            lambda: self._clients.range(self._prefix, start_after=after, limit=self._page)
        )

    async def _permitted(self, requests: Sequence[MoveRequest]) -> int:
        """How many may go now, by rate and bound; waits for the rate, 0 by the bound."""
        job = self._owned.job
        wanted = min(len(requests), self._slice_size(requests[0]))
        if job.max_moves:
            wanted = min(wanted, job.max_moves - job.moved)
            if wanted <= 0:
                return 0
        while True:
            self._limiter.rate_per_s = job.rate_per_s
            count, wait_s = self._limiter.acquire(wanted, self._clock())
            if count:
                return count
            await self._job_store.wait_for_change(timeout_s=wait_s)
            await self._owned.wait_until_running()
            job = self._owned.job

    def _slice_size(self, first: MoveRequest) -> int:
        """How many may be under way at once: few where each is a share of a transaction."""
        if first.takes_state:
            return SLICE_MAX
        return min(SLICE_MAX, max(SLICE_MIN, int(self._owned.job.rate_per_s * SLICE_S)))

    async def _move(self, requests: Sequence[MoveRequest], result: PassResult) -> None:
        owned, ahead, ways = self._owned, 0, self._ways
        if ways is not None:
            going = [one for one in requests if ways.use(one.record.unit, one.to)]
            result.stay_reasons[OTHER_WAY] += len(requests) - len(going)
            requests = going
        if owned.job.max_moves or ways is not None:
            # Counted before they go: whoever takes over from a dead worker keeps to the bound.
            ahead = len(requests)
            await owned.write(moved=owned.job.moved + ahead, ways=ways.ways if ways else ())
        outcomes = await asyncio.gather(*(self._mover.move(one) for one in requests))
        if ways is not None:
            for one, outcome in zip(requests, outcomes, strict=True):
                if not isinstance(outcome, Moved):
                    ways.give_back(one.record.unit, one.to)
        owned.add_moved(result.add(outcomes) - ahead, ways.ways if ways is not None else ())

    # -- the end -----------------------------------------------------------------------

    async def _end_if_over(self, result: PassResult) -> bool:
        """Ends the job, if nothing is left to do."""
        owned, job = self._owned, self._owned.job
        if job.kind in ONE_PASS:
            bounded = bool(job.max_moves) and job.moved >= job.max_moves
            await self._end(
                total=job.moved + result.kept,
                kept=result.kept,
                message=result.message()
                or (f"the bound of {job.max_moves:,} moves is reached" if bounded else ""),
            )
            return True
        seen = await read_when_available(lambda: self._registry.snapshot(job.unit))
        if seen.clients > 0:
            return False
        if job.kind is JobKind.FAILOVER or seen.unit is None:
            await self._end(kept=0, message="")
            return True
        await owned.write(kept=0, message="")
        faultpoints.passing("moves.end.before")
        emptied = TransitionRequest(event=Event.EMPTIED, guards=(owned.session,))
        try:
            done = await self._transitions.apply(job.unit, emptied)
        except (Unavailable, Conflict, NotFound) as error:
            log.info("unit %s cannot be written as drained now: %s", job.unit, error)
            await asyncio.sleep(RETRY_S)
            await owned.wait_until_running()
            return False
        faultpoints.passing("moves.end.after")
        return done.job is None

    async def _end(self, **last: Any) -> None:
        faultpoints.passing("moves.end.before")
        end_ms = int(self._wall() * 1000)
        await self._owned.write(state=JobState.DONE, cursor="", end_ms=end_ms, **last)
        faultpoints.passing("moves.end.after")

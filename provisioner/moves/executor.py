"""Executor: gives every open job a worker, on one server at a time.

A job names the session of the server that works on it. Another server takes it over in a
transaction that compares that session's absence, so a server that lost its session moves
nobody any more, and no job waits longer than a lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from control_plane import faultpoints, keys
from control_plane.errors import ServiceError
from control_plane.fleet.move_job import JobState, MoveJob
from control_plane.fleet.registry import UnitRegistry
from control_plane.fleet.transitions import Transitions
from control_plane.store.port import Store, Txn, absent
from control_plane.supervision import Supervisor
from provisioner.fleet_view import FleetView
from provisioner.ledger.client_keys import ClientKeys
from provisioner.moves.job_store import JobStore
from provisioner.moves.mover import Mover
from provisioner.moves.owned_job import OwnedJob
from provisioner.moves.worker import PAGE, PROGRESS_S, Worker

log = logging.getLogger(__name__)

POLL_S = 1.0  # how often jobs are polled when none has changed
JITTER_S = 0.2  # so that of many servers one claims a job, and the others see it claimed


class Executor:
    """`run` is a task of the owner's. supervisor: of the jobs: one that fails takes no other one
    along, and is claimed again after a pause. clock: monotonic seconds; wall: Unix seconds;
    jitter: 0 to 1, new at each call. page, progress_s: of a worker."""

    def __init__(
        self,
        store: Store,
        clients: ClientKeys,
        *,
        job_store: JobStore,
        mover: Mover,
        fleet_view: FleetView,
        registry: UnitRegistry,
        transitions: Transitions,
        supervisor: Supervisor,
        clock: Callable[[], float],
        wall: Callable[[], float],
        jitter: Callable[[], float],
        page: int = PAGE,
        progress_s: float = PROGRESS_S,
    ) -> None:
        self._store = store
        self._clients = clients
        self._job_store = job_store
        self._mover = mover
        self._fleet_view = fleet_view
        self._registry = registry
        self._transitions = transitions
        self._supervisor = supervisor
        self._clock = clock
        self._wall = wall
        self._jitter = jitter
        self._page = page
        self._progress_s = progress_s
        self._claimed: set[str] = set()

    async def run(self) -> None:
        """Works for ever."""
        self._claimed.clear()
        async with asyncio.TaskGroup() as group:
            while True:
                for job, revision in list(self._job_store.jobs.values()):
                    if job.state is not JobState.RUNNING or job.id in self._claimed:
                        continue
                    try:
                        worker = await self.claim(job, revision)
                    except ServiceError as error:
                        log.info("cannot claim job %s now: %s", job.id, error)
                        continue
                    if worker is not None:
                        self._claimed.add(job.id)
                        work = self._work(worker)
                        group.create_task(self._supervisor.attempt("move job", work))
                await self._job_store.wait_for_change(timeout_s=POLL_S)

    async def claim(self, job: MoveJob, revision: int) -> Worker | None:
        """A worker for the job, unless a session that stands has it."""
        ours = job.worker and job.worker == self._mover.session_id
        if job.worker and not ours:
            gone = absent(keys.session(job.worker))
            if not (await self._store.commit(Txn(compares=[gone]))).succeeded:
                return None
        elif not job.worker:
            await asyncio.sleep(JITTER_S * self._jitter())
        session = (await self._mover.ledger()).session
        if not session.stands.is_set():
            return None
        me, stands = session.id, session.compare
        guards = [stands]
        if job.worker and not ours:
            guards.append(absent(keys.session(job.worker)))
        claimed = replace(job, worker=me)
        written = await self._job_store.write(claimed, revision, guards)
        if not written:
            return None
        faultpoints.passing("moves.claim.after")
        log.info("working on job %s", job.id)
        owned = OwnedJob(
            claimed,
            written,
            session=stands,
            session_id=lambda: self._mover.session_id,
            job_store=self._job_store,
            clock=self._clock,
        )
        return Worker(
            owned,
            clients=self._clients,
            job_store=self._job_store,
            mover=self._mover,
            fleet_view=self._fleet_view,
            registry=self._registry,
            transitions=self._transitions,
            clock=self._clock,
            wall=self._wall,
            page=self._page,
            progress_s=self._progress_s,
        )

    async def _work(self, worker: Worker) -> None:
        try:
            await worker.run()
        except ServiceError as error:
            log.warning("job %s stopped, and is claimed again: %s", worker.job_id, error)
        except Exception as error:  # noqa: BLE001  # a defect, or records that nobody foresaw
            # Logged by `note`; the job is not claimed again before the pause is over.
            await asyncio.sleep(self._supervisor.note("move job", error))
        finally:
            self._claimed.discard(worker.job_id)

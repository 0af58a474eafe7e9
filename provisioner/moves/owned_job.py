"""OwnedJob: the record of a job that this server's session works on, kept in step with the store.

State and rate of a job are the operators' to write, progress is its worker's; a worker pauses a job
whose policy was replaced. Every write
compares the revision that was read and the session that owns the job, so two workers never
write the same job, and neither side overwrites what the other wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from control_plane import faultpoints
from control_plane.errors import NotFound, Unavailable
from control_plane.fleet.move_job import JobState, MoveJob, Way
from control_plane.store.port import Compare
from provisioner.moves.job_store import JobStore
from provisioner.moves.store_reads import RETRY_S, read_when_available

PAUSED_S = 5.0


class LostOwnership(Exception):
    """The job is not this worker's any more, or has ended. Nothing is left to do."""


class OwnedJob:
    """`job` at `revision` names a session as its worker; `session` is the compare that holds
    while that session stands; `session_id()`: under which this server moves clients now.
    clock: monotonic seconds. retry_s: before a write that the store did not take is tried
    again."""

    def __init__(
        self,
        job: MoveJob,
        revision: int,
        *,
        session: Compare,
        session_id: Callable[[], str],
        job_store: JobStore,
        clock: Callable[[], float],
        retry_s: float = RETRY_S,
    ) -> None:
        self.job = job
        self.session = session
        self._revision = revision
        self._session_id = session_id
        self._job_store = job_store
        self._clock = clock
        self._retry_s = retry_s
        self._written_at = clock()

    def written_s_ago(self) -> float:
        """Since the last write of progress."""
        return self._clock() - self._written_at

    def add_moved(self, count: int, ways: tuple[Way, ...] = ()) -> None:
        """So many more clients have moved, and that is where; the next write says so."""
        self.job = replace(self.job, moved=self.job.moved + count, ways=ways)

    async def wait_until_running(self) -> None:
        """Takes over what operators wrote; waits while the job is paused. Raises
        LostOwnership."""
        while True:
            known = self._job_store.jobs.get(self.job.id)
            if known is not None and known[1] > self._revision:
                self._adopt(*known)
            if self._session_id() != self.job.worker:
                raise LostOwnership
            if self.job.state is JobState.RUNNING:
                return
            if self.job.state is not JobState.PAUSED:
                raise LostOwnership
            await self._job_store.wait_for_change(timeout_s=PAUSED_S)

    async def write(self, **changes: Any) -> None:
        """Writes how far the job has come, whatever it takes. Raises LostOwnership."""
        faultpoints.passing("moves.progress.before")
        while True:
            wanted = replace(self.job, **changes)
            try:
                written = await self._job_store.write(wanted, self._revision, (self.session,))
            except Unavailable:
                await asyncio.sleep(self._retry_s)
                written = 0  # or of unknown outcome: what is in the store says
            if written:
                self.job, self._revision = wanted, written
                break
            try:
                theirs, revision = await read_when_available(
                    lambda: self._job_store.get(self.job.id)
                )
            except NotFound:
                raise LostOwnership from None
            if theirs == wanted:
                self.job, self._revision = wanted, revision
                break
            if revision == self._revision:
                # Nobody wrote, so it is our session that is gone; its successor takes over.
                await asyncio.sleep(self._retry_s)
                if self._session_id() != self.job.worker:
                    raise LostOwnership
            self._adopt(theirs, revision)
            if "state" not in changes and self.job.state is not JobState.RUNNING:
                await self.wait_until_running()
        self._written_at = self._clock()
        faultpoints.passing("moves.progress.after")

    def _adopt(self, theirs: MoveJob, revision: int) -> None:
        """Takes over what others wrote: state, rate and the version of the policy are theirs,
        progress is ours."""
        if theirs.worker != self.job.worker or not theirs.is_open:
            raise LostOwnership
        self.job = replace(
            self.job,
            state=theirs.state,
            rate_per_s=theirs.rate_per_s,
            policy_version=theirs.policy_version,
        )
        self._revision = revision

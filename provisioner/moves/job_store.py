"""JobStore: the records of jobs that move clients, read and written in the store.

Operators pause, cancel and speed up jobs, one worker at a time writes how far it has come; all
of it is compare-and-swap on the one record, so neither overwrites what the other wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from control_plane import keys
from control_plane.errors import Conflict, NotFound, Refused
from control_plane.fleet.move_job import OPEN, JobState, MoveJob
from control_plane.fleet.records import decode_job, encode_job, readable
from control_plane.store.port import (
    Compare,
    Delete,
    KeyValue,
    Put,
    Store,
    Txn,
    range_all,
    unchanged,
)
from control_plane.store.replica import Replica

ATTEMPTS = 20


class JobStore:
    """`start` reads all jobs, `run` follows them. wall: Unix seconds."""

    def __init__(self, store: Store, *, wall: Callable[[], float]) -> None:
        self._store = store
        self._wall = wall
        self._replica = Replica(store, keys.JOBS, _with_revision, lambda name, job: self._notify())
        self._waiting: set[asyncio.Event] = set()

    @property
    def jobs(self) -> Mapping[str, tuple[MoveJob, int]]:
        """Jobs by id, each with its revision, as this server sees them."""
        return self._replica.items

    @property
    def damaged(self) -> Iterator[str]:
        """The keys of jobs whose records cannot be read."""
        return self._replica.damaged_keys()

    async def start(self) -> None:
        """Reads everything. Raises StoreUnavailable."""
        await self._replica.start()

    async def run(self) -> None:
        """Follows the store for ever."""
        await self._replica.run()

    async def wait_for_change(self, *, timeout_s: float) -> None:
        """Returns when any job has changed, or the time is over."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return
        finally:
            self._waiting.discard(event)

    def _notify(self) -> None:
        for event in self._waiting:
            event.set()

    async def list(self, *, with_ended: bool, tenant: str = "") -> list[MoveJob]:
        """Newest first, as the store has them now, without those that are damaged. tenant: those
        of its policy alone; empty: all."""
        page = await range_all(self._store, keys.JOBS)
        jobs = readable(page.items, decode_job)
        chosen = [
            job
            for job in jobs
            if (with_ended or job.is_open) and (not tenant or job.tenant == tenant)
        ]
        return sorted(chosen, key=lambda job: (-job.start_ms, job.id))

    async def get(self, job_id: str, tenant: str = "") -> tuple[MoveJob, int]:
        """A job and its revision, as the store has it now. Raises NotFound, also where it is none
        of this tenant's policy; empty: of whose it is does not matter."""
        pair = await self._store.get(keys.job(job_id))
        job = decode_job(pair) if pair is not None else None
        if pair is None or job is None or (tenant and job.tenant != tenant):
            raise NotFound(f"there is no job {job_id}; `homeport moves list --all` names them")
        return job, pair.mod_revision

    async def control(
        self,
        job_id: str,
        *,
        state: JobState | None,
        rate_per_s: float | None,
        policy_version: int = 0,
        tenant: str = "",
        guards: Sequence[Compare] = (),
    ) -> MoveJob:
        """Pauses, continues, cancels or speeds up a job. policy_version: by which it goes on; 0: as
        before; tenant: as `get` has it; guards: hold while that version is in force. Raises
        NotFound; Refused when it has ended; Conflict when others keep changing it, or a guard does
        not hold."""
        for _ in range(ATTEMPTS):
            job, revision = await self.get(job_id, tenant)
            wanted = state or job.state
            if not job.is_open:
                if wanted is job.state and rate_per_s is None:
                    return job
                raise Refused(f"job {job_id} has ended: it is {job.state.value}")
            after = replace(
                job,
                state=wanted,
                rate_per_s=rate_per_s or job.rate_per_s,
                policy_version=policy_version or job.policy_version,
            )
            if wanted not in OPEN:
                after = replace(after, end_ms=int(self._wall() * 1000),
                                message="an operator cancelled it")  # fmt: skip
            if after == job or await self.write(after, revision, guards):
                return after
        raise Conflict(f"job {job_id} keeps changing under this request; try again")

    async def create(
        self, job: MoveJob, guards: Sequence[Compare] = (), *, replaced: Sequence[str] = ()
    ) -> MoveJob:
        """A new job, in place of an ended one and of ended ones of the ids `replaced`. Raises
        Conflict while one of its id is open, and where a guard does not hold."""
        pair = await self._store.get(keys.job(job.id))
        if pair is not None and decode_job(pair).is_open:
            raise Conflict(
                f"job {job.id} is under way; wait for it, or end it with "
                f"`homeport moves cancel {job.id}`"
            )
        if not await self.write(job, pair.mod_revision if pair is not None else 0, guards):
            raise Conflict(f"job {job.id} or what it stands on changed just now; try again")
        for one in replaced:
            await self._delete_ended(one)
        return job

    async def _delete_ended(self, job_id: str) -> None:
        pair = await self._store.get(keys.job(job_id))
        if pair is not None and not decode_job(pair).is_open:
            stands = unchanged(pair.key, pair.mod_revision)
            await self._store.commit(Txn(compares=[stands], then=[Delete(pair.key)]))

    async def write(self, job: MoveJob, revision: int, guards: Sequence[Compare] = ()) -> int:
        """The revision at which it was written; 0 where it is not at `revision` any more or a
        guard does not hold."""
        key = keys.job(job.id)
        result = await self._store.commit(
            Txn(compares=[unchanged(key, revision), *guards], then=[Put(key, encode_job(job))])
        )
        return result.revision if result.succeeded else 0


def _with_revision(pair: KeyValue) -> tuple[MoveJob, int]:
    return decode_job(pair), pair.mod_revision

"""How a command waits for a job that moves clients to end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from console.cli.failure import CommandFailed
from console.cli.markup import escape
from console.cli.output import note
from console.cli.progress import counting

if TYPE_CHECKING:
    from console.cli.calls.fleet import FleetCalls
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

POLL_S = 0.5


def wait_for(service: FleetCalls, job: fleet.MoveJob) -> fleet.MoveJob:
    """Shows progress until the job has ended; returns it as it ended. Raises CommandFailed
    when it was cancelled. Ctrl-C ends the waiting, not the job."""
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

    told, shown = "", 0
    with counting(f"moving clients ({job.job_id})", total=job.total or None) as advance:
        while True:
            jobs = service.list_move_jobs(with_ended=True)
            job = next((one for one in jobs if one.job_id == job.job_id), job)
            advance(max(0, job.moved - shown))
            shown = max(shown, job.moved)
            if job.message and job.message != told:
                note(escape(f"{job.job_id}: {job.message}"))
                told = job.message
            if job.state == fleet.MOVE_JOB_STATE_CANCELLED:
                raise CommandFailed(f"job {job.job_id} was cancelled: {job.message}")
            if job.state == fleet.MOVE_JOB_STATE_DONE:
                return job
            time.sleep(POLL_S)

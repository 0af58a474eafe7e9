"""How jobs that move clients, and plans of moves, look: for people and for programs; and how
a command waits for a job to end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from console.cli.failure import CommandFailed
from console.cli.output import console_for_notes
from console.cli.progress import counting

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from console.cli.service import Service
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

POLL_S = 0.5


def job_document(job: fleet.MoveJob) -> dict[str, Any]:
    """A job for programs."""
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

    return {
        "id": job.job_id,
        "kind": _word(fleet.MoveJobKind.Name(job.kind), "MOVE_JOB_KIND_"),
        "state": _word(fleet.MoveJobState.Name(job.state), "MOVE_JOB_STATE_"),
        "unit": job.unit_id or None,
        "rate_per_s": job.rate_per_s,
        "total": job.total,
        "moved": job.moved,
        "kept": job.kept,
        "max_moves": job.max_moves or None,
        "started_at": job.start_time.seconds,
        "ended_at": job.end_time.seconds if job.HasField("end_time") else None,
        "message": job.message or None,
    }


def jobs_table(jobs: list[fleet.MoveJob]) -> Table:
    """Jobs for people."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("job", overflow="fold")
    table.add_column("state")
    for title in ("moved", "of", "stay", "rate"):
        table.add_column(title, justify="right")
    table.add_column("says", overflow="fold")
    colours = {"running": "green", "paused": "yellow", "cancelled": "red"}
    for job in jobs:
        told = job_document(job)
        colour = colours.get(told["state"], "dim")
        table.add_row(
            told["id"],
            f"[{colour}]{told['state']}[/]",
            f"{job.moved:,}",
            f"{job.total:,}" if job.total else "–",
            f"{job.kept:,}",
            f"{job.rate_per_s:,.4g}/s",
            job.message or "–",
        )
    return table


def plan_document(plan: fleet.MovePlan) -> dict[str, Any]:
    """A plan for programs."""
    return {
        "moves": plan.moves,
        "targets": [{"unit": one.unit_id, "clients": one.clients} for one in plan.targets],
        "stay": plan.stay,
        "stay_reason": plan.stay_reason or None,
        "beyond_bound": plan.beyond_bound,
    }


def plan_picture(plan: fleet.MovePlan, heading: str) -> RenderableType:
    """A plan for people: what it comes to, where they would go, and who would not."""
    from rich import box
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    parts: list[RenderableType] = [f"[bold]{heading}[/]"]
    if plan.targets:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=len(plan.targets) > 1)
        table.add_column("to unit", footer="in all", overflow="fold")
        table.add_column("clients", justify="right", footer=f"{plan.moves:,}")
        table.add_column("share", justify="right")
        for one in plan.targets:
            table.add_row(one.unit_id, f"{one.clients:,}", f"{one.clients / plan.moves:.1%}")
        parts.append(table)
    if plan.stay:
        parts.append(f"[yellow]{plan.stay:,} would stay: {escape(plan.stay_reason)}[/]")
    if plan.beyond_bound:
        parts.append(f"{plan.beyond_bound:,} more would move, were there no bound")
    return Group(*parts)


def wait_for(service: Service, job: fleet.MoveJob) -> fleet.MoveJob:
    """Shows progress until the job has ended; returns it as it ended. Raises CommandFailed
    when it was cancelled. Ctrl-C ends the waiting, not the job."""
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

    notes, told, shown = console_for_notes(), "", 0
    with counting(f"moving clients ({job.job_id})", total=job.total or None) as advance:
        while True:
            jobs = service.list_move_jobs(with_ended=True)
            job = next((one for one in jobs if one.job_id == job.job_id), job)
            advance(max(0, job.moved - shown))
            shown = max(shown, job.moved)
            if job.message and job.message != told:
                notes.print(f"[dim]{job.job_id}: {job.message}[/]")
                told = job.message
            if job.state == fleet.MOVE_JOB_STATE_CANCELLED:
                raise CommandFailed(f"job {job.job_id} was cancelled: {job.message}")
            if job.state == fleet.MOVE_JOB_STATE_DONE:
                return job
            time.sleep(POLL_S)


def _word(enum_name: str, prefix: str) -> str:
    return enum_name.removeprefix(prefix).lower().replace("_", "-")

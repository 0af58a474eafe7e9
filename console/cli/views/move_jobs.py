"""Jobs that move clients, and plans of moves, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, optional, whole
from console.cli.views.numbers import exact

if TYPE_CHECKING:
    from rich.console import RenderableType

    from homeport.api.fleet.v1 import fleet_pb2 as fleet


def job_document(job: fleet.MoveJob) -> dict[str, Any]:
    """A job for programs."""
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

    return {
        "id": job.job_id,
        "kind": _word(fleet.MoveJobKind.Name(job.kind), "MOVE_JOB_KIND_"),
        "state": _word(fleet.MoveJobState.Name(job.state), "MOVE_JOB_STATE_"),
        "unit": job.unit_id or None,
        "tenant": job.tenant or None,
        "policy_version": job.policy_version or None,
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
    table = Table(
        whole("job"), whole("state"), *map(number, ("moved", "of", "stay")),
        optional(number("rate")), fold("says"),
    )  # fmt: skip
    colours = {"running": "green", "paused": "yellow", "cancelled": "red"}
    for job in jobs:
        told = job_document(job)
        colour = colours.get(told["state"], "dim")
        table.add_row(
            escape(told["id"]),
            f"[{colour}]{told['state']}[/]",
            f"{job.moved:,}",
            f"{job.total:,}" if job.total else "–",
            f"{job.kept:,}",
            f"{exact(round(job.rate_per_s, 3), grouped=True)}/s",
            escape(job.message) or "–",
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


def plan_view(plan: fleet.MovePlan, heading: str) -> RenderableType:
    """A plan for people: what it comes to, where they would go, and who would not."""
    from rich.console import Group

    parts: list[RenderableType] = [f"[bold]{escape(heading)}[/]"]
    if plan.targets:
        table = Table(
            whole("to unit", footer="in all"), number("clients", footer=f"{plan.moves:,}"),
            number("share"), footers=len(plan.targets) > 1,
        )  # fmt: skip
        for one in plan.targets:
            table.add_row(
                escape(one.unit_id), f"{one.clients:,}", f"{one.clients / plan.moves:.1%}"
            )
        parts.append(table)
    if plan.stay:
        parts.append(f"[yellow]{plan.stay:,} would stay: {escape(plan.stay_reason)}[/]")
    if plan.beyond_bound:
        parts.append(f"{plan.beyond_bound:,} more would move, were there no bound")
    return Group(*parts)


def _word(enum_name: str, prefix: str) -> str:
    return enum_name.removeprefix(prefix).lower().replace("_", "-")

"""`homeport units cordon|drain|undrain|remove|rebalance`: takes units out of service and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.commands import units
from console.cli.commands.units import UnitIdArgument
from console.cli.markup import escape
from console.cli.options import MOST_INT64, Ca, Output, Profile, Server, Token, target_of
from console.cli.output import Format, busy, note, show
from control_plane.printable import number_of

if TYPE_CHECKING:
    from console.cli.calls.fleet import FleetCalls
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

app = units.app  # one group, in two modules
MOST_PER_S = 1e9  # more than can be; infinity is no number to count with
PLAN_DEADLINE_S = 300.0  # a plan looks at every client

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would happen; change nothing.")
]
Revision = Annotated[
    int | None,
    typer.Option(
        help="Only if the unit has not changed since this revision, as `units show` tells it.",
        metavar="N",
        min=1,
        max=MOST_INT64,
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(
        help="Clients moved per second, at most; 0.01 or more. Default: the server's, "
        "--move-rate-per-s. To stop a job: homeport moves pause.",
        metavar="N",
        min=0.01,
        max=MOST_PER_S,
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Stay until it is over, with progress.")]


@app.command("cordon")
def cordon_unit(
    unit: UnitIdArgument,
    dry_run: DryRun = False,
    revision: Revision = None,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Keeps new clients away from a unit; those it has stay."""
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.units import document_of, unit_table

    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        told = service.cordon_unit(unit, dry_run=dry_run, revision=revision or 0)
    if dry_run:
        stay = number_of(told.clients, "client")
        note(escape(f"{unit} would take no new clients; its {stay} would stay"))
    show(document_of(told), output, lambda: unit_table(told))


@app.command("drain")
def drain_unit(
    unit: UnitIdArgument,
    dry_run: DryRun = False,
    revision: Revision = None,
    rate: Rate = None,
    wait: Wait = False,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Moves all clients off a unit, in the background.

    It takes no new ones meanwhile; a client that asks is moved at once.
    """
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.move_jobs import plan_document, plan_view

    target = target_of(server, None, token, profile, ca)
    if dry_run:
        with (
            FleetCalls(target, deadline_s=PLAN_DEADLINE_S) as service,
            busy(f"planning for {unit}"),
        ):
            plan = service.plan_drain(unit, revision=revision or 0)
        heading = f"draining {unit} would move {number_of(plan.moves, 'client')}"
        show(
            {"unit": unit, "plan": plan_document(plan)},
            output,
            lambda: plan_view(plan, heading),
        )
        return
    with FleetCalls(target) as service:
        job = service.drain_unit(unit, revision=revision or 0, rate_per_s=rate or 0.0)
        _show_job(service, job, wait, output)


@app.command("undrain")
def undrain_unit(
    unit: UnitIdArgument,
    dry_run: DryRun = False,
    revision: Revision = None,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Ends cordon or drain: the unit takes clients again.

    Those that left stay where they are, unless their tenant's return-home says otherwise.
    """
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.units import document_of, unit_table

    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        told = service.undrain_unit(unit, dry_run=dry_run, revision=revision or 0)
    if dry_run:
        note(escape(f"{unit} would take clients again"))
    show(document_of(told), output, lambda: unit_table(told))


@app.command("remove")
def remove_unit(
    unit: UnitIdArgument,
    dry_run: DryRun = False,
    revision: Revision = None,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Removes a unit that has no clients."""
    from console.cli.calls.fleet import FleetCalls

    with (
        FleetCalls(target_of(server, None, token, profile, ca)) as service,
        busy(f"removing {unit}"),
    ):
        service.remove_unit(unit, dry_run=dry_run, revision=revision or 0)
    document = {"unit": unit, "removed": not dry_run}
    if dry_run:
        show(document, output, lambda: escape(f"unit {unit} has no clients, and could be removed"))
        return
    show(document, output, lambda: escape(f"unit {unit} is removed"))
    if output is Format.TABLE:
        note("its agent cannot bring it back; `homeport units apply` does")


@app.command("rebalance")
def rebalance(
    dry_run: DryRun = False,
    max_moves: Annotated[
        int | None,
        typer.Option(
            help="Clients moved at most. Default: a tenth of all.",
            metavar="N",
            min=1,
            max=MOST_INT64,
        ),
    ] = None,
    rate: Rate = None,
    wait: Wait = False,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Moves clients to units that suit them clearly better, as after adding one."""
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.move_jobs import plan_document, plan_view

    target = target_of(server, None, token, profile, ca)
    if dry_run:
        with FleetCalls(target, deadline_s=PLAN_DEADLINE_S) as service, busy("planning"):
            plan = service.plan_rebalance(max_moves=max_moves or 0)
        heading = f"rebalancing would move {number_of(plan.moves, 'client')}"
        show({"plan": plan_document(plan)}, output, lambda: plan_view(plan, heading))
        return
    with FleetCalls(target) as service:
        job = service.rebalance(max_moves=max_moves or 0, rate_per_s=rate or 0.0)
        _show_job(service, job, wait, output)


def _show_job(service: FleetCalls, job: fleet.MoveJob, wait: bool, output: Format) -> None:
    from console.cli.commands.job_wait import wait_for
    from console.cli.views.move_jobs import job_document, jobs_table

    if wait:
        job = wait_for(service, job)
    show(job_document(job), output, lambda: jobs_table([job]))
    if output is Format.TABLE and not wait:
        note("it goes on by itself; watch it with `homeport moves list`")

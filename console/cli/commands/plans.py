"""`homeport plans`: what happens when, around which event of a user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.markup import escape
from console.cli.options import (
    Ca,
    DataServer,
    NamedFile,
    Output,
    Profile,
    Tenant,
    Token,
    data_target_of,
    one_file,
)
from console.cli.output import Format, show, warn

if TYPE_CHECKING:
    pass

app = typer.Typer(help="Event plans: make them, see them, change them.", no_args_is_help=True)

PlanId = Annotated[str, typer.Argument(help="The plan's id.", metavar="PLAN")]


@app.command("create")
def create(
    file: Annotated[
        Path | None,
        typer.Argument(help="The plan, YAML or JSON; - reads stdin.", metavar="FILE|-"),
    ] = None,
    named: NamedFile = None,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Creates a plan. The same plan again is answered with what is there."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.input.text_file import read_text
    from console.cli.views.plans import document_of, plan_table

    spec = read_text(one_file(file, named))
    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        plan = service.create_plan(target.tenant, spec)
    warn(plan.warnings)
    show(document_of(plan), output, lambda: plan_table(plan))


@app.command("list")
def list_plans(
    owner: Annotated[str, typer.Option("--owner", help="Only this owner's.")] = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists plans with their next occurrence."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.plans import document_of, plans_table

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.list_plans(target.tenant, owner)
    warn(f"{one.plan_id}: {warning}" for one in found for warning in one.warnings)
    show({"plans": [document_of(one) for one in found]}, output, lambda: plans_table(found))


@app.command("show")
def show_plan(
    plan: PlanId,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows a plan: what is due when, as changes have left it."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.plans import document_of, plan_table

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.get_plan(target.tenant, plan)
    warn(found.warnings)
    show(document_of(found), output, lambda: plan_table(found))


@app.command("change")
def change(
    plan: PlanId,
    shift: Annotated[
        str | None,
        typer.Option(help="From the planned time: -20m is earlier, 0s as planned.", metavar="S"),
    ] = None,
    cancelled: Annotated[
        bool | None, typer.Option("--cancel/--uncancel", help="That it does not take place.")
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting; the value is JSON.", metavar="ACTION.FIELD=VALUE"),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Planned time of the occurrence, RFC 3339. Default: the next.",
                     metavar="TIME"),
    ] = None,
    every: Annotated[bool, typer.Option("--every", help="Every occurrence.")] = False,
    note: Annotated[str, typer.Option(help="Why, for the history.")] = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:  # fmt: skip
    """Changes one occurrence, or all. What a user sets stands against rules."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.input.plan_change import PlanChange
    from console.cli.views.plans import document_of, plan_table

    wanted = PlanChange.of(
        shift=shift, cancelled=cancelled, settings=config or [], at=at, every=every, note=note
    )
    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        known = service.get_plan(target.tenant, plan)
        found = service.change_plan(wanted.request_for(known))
    warn(found.warnings)
    show(document_of(found), output, lambda: plan_table(found))


@app.command("history")
def history(
    plan: PlanId,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows every change with its cause, the newest first."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.plans import change_document, history_table

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.plan_history(target.tenant, plan)
    show({"changes": [change_document(one) for one in found]}, output, lambda: history_table(found))


@app.command("undo")
def undo(
    plan: PlanId,
    change_id: Annotated[str, typer.Argument(help="From the history.", metavar="CHANGE")],
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Takes one change back; what later changes set stays. Undo the undo to have it again."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.plans import document_of, plan_table

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.undo_change(target.tenant, plan, change_id)
    warn(found.warnings)
    show(document_of(found), output, lambda: plan_table(found))


@app.command("cancel")
def cancel(
    plan: PlanId,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Ends a plan for good: nothing of it becomes due any more."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.plans import document_of

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.cancel_plan(target.tenant, plan)
    show(document_of(found), output, lambda: escape(f"{found.plan_id} is cancelled"))

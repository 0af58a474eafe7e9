"""`homeport plans`: what happens when, around which event of a user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.options import Ca, DataServer, Output, Profile, Tenant, Token, data_target_of
from console.cli.output import Format, show

if TYPE_CHECKING:
    from rich.table import Table

    from homeport.api.datasharing.v1 import plan_pb2 as pb

app = typer.Typer(help="Event plans: make them, see them, change them.", no_args_is_help=True)

PlanId = Annotated[str, typer.Argument(help="The plan's id.", metavar="PLAN")]


@app.command("create")
def create(
    file: Annotated[Path, typer.Argument(help="The plan, YAML or JSON.", metavar="FILE")],
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

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        plan = service.create_plan(target.tenant, read_text(file))
    show(_document(plan), output, lambda: _one(plan))


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

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.list_plans(target.tenant, owner)
    show({"plans": [_document(one) for one in found]}, output, lambda: _list(found))


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

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.get_plan(target.tenant, plan)
    show(_document(found), output, lambda: _one(found))


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
    from console.cli.input.plan_change import change_request

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        known = service.get_plan(target.tenant, plan)
        request = change_request(
            known, shift=shift, cancelled=cancelled, settings=config or [], at=at, every=every,
            note=note,
        )  # fmt: skip
        found = service.change_plan(request)
    show(_document(found), output, lambda: _one(found))


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

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.plan_history(target.tenant, plan)
    show({"changes": [_change(one) for one in found]}, output, lambda: _history(found))


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

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.undo_change(target.tenant, plan, change_id)
    show(_document(found), output, lambda: _one(found))


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

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.cancel_plan(target.tenant, plan)
    show(_document(found), output, lambda: f"{found.plan_id} is cancelled")


def _document(plan: pb.Plan) -> dict[str, Any]:
    import json

    from google.protobuf.json_format import MessageToDict

    following = None
    if plan.HasField("next"):
        following = {
            "planned_time": plan.next.planned_time.ToJsonString(),
            "effective_time": plan.next.effective_time.ToJsonString(),
            "cancelled": plan.next.cancelled,
            "actions": [
                {
                    "name": one.name, "application": one.application, "action": one.action,
                    "due_time": one.due_time.ToJsonString(), "config": MessageToDict(one.config),
                }
                for one in plan.next.actions
            ],
        }  # fmt: skip
    return {
        "id": plan.plan_id,
        "version": plan.version,
        "cancelled": plan.cancelled,
        "next": following,
        "spec": json.loads(plan.spec),
    }


def _change(one: pb.PlanChange) -> dict[str, Any]:
    import json

    return {
        "id": one.change_id,
        "version": one.version,
        "change_time": one.change_time.ToJsonString(),
        "occurrence_time": (
            one.occurrence_time.ToJsonString() if one.HasField("occurrence_time") else None
        ),
        "by": f"user {one.user}" if one.user else f"rule {one.rule_id}",
        "rule_version": one.rule_version or None,
        "event": one.event_id or None,
        "undoes": one.undoes or None,
        "undone": one.undone,
        "note": one.note or None,
        "fields": [
            {
                "field": field.field,
                "before": json.loads(field.before) if field.before else None,
                "after": json.loads(field.after) if field.after else None,
            }
            for field in one.fields
        ],
    }


def _list(plans: list[pb.Plan]) -> Table:
    from rich.table import Table

    table = Table("plan", "version", "next", "moved by", "actions")
    for one in plans:
        if not one.HasField("next"):
            table.add_row(one.plan_id, str(one.version), _state(one), "–", "–")
            continue
        moved_s = one.next.effective_time.seconds - one.next.planned_time.seconds
        actions = ", ".join(action.name for action in one.next.actions)
        table.add_row(
            one.plan_id, str(one.version), _state(one), f"{moved_s // 60:+d} min", actions
        )
    return table


def _state(plan: pb.Plan) -> str:
    if plan.cancelled:
        return "cancelled"
    if not plan.HasField("next"):
        return "nothing to come"
    at = plan.next.effective_time.ToJsonString()
    return f"{at} (cancelled)" if plan.next.cancelled else at


def _one(plan: pb.Plan) -> Table:
    import json

    from google.protobuf.json_format import MessageToDict
    from rich.markup import escape
    from rich.table import Table

    table = Table("action", "due", "application", "config", title=f"{plan.plan_id}: {_state(plan)}")
    for one in plan.next.actions:
        config = json.dumps(MessageToDict(one.config), ensure_ascii=False)
        table.add_row(
            one.name, one.due_time.ToJsonString(), f"{one.application} {one.action}",
            escape(config),
        )  # fmt: skip
    return table


def _history(changes: list[pb.PlanChange]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table("change", "when", "by", "what", "why")
    for one in changes:
        what = "\n".join(
            f"{field.field}: {field.before or 'as planned'} → {field.after or 'as planned'}"
            for field in one.fields
        )
        by = f"user {one.user}" if one.user else f"rule {one.rule_id} v{one.rule_version}"
        undone = " [dim](undone)[/]" if one.undone else ""
        table.add_row(
            one.change_id + undone, one.change_time.ToJsonString(), by, escape(what),
            escape(one.note),
        )  # fmt: skip
    return table

"""`homeport approvals`: instructions that wait for a person, with what they are judged by."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.commands.decisions import InstructionId, Limit
from console.cli.markup import escape
from console.cli.options import (
    Ca,
    DataServer,
    Output,
    Profile,
    Tenant,
    Token,
    data_target_of,
)
from console.cli.output import Format, show

app = typer.Typer(help="Instructions that wait for a person.", no_args_is_help=True)

Revision = Annotated[
    str,
    typer.Option(
        "--revision",
        help="Of the rule, as `show` says: where it has changed since it decided.",
        metavar="REVISION",
    ),
]


@app.command("list")
def list_approvals(
    decided: Annotated[
        bool, typer.Option("--decided", help="Also those that were decided, or expired.")
    ] = False,
    limit: Limit = 50,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists what waits for approval, newest first."""
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.approvals import approval_document, approvals_table
    from homeport.api.datasharing.v1 import approval_pb2 as messages

    verdict = 0 if decided else messages.APPROVAL_VERDICT_WAITING
    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        found = calls.list_approvals(target.tenant, verdict=verdict, limit=limit)
    document = {"approvals": [approval_document(one) for one in found]}
    show(document, output, lambda: approvals_table(found))


@app.command("show")
def show_approval(
    instruction: InstructionId,
    purpose: Annotated[
        str,
        typer.Option(
            help="What for: needed to see events of feeds with a sharing policy.",
            metavar="TEXT",
        ),
    ] = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows one with its evidence: events, rule, and the values that the rule read."""
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.approvals import approval_document, approval_view

    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        found = calls.get_approval(target.tenant, instruction, purpose=purpose)
    show(approval_document(found, with_events=True), output, lambda: approval_view(found))


@app.command("approve")
def approve(
    instruction: InstructionId,
    revision: Revision = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lets an instruction go.

    Where its rule was changed or retired since it decided, that is said, and `--revision` is
    needed.
    """
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.approvals import approval_document

    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        done = calls.approve_approval(target.tenant, instruction, revision=revision)
    said = f"{instruction} is approved by {done.approver}"
    show(approval_document(done), output, lambda: escape(said))


@app.command("reject")
def reject(
    instruction: InstructionId,
    reason: Annotated[str, typer.Option(help="Why, for the dead letter.", metavar="TEXT")] = "",
    revision: Revision = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Ends an instruction; it becomes a dead letter."""
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.approvals import approval_document

    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        done = calls.reject_approval(target.tenant, instruction, reason, revision=revision)
    said = f"{instruction} is rejected by {done.approver}; it is a dead letter"
    show(approval_document(done), output, lambda: escape(said))

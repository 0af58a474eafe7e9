"""`homeport rules rollout`, `rollback`, `pause` and `resume`: new versions come into force step by
step, and go back; a rule stops deciding, and goes on with what waited."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.commands.rules import RuleId
from console.cli.markup import escape
from console.cli.options import (
    MOST_INT64,
    Ca,
    DataServer,
    Output,
    Profile,
    Tenant,
    Token,
    data_target_of,
)
from console.cli.output import Format, show

app = typer.Typer(
    help="Rollouts: a new version decides in shadow, for a share of the keys, then for all.",
    no_args_is_help=True,
)

Reason = Annotated[str, typer.Option("--reason", help="Why, for the history.", metavar="TEXT")]


@app.command("status")
def status(
    rule: RuleId,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows how far a rule's rollout is, and how its two versions compare.

    With the newest decisions in which they differ, and what has moved it so far. Of a rollout that
    is over it shows how it ended.
    """
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.rollouts import rollout_document, rollout_view

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.get_rollout(target.tenant, rule)
    show(rollout_document(found, whole=True), output, lambda: rollout_view(rule, found))


@app.command("promote")
def promote(
    rule: RuleId,
    full: Annotated[
        bool, typer.Option("--full", help="To the end: in force for all keys.")
    ] = False,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Takes a rollout to its next step, also one that is held."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.rollouts import rollout_document, rollout_table

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        step = service.get_rollout(target.tenant, rule).step
        found = service.promote_rollout(target.tenant, rule, from_step=step, full=full)
    show(rollout_document(found, whole=True), output, lambda: rollout_table(rule, found))


@app.command("hold")
def hold(
    rule: RuleId,
    reason: Reason = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Keeps a rollout at its step until it is promoted or aborted."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.rollouts import rollout_document, rollout_table

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.hold_rollout(target.tenant, rule, reason)
    show(rollout_document(found, whole=True), output, lambda: rollout_table(rule, found))


@app.command("abort")
def abort(
    rule: RuleId,
    reason: Reason = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Ends a rollout: the version before acts for all keys again, from the next event on."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.rollouts import rollout_document, rollout_table

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.abort_rollout(target.tenant, rule, reason)
    show(rollout_document(found, whole=True), output, lambda: rollout_table(rule, found))


def rollback(
    rule: RuleId,
    to: Annotated[
        int,
        typer.Option(
            "--to", help="Default: the one in force before.", metavar="VERSION", min=0,
            max=MOST_INT64,
        ),
    ] = 0,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:  # fmt: skip
    """Puts what an earlier version decides back in force, for all keys, as a new version.

    State lives on where its shape is unchanged.
    """
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.rules import document_of

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        before = service.get_rule(target.tenant, rule, 0).version
        found = service.rollback_rule(target.tenant, rule, from_version=before, to_version=to)
    said = f"{found.rule_id}: version {found.version} is in force, it was {before}"
    if found.version == before:
        said = f"{found.rule_id}: version {before} decides so already"
    show(document_of(found), output, lambda: escape(said))


def pause(
    rule: RuleId,
    reason: Reason = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Has a rule decide nothing from the next event on; what comes waits, in order.

    Others go on. Events wait no longer than their feed keeps them.
    """
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.rules import document_of

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.pause_rule(target.tenant, rule, reason)
    said = f"{found.rule_id} is paused; {found.pause.waiting_events:,} events wait"
    show(document_of(found), output, lambda: escape(said))


def resume(
    rule: RuleId,
    skip_backlog: Annotated[
        bool, typer.Option("--skip-backlog", help="What waits now is not decided.")
    ] = False,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Has a paused rule decide what waits, in order, and then what comes.

    `homeport rules list` shows how much still waits.
    """
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.rules import document_of

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.resume_rule(target.tenant, rule, skip_backlog=skip_backlog)
    one = found.pause.waiting_events == 1
    what = f"{'is' if one else 'are'} {'skipped' if skip_backlog else 'decided first'}"
    said = f"{found.rule_id} is resumed; {_waited(found.pause.waiting_events)} {what}"
    show(document_of(found), output, lambda: escape(said))


def _waited(events: int) -> str:
    return "1 event that waited" if events == 1 else f"{events:,} events that waited"

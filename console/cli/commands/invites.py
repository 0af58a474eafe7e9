"""`homeport invites`: invitations to groups of organisations. But for `route`, which is an
operator's, each command acts for a client, at its unit, with its ticket."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from console.cli.commands.at_home import calls_at_home
from console.cli.input.organisations import (
    OrganisationArgument,
    OrganisationOption,
    organisation_of,
)
from console.cli.options import Ca, ClientId, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, show

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from console.cli.calls.invites import InviteCalls
    from console.cli.profile import Target
    from homeport.api.communication.v1 import invite_pb2

app = typer.Typer(help="Invitations to groups of organisations.", no_args_is_help=True)

Name: TypeAlias = Annotated[
    str, typer.Argument(help="An e-mail address, @handle or number.", metavar="NAME")
]
Organisation: TypeAlias = Annotated[
    str, typer.Option("--organisation", help="Whose group it is.", metavar="ORGANISATION")
]
Group: TypeAlias = Annotated[str, typer.Option("--group", help="The group's id.", metavar="GROUP")]
Invitation: TypeAlias = Annotated[
    str, typer.Argument(help="As the list has it, or a letter.", metavar="INVITATION")
]
WentTo: TypeAlias = Annotated[
    str,
    typer.Option(
        "--name",
        help="The address that it went to, for one that was not brought to the account.",
        metavar="NAME",
    ),
]


@app.command("route")
def route(
    name: Name,
    group: Group,
    named: OrganisationArgument = None,
    organisation: OrganisationOption = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says where an invitation would go, and by which rules. Nothing is sent."""
    from console.cli.calls.organisations import OrganisationCalls
    from console.cli.failure import ExitCode
    from console.cli.views.organisations import route_document, route_view

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        whose = organisation_of(named, organisation)
        document = route_document(service.route(whose, group, name))
    show(document, output, lambda: route_view(document))
    if document["outcome"] == "refused":
        raise typer.Exit(ExitCode.REFUSED)


@app.command("send")
def send(
    client: ClientId,
    name: Name,
    organisation: Organisation,
    group: Group,
    lasts: Annotated[
        str, typer.Option("--for", help="How long it is good, 60s to 30d.", metavar="DURATION")
    ] = "7d",
    id_: Annotated[
        str | None,
        typer.Option("--id", help="32 hex digits; the same again is one.", metavar="ID"),
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Invites somebody to a group. Whom it reaches is not told."""
    from console.cli.failure import CommandFailed, ExitCode
    from console.cli.input.durations import duration_s
    from console.cli.input.message_ids import id_of

    try:
        lasts_s = duration_s(lasts)
    except ValueError as error:
        raise CommandFailed(f"--for: {error}", ExitCode.USAGE) from error
    request_id = secrets.token_bytes(16) if id_ is None else id_of(id_, "--id")
    with _calls(target_of(server, tenant, token, profile, ca), client) as calls:
        made = calls.send(organisation, group, name, request_id, lasts_s)
    _show(made, output)


@app.command("accept")
def accept(
    client: ClientId,
    invitation: Invitation,
    name: WentTo = "",
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Accepts an invitation, judged as of now."""
    with _calls(target_of(server, tenant, token, profile, ca), client) as calls:
        found = calls.accept(invitation, name)
    _show(found, output)


@app.command("decline")
def decline(
    client: ClientId,
    invitation: Invitation,
    name: WentTo = "",
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Declines an invitation."""
    with _calls(target_of(server, tenant, token, profile, ca), client) as calls:
        found = calls.decline(invitation, name)
    _show(found, output)


@app.command("withdraw")
def withdraw(
    client: ClientId,
    invitation: Invitation,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Takes back an invitation that the client made."""
    with _calls(target_of(server, tenant, token, profile, ca), client) as calls:
        found = calls.withdraw(invitation)
    _show(found, output)


@app.command("list")
def list_invites(
    client: ClientId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists what the client made, and was brought, the newest first."""
    from console.cli.views.invites import invites_document, invites_view

    with _calls(target_of(server, tenant, token, profile, ca), client) as calls:
        document = invites_document(calls.all())
    show(document, output, lambda: invites_view(document))


@app.command("conversation")
def conversation(
    client: ClientId,
    organisation: Organisation,
    group: Group,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says which conversation those have who are in a group now."""
    from console.cli.views.invites import conversation_document, conversation_view

    with _calls(target_of(server, tenant, token, profile, ca), client) as calls:
        document = conversation_document(calls.conversation(organisation, group))
    show(document, output, lambda: conversation_view(document))


def _calls(target: Target, client: str) -> AbstractContextManager[InviteCalls]:
    from console.cli.calls.invites import InviteCalls

    return calls_at_home(InviteCalls, target, client)


def _show(invite: invite_pb2.Invite, output: Format) -> None:
    from console.cli.views.invites import invite_document, invite_view

    document = invite_document(invite)
    show(document, output, lambda: invite_view(document))

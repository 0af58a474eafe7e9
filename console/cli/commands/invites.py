"""`homeport invites`: where invitations to groups go."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.options import Ca, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, show

app = typer.Typer(help="Invitations to groups of organisations.", no_args_is_help=True)


@app.callback()
def invites() -> None:
    """Invitations to groups of organisations."""


@app.command("route")
def route(
    name: Annotated[
        str, typer.Argument(help="An e-mail address, @handle or number.", metavar="NAME")
    ],
    organisation: Annotated[
        str, typer.Option("--organisation", help="Whose group it is.", metavar="ORGANISATION")
    ],
    group: Annotated[str, typer.Option("--group", help="The group's id.", metavar="GROUP")],
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says where an invitation would go, and by which rules. Nothing is sent."""
    from console.cli.calls.organisations import OrganisationCalls
    from console.cli.views.organisations import route_document, route_view

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        document = route_document(service.route(organisation, group, name))
    show(document, output, lambda: route_view(document))

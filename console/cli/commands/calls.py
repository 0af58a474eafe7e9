"""`homeport calls`: whom an account calls by which numbers, and what became of its calls. Each
command acts for the client, with its ticket."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.commands.at_home import calls_at_home
from console.cli.failure import nothing_removed
from console.cli.options import Ca, ClientId, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, show

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from console.cli.calls.telephony import TelephonyCalls
    from console.cli.profile import Target

app = typer.Typer(
    help="Calls and texts by numbers that stand for those of both sides.", no_args_is_help=True
)

Region = Annotated[
    str,
    typer.Option("--region", help="In which a national number is read, as GB.", metavar="REGION"),
]


class Shown(StrEnum):
    """What strangers are shown as."""

    LINKED = "linked"
    ANONYMOUS = "anonymous"


@app.command("link")
def link(
    client: ClientId,
    contact: Annotated[str, typer.Argument(help="The contact's number.", metavar="NUMBER")],
    region: Region = "",
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Gives a contact a technical number, at which the account calls it."""
    from console.cli.views.calls import link_document, link_view

    with telephony_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        document = link_document(calls.link(contact, region))
    show(document, output, lambda: link_view(document))


@app.command("unlink")
def unlink(
    client: ClientId,
    number: Annotated[
        str, typer.Argument(help="The technical number, or the contact's.", metavar="NUMBER")
    ],
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Takes a contact's technical number back."""
    from console.cli.views.calls import unlinked_view

    with telephony_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        unlinked = calls.unlink(number)
    if not unlinked:
        raise nothing_removed(f"{client} has no link with {number}")
    document = {"unlinked": unlinked}
    show(document, output, lambda: unlinked_view(document))


@app.command("links")
def links(
    client: ClientId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows the account's own numbers and those of its contacts."""
    from console.cli.views.calls import links_document, links_view

    with telephony_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        document = links_document(calls.links())
    show(document, output, lambda: links_view(document))


@app.command("list")
def list_calls(
    client: ClientId,
    most: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="At most so many.")] = 50,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists the account's calls and texts, the latest first."""
    from console.cli.views.calls import call_document, calls_table

    with telephony_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        documents = [call_document(one) for one in calls.calls(most)]
    show(documents, output, lambda: calls_table(documents))


@app.command("trace")
def trace(
    client: ClientId,
    dialled: Annotated[str, typer.Argument(help="What is dialled.", metavar="DIALLED")],
    caller: Annotated[
        str, typer.Option("--caller", help="Who dials it; else nobody knows.", metavar="NUMBER")
    ] = "",
    region: Region = "",
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says where a call of the account would go, and why; calls nobody."""
    from console.cli.views.calls import trace_document, trace_view

    with telephony_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        document = trace_document(calls.trace(caller, dialled, region))
    show(document, output, lambda: trace_view(document))


@app.command("strangers")
def strangers(
    client: ClientId,
    shown: Annotated[Shown, typer.Argument(help="What they are shown as.")],
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says whether strangers who call get a technical number, or are shown as nobody."""
    from console.cli.views.calls import strangers_view
    from homeport.api.communication.v1 import telephony_pb2 as pb

    numbers = {Shown.LINKED: pb.STRANGERS_LINKED, Shown.ANONYMOUS: pb.STRANGERS_ANONYMOUS}
    with telephony_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        calls.set_strangers(numbers[shown])
    document = {"strangers": shown.value}
    show(document, output, lambda: strangers_view(document))


@app.command("rings")
def rings(
    client: ClientId,
    number: Annotated[
        str,
        typer.Argument(
            help="A telephone that the account has proved; else the first one.", metavar="[NUMBER]"
        ),
    ] = "",
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says which telephone of the account rings."""
    from console.cli.views.calls import rings_view

    with telephony_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        calls.set_ringing(number)
    document = {"rings": number or None}
    show(document, output, lambda: rings_view(document))


def telephony_calls(target: Target, client: str) -> AbstractContextManager[TelephonyCalls]:
    """Calls for the client's account, at its home."""
    from console.cli.calls.telephony import TelephonyCalls

    return calls_at_home(TelephonyCalls, target, client)

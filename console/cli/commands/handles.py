"""`homeport handles` and `homeport resolve`: who has which name, and where they are at home."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.failure import CommandFailed, ExitCode, nothing_removed
from console.cli.markup import escape
from console.cli.name_options import Account, Handle, Offered, OfferedTo, Rename
from console.cli.options import (
    Ca,
    Output,
    Profile,
    RequestId,
    Server,
    Tenant,
    Token,
    target_of,
)
from console.cli.output import Format, note, show

if TYPE_CHECKING:
    from console.cli.profile import Target

app = typer.Typer(help="Handles: the unique names of accounts.", no_args_is_help=True)


@app.command("claim")
def claim(
    handle: Handle,
    account: Account,
    rename: Rename = False,
    request_id: RequestId = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Has an account take a handle. Nothing changes where it has it already."""
    from console.cli.calls.directory import DirectoryCalls

    with DirectoryCalls(target_of(server, tenant, token, profile, ca)) as service:
        claimed = service.claim_handle(account, handle, rename=rename, request_id=request_id or "")
    document = {"account": account, "handle": claimed.handle, "revision": claimed.revision}
    show(document, output, lambda: escape(f"@{claimed.handle} is {account}'s"))


@app.command("release")
def release(
    handle: Handle,
    account: Account,
    request_id: RequestId = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Has an account give a handle back. For 90 days nobody else may have it."""
    from console.cli.calls.directory import DirectoryCalls

    with DirectoryCalls(target_of(server, tenant, token, profile, ca)) as service:
        released = service.release_handle(account, handle, request_id=request_id or "")
    if not released:
        raise nothing_removed(f"{account} does not have {handle}")
    said = f"{account} has given it back"
    show({"account": account, "released": True}, output, lambda: escape(said))


@app.command("offer")
def offer(
    handle: Handle,
    account: Account,
    to: OfferedTo,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Makes an offer of an account's handle to another account, good for seven days."""
    from console.cli.calls.directory import DirectoryCalls
    from console.cli.views.times import time_text

    with DirectoryCalls(target_of(server, tenant, token, profile, ca)) as service:
        offered = service.offer_handle(account, handle, to)
    document = {"offer": offered.offer, "expires_at": offered.expire_time.seconds}
    if output is Format.TABLE:
        note(f"{to} may accept this until {time_text(offered.expire_time.seconds * 1_000)}:")
    show(document, output, lambda: escape(offered.offer))


@app.command("accept")
def accept(
    offered: Offered,
    account: Account,
    rename: Rename = False,
    request_id: RequestId = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Has an account take a handle that it was offered."""
    from console.cli.calls.directory import DirectoryCalls

    with DirectoryCalls(target_of(server, tenant, token, profile, ca)) as service:
        taken = service.accept_handle(account, offered, rename=rename, request_id=request_id or "")
    document = {"account": account, "handle": taken.handle, "revision": taken.revision}
    show(document, output, lambda: escape(f"@{taken.handle} is {account}'s"))


@app.command("show")
def show_handle(
    handle: Handle,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows the account that has a handle: its home, and what else it has."""
    from console.cli.calls.directory import DirectoryCalls
    from console.cli.views.directory import account_document, account_view

    name = handle if handle.startswith("@") else f"@{handle}"
    with DirectoryCalls(target_of(server, tenant, token, profile, ca)) as service:
        residences = service.resolve(name, fresh=True).residences
        found = service.account(residences[0].account)
    show(account_document(found), output, lambda: account_view(found))


def resolve(
    name: Annotated[
        str,
        typer.Argument(
            help="@anna, tel:…, mailto:…, sip:… or xmpp:…, or an address or number as people "
            "write it.",
            metavar="NAME",
        ),
    ],
    viewer: Annotated[
        str,
        typer.Option(
            "--as",
            help="As this account would find it. Default: as an operator, who finds everybody.",
            metavar="CLIENT",
        ),
    ] = "",
    client: Annotated[
        str | None,
        typer.Option(
            "--client",
            help="As this client finds it, with its own ticket and at its unit: who it is, not "
            "where. For whoever is no operator.",
            metavar="CLIENT",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="From the store, not from what the server remembers.")
    ] = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says which account a name is of, and where it is at home."""
    from console.cli.calls.directory import DirectoryCalls
    from console.cli.views.directory import residence_document, residences_table

    target = target_of(server, tenant, token, profile, ca)
    if client is not None:
        if viewer or fresh:
            raise typer.BadParameter("goes without --as and --fresh", param_hint="--client")
        _find(target, client, name, output)
        return
    with DirectoryCalls(target) as service:
        found = service.resolve(name, viewer=viewer, fresh=fresh)
    document = {
        "residences": [residence_document(one) for one in found.residences],
        "revision": found.revision,
        "stale": found.stale,
    }
    if found.stale:
        note("the store is away: this is what the server remembers")
    show(document, output, lambda: residences_table(found.residences))


def _find(target: Target, client: str, name: str, output: Format) -> None:
    """Whom a client finds by a name. Raises CommandFailed where that is no account."""
    from console.cli.commands.conversations import conversation_calls
    from console.cli.views.directory import found_view

    with conversation_calls(target, client) as calls:
        (found,) = calls.found([name])
    if found.way:
        raise CommandFailed(
            f"{client} finds no account as {found.shown}; what it writes there goes by {found.way}",
            ExitCode.NOT_FOUND,
        )
    document = {"account": found.member, "shown": found.shown}
    show(document, output, lambda: found_view(document))

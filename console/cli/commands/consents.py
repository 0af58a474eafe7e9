"""`homeport consents`: what one user has consented to, seen and changed with the user's own
ticket."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.options import Ca, DataServer, Output, Profile, Token, data_target_of
from console.cli.output import Format, show

if TYPE_CHECKING:
    from console.cli.profile import Target

app = typer.Typer(help="A user's own consents, by its own ticket.", no_args_is_help=True)

TicketFile = Annotated[
    Path | None,
    typer.Option(
        "--ticket-file",
        help="The ticket that the user has for its unit, signed with EdDSA; it is shown in place "
        "of a token.",
        envvar="HOMEPORT_TICKET_FILE",
        metavar="FILE",
    ),
]


@app.command("list")
def list_consents(
    ticket_file: TicketFile = None,
    withdrawn: Annotated[bool, typer.Option("--withdrawn", help="Also those that are.")] = False,
    server: DataServer = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists the user's consents, newest first."""
    from console.cli.calls.sharing import SharingCalls
    from console.cli.views.sharing import consent_document, consents_table

    target = _as_user(data_target_of(server, None, token, profile, ca), ticket_file)
    with SharingCalls(target) as service:
        found = service.own_consents(withdrawn=withdrawn)
    show(
        {"consents": [consent_document(one) for one in found]},
        output,
        lambda: consents_table(found),
    )


@app.command("give")
def give(
    purpose: Annotated[str, typer.Option(help="What for.", metavar="TEXT")],
    ticket_file: TicketFile = None,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="The application that may read. Default: the tenant.",
            metavar="APPLICATION",
        ),
    ] = "",
    feed: Annotated[str, typer.Option(help="Of this feed alone.", metavar="FEED")] = "",
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--field", help="This field alone; repeatable. Default: all granted.", metavar="FIELD"
        ),
    ] = None,
    server: DataServer = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Consents for the user, from the next event on."""
    from console.cli.calls.sharing import SharingCalls
    from console.cli.views.sharing import consent_document, consents_table
    from homeport.api.datasharing.v1 import sharing_pb2 as pb

    target = _as_user(data_target_of(server, None, token, profile, ca), ticket_file)
    request = pb.GiveOwnConsentRequest(
        application=to, purpose=purpose, feed=feed, fields=fields or []
    )
    with SharingCalls(target) as service:
        given = service.give_own(request)
    show(consent_document(given), output, lambda: consents_table([given]))


@app.command("withdraw")
def withdraw(
    consent_id: Annotated[str, typer.Argument(help="The consent's id.", metavar="CONSENT")],
    ticket_file: TicketFile = None,
    server: DataServer = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Withdraws one of the user's consents: nothing is shown by it from the next event on."""
    from console.cli.calls.sharing import SharingCalls
    from console.cli.views.sharing import consent_document, consents_table

    target = _as_user(data_target_of(server, None, token, profile, ca), ticket_file)
    with SharingCalls(target) as service:
        found = service.withdraw_own(consent_id)
    show(consent_document(found), output, lambda: consents_table([found]))


def _as_user(target: Target, ticket_file: Path | None) -> Target:
    """The same, called as the user whose ticket is in the file; None: with the token that there is.
    Raises InvalidInput for a file that cannot be used."""
    if ticket_file is None:
        return target
    from control_plane.secret_files import read_secret

    return replace(target, token=read_secret("ticket-file", ticket_file.expanduser()))

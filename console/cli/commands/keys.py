"""`homeport keys`: the epochs of the fleet's ticket keys, shown and rotated."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.options import Ca, Output, Profile, Server, Token, target_of
from console.cli.output import Format, show

app = typer.Typer(help="The fleet's ticket keys.", no_args_is_help=True)


@app.command("show")
def show_keys(
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows the epochs of the ticket keys: which signs, which are still accepted, until when.

    The keys themselves are never shown.
    """
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.ticket_keys import document_of, epochs_table

    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        found = service.list_ticket_keys()
    source = "file" if found.from_file else "store"
    document = {"source": source, "epochs": [document_of(one) for one in found.epochs]}
    show(document, output, lambda: epochs_table(found.epochs))


@app.command("rotate")
def rotate_keys(
    sign_after_s: Annotated[
        float | None,
        typer.Option(
            "--sign-after",
            help="How long the new keys are announced before they sign, seconds. Default: 120, "
            "so that every unit has heard of them.",
            metavar="S",
        ),
    ] = None,
    accept_s: Annotated[
        float | None,
        typer.Option(
            "--accept-for",
            help="How much longer tickets of earlier keys are accepted, seconds. Default: as "
            "long as the longest tickets of any tenant last.",
            metavar="S",
        ),
    ] = None,
    leaked: Annotated[
        bool,
        typer.Option(
            "--leaked",
            help="The new keys sign at once, and no ticket of earlier ones is accepted any "
            "more: clients need new ones, and units refuse those until they heard of the keys.",
        ),
    ] = False,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Adds an epoch to the ticket keys: units learn it first, it signs later, and tickets that
    are out stay good until they end."""
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.ticket_keys import document_of, epochs_table

    if leaked and (sign_after_s is not None or accept_s is not None):
        raise typer.BadParameter(
            "it means --sign-after 0 --accept-for 0; leave those out", param_hint="--leaked"
        )
    if leaked:
        sign_after_s = accept_s = 0.0
    for option, value, days in (("--sign-after", sign_after_s, 7), ("--accept-for", accept_s, 90)):
        if value is not None and not 0 <= value <= days * 86_400:
            raise typer.BadParameter(f"{value:g} is not 0 to {days} days", param_hint=option)
    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        seen = service.list_ticket_keys()
        newest = max((one.epoch for one in seen.epochs), default=0)
        done = service.rotate_ticket_keys(newest, sign_after_s=sign_after_s, accept_s=accept_s)
    document = {"rotated": done.rotated, "epochs": [document_of(one) for one in done.epochs]}
    if not done.rotated:
        typer.echo("somebody else rotated them just now; nothing more was changed", err=True)
    show(document, output, lambda: epochs_table(done.epochs))

"""`homeport policy pin`, `unpin` and `pins`: clients that have to live in one unit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from console.cli.failure import CommandFailed, ExitCode, nothing_removed
from console.cli.options import Ca, ClientId, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, note, show, warn

Unit = Annotated[str, typer.Argument(help="The unit.", metavar="UNIT")]


def pin(
    client: ClientId,
    unit: Unit,
    reason: Annotated[
        str, typer.Option("--reason", help="Why, for people: at most 500 characters.")
    ] = "",
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            help="When it ends, as 2030-01-31 or 2030-01-31T12:00:00Z. Default: never.",
            metavar="TIME",
        ),
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Has a client live in this unit and no other, in place of the pin that it may have.

    Refused where the policy keeps it off the unit. A client that lives elsewhere stays there until
    it is moved: homeport units rebalance.
    """
    from console.cli.calls.pins import PinCalls
    from console.cli.views.pins import pin_document, pins_table

    ends = None if until is None else _time(until)
    with PinCalls(target_of(server, tenant, token, profile, ca)) as service:
        answer = service.pin(client, unit, reason=reason, until=ends)
    warn(answer.warnings)
    document = pin_document(answer.pin)
    show(document, output, lambda: pins_table([document]))


def unpin(
    client: ClientId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Takes a client's pin away: it stays where it is until something else moves it."""
    from rich.text import Text

    from console.cli.calls.pins import PinCalls

    with PinCalls(target_of(server, tenant, token, profile, ca)) as service:
        unpinned: bool | None = service.unpin(client)
        repeated = service.repeated
    if not unpinned:
        if not repeated:
            raise nothing_removed(f"{client} is not pinned")
        unpinned = None
        note(f"{client} is not pinned; a server that did not answer may have done that just now")
    document = {"client_id": client, "unpinned": unpinned}
    show(document, output, lambda: Text(f"{client} is not pinned any more"))


def pins(
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists the clients that are pinned, by their ids."""
    from console.cli.calls.pins import PinCalls
    from console.cli.views.pins import pin_document, pins_table

    with PinCalls(target_of(server, tenant, token, profile, ca)) as service:
        documents = [pin_document(one) for one in service.all()]
    show(documents, output, lambda: pins_table(documents))


def _time(text: str) -> datetime:
    """In UTC where it does not say. Raises CommandFailed (usage)."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed(
            f"--until {text} is no time; write it as 2030-01-31 or 2030-01-31T12:00:00Z",
            ExitCode.USAGE,
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)

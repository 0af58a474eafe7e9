"""`homeport accounts sign-in`: a link that signs a browser in as a client, at its home."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from console.cli.markup import escape
from console.cli.options import (
    Ca,
    ClientId,
    Output,
    Profile,
    Server,
    Tenant,
    Token,
    target_of,
)
from console.cli.output import Format, busy, note, show

if TYPE_CHECKING:
    from collections.abc import Mapping

UNIT = "{unit}"


def sign_in(
    client: ClientId,
    web: Annotated[
        list[str],
        typer.Option(
            "--web",
            help="Where browsers reach its unit: https://{unit}.talk.example, or UNIT=URL; may be "
            "repeated.",
            metavar="URL",
        ),
    ],
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Prints a link that signs a browser in as a client. Whoever has it is signed in, until its
    ticket ends: it is a secret."""
    from rich.text import Text

    from console.cli.commands.clients import connect
    from console.cli.failure import CommandFailed, ExitCode

    known = addresses(web)
    with connect(target_of(server, tenant, token, profile, ca)) as service, busy("looking"):
        home = service.get(client)
    address = known.get(home.unit_id) or known.get("", "").replace(UNIT, home.unit_id)
    if not address or not home.ticket:
        raise CommandFailed(
            f"it is at home in {home.unit_id}; say where browsers reach that: "
            f"--web {home.unit_id}=https://…",
            ExitCode.USAGE,
        )
    link = f"{address}/client/#ticket={home.ticket}"
    document = {
        "unit_id": home.unit_id,
        "link": link,
        "expires_at": home.ticket_expires_at,
    }
    note(f"a secret: whoever opens it is signed in as {escape(client)}; send it to nobody else")
    show(document, output, lambda: Text(link, no_wrap=True, overflow="ignore"))


def addresses(texts: list[str]) -> Mapping[str, str]:
    """By unit; under '' that of any unit. Raises BadParameter."""
    found: dict[str, str] = {}
    for text in texts:
        unit, between, url = text.partition("=")
        if not between or "://" in unit:
            unit, url = "", text
        parts = urlsplit(url.replace(UNIT, "u"))
        plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
        host = parts.hostname or ""
        is_local = host in ("127.0.0.1", "::1") or host.rpartition(".")[2] == "localhost"
        if not (parts.hostname and plain) or parts.scheme not in ("https", "http"):
            raise typer.BadParameter(f"{text} is not https://name", param_hint="--web")
        if parts.scheme == "http" and not is_local:
            raise typer.BadParameter(
                f"{text}: a ticket goes over https, but on this machine", param_hint="--web"
            )
        found[unit] = url.rstrip("/")
    return found

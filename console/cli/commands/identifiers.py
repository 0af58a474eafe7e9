"""`homeport identifiers explain`: what a name is in normal form. Needs no server. The commands
beside it, which need one, are those of `proofs`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from console.cli.failure import ExitCode
from console.cli.options import Output
from console.cli.output import Format, show

app = typer.Typer(
    help="Addresses and numbers: what they are, and which accounts have them.",
    no_args_is_help=True,
)


class ReadAs(StrEnum):
    """Kinds of identifiers, by the names that people type."""

    HANDLE = "handle"
    EMAIL = "email"
    PHONE = "phone"
    DOMAIN = "domain"
    ACCT = "acct"
    SIP = "sip"
    SIPS = "sips"
    XMPP = "xmpp"


@app.command("explain")
def explain(
    text: Annotated[
        str,
        typer.Argument(
            help="A handle, an address, a number, a domain or a URI, as somebody typed it.",
            metavar="TEXT",
        ),
    ],
    region: Annotated[
        str | None,
        typer.Option(
            "--region", help="Country that a number without + is read in, such as GB.", metavar="CC"
        ),
    ] = None,
    kind: Annotated[
        ReadAs | None,
        typer.Option("--as", help="What to read it as, where its looks would say another kind."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            help="A host whose acct: URIs are our handles; may be repeated.",
            metavar="HOST",
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Says what a text is as an identifier, what was changed on the way to its normal form, or
    why it is none and what would do. Exits with 4 where it is none."""
    from console.cli.views.identifiers import explained
    from control_plane.identifiers.explanation import explanation
    from control_plane.identifiers.identifier import IdentifierKind
    from control_plane.identifiers.uris import read_any, read_as

    _check_text(text)
    hosts = _own_hosts(host or [])
    _check_region(region)
    if kind is None:
        result = read_any(text, region=region, own_hosts=hosts)
    else:
        result = read_as(IdentifierKind[kind.name], text, region=region, own_hosts=hosts)
    document = explanation(text, result)
    show(document, output, lambda: explained(document))
    if not document["accepted"]:
        raise typer.Exit(ExitCode.REFUSED)


def _check_text(text: str) -> None:
    from control_plane.errors import InvalidInput

    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput("text", "TEXT is not UTF-8; check the terminal's encoding") from None


def _check_region(region: str | None) -> None:
    from control_plane.errors import InvalidInput
    from control_plane.identifiers.phones import region_flaw

    if region is not None and (flaw := region_flaw(region)):
        raise InvalidInput("region", f"--region: {flaw}")


def _own_hosts(hosts: list[str]) -> frozenset[str]:
    """In A-labels. Raises InvalidInput for one that is no domain."""
    from control_plane.errors import InvalidInput
    from control_plane.identifiers.domains import read_domain
    from control_plane.identifiers.identifier import Flaw

    found = set()
    for one in hosts:
        domain = read_domain(one)
        if isinstance(domain, Flaw):
            raise InvalidInput("host", f"--host: {domain}")
        found.add(domain.normal)
    return frozenset(found)

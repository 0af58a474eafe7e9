"""`homeport tokens`: the API tokens of a file that servers read, issued, rotated and revoked.

The file is edited where it is; servers that read it notice within two seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.options import Output
from console.cli.output import Format, show

if TYPE_CHECKING:
    from control_plane.auth.token_editor import IssuedToken, TokenEditor

app = typer.Typer(help="API tokens, in a file that servers read.", no_args_is_help=True)

TokensPath = Annotated[
    Path,
    typer.Option(
        "--tokens",
        help="The file, as `--tokens` of `homeport serve` and `homeport share` names it.",
        metavar="FILE",
        envvar="HOMEPORT_TOKENS",
    ),
]
Ttl = Annotated[
    str | None,
    typer.Option("--ttl", help="How long it counts: 90s, 15m, 1h, 30d.", metavar="DURATION"),
]
DEFAULT = Path("homeport-data/security/tokens.toml")  # where `up` has it


@app.command("issue")
def issue(
    name: Annotated[str, typer.Argument(help="What it is called, here and in logs.")],
    roles: Annotated[
        list[str],
        typer.Option(
            "--role",
            help="client, gateway, viewer, operator, admin, unit, platform, producer, consumer, "
            "developer; several times.",
            metavar="ROLE",
        ),
    ],
    tenant: Annotated[str, typer.Option("--tenant", help="Of this tenant alone.")] = "",
    application: Annotated[
        str, typer.Option("--application", help="Speaks for this application alone.")
    ] = "",
    platform: Annotated[str, typer.Option("--platform", help="The platform that it is.")] = "",
    units: Annotated[
        list[str] | None,
        typer.Option("--unit", help="A unit whose agent it is; several times.", metavar="UNIT"),
    ] = None,
    ttl: Ttl = None,
    tokens: TokensPath = DEFAULT,
    output: Output = Format.TABLE,
) -> None:
    """Makes a token and prints it, this once: only its digest is kept."""
    from control_plane.auth.token_editor import NewToken

    wanted = NewToken(
        name=name,
        roles=list(dict.fromkeys(roles)),
        tenant=tenant,
        application=application,
        platform=platform,
        units=units or (),
        ttl_s=_seconds("--ttl", ttl),
    )
    _show_issued(_editor(tokens).issue(wanted), output)


@app.command("list")
def list_tokens(tokens: TokensPath = DEFAULT, output: Output = Format.TABLE) -> None:
    """Lists the tokens: names, roles, what they are bound to, until when they count."""
    from console.cli.views.tokens import document_of, tokens_table

    found = _editor(tokens).entries()
    show({"tokens": [document_of(one) for one in found]}, output, lambda: tokens_table(found))


@app.command("rotate")
def rotate(
    name: Annotated[str, typer.Argument(help="The token's name.")],
    overlap: Annotated[
        str,
        typer.Option("--overlap", help="How much longer the old one counts.", metavar="DURATION"),
    ] = "1h",
    ttl: Ttl = None,
    tokens: TokensPath = DEFAULT,
    output: Output = Format.TABLE,
) -> None:
    """Makes a new token in the place of one, with all that it has; both count for a while."""
    overlap_s = _seconds("--overlap", overlap)
    assert overlap_s is not None
    issued = _editor(tokens).rotate(name, overlap_s=overlap_s, ttl_s=_seconds("--ttl", ttl))
    _show_issued(issued, output)


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="The token's name, or the id of one of that name.")],
    tokens: TokensPath = DEFAULT,
    output: Output = Format.TABLE,
) -> None:
    """Takes a token out of the file: it is refused within two seconds, and streams that it began
    end within five."""
    from console.cli.views.tokens import document_of, tokens_table

    gone = _editor(tokens).revoke(name)
    show({"revoked": [document_of(one) for one in gone]}, output, lambda: tokens_table(gone))


def _editor(path: Path) -> TokenEditor:
    import secrets
    import time

    from control_plane.auth.credentials import TOKEN_BYTES
    from control_plane.auth.token_editor import TokenEditor

    return TokenEditor(path, now=time.time, random=lambda: secrets.token_bytes(TOKEN_BYTES))


def _show_issued(issued: IssuedToken, output: Format) -> None:
    """The token alone on stdout, so that it can be sent into a file; what it is on stderr."""
    from console.cli.views.tokens import document_of

    entry = issued.entry
    document: dict[str, Any] = {**document_of(entry), "token": issued.token}
    if output is Format.TABLE:
        until = "" if entry.expires_at is None else " until it expires"
        typer.echo(f"{entry.id} counts{until}; the token is shown this once:", err=True)
    show(document, output, lambda: issued.token)


def _seconds(option: str, text: str | None) -> float | None:
    from console.cli.input.durations import duration_s

    try:
        return None if text is None else duration_s(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error

"""`homeport mail`: what a mail says, as a unit that takes it would read it. Needs no server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.options import NamedFile, Output, one_file
from console.cli.output import Format, show

app = typer.Typer(help="Mails, as a unit that takes them reads them.", no_args_is_help=True)


@app.command("show-reply")
def show_reply(
    mail: Annotated[
        Path | None,
        typer.Argument(help="A mail as it came, with its header; - reads stdin.", metavar="FILE|-"),
    ] = None,
    named: NamedFile = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows what somebody wrote anew in a mail, without what it quotes."""
    from console.cli.failure import CommandFailed, ExitCode
    from console.cli.input.text_file import name_of, read_content
    from console.cli.views.mail import reply_document, reply_view
    from control_plane.errors import InvalidInput
    from deployment_units.services.mail_in.mail import read_mail
    from deployment_units.services.mail_in.mime_bounds import MOST_BYTES
    from deployment_units.services.mail_in.visible_reply import visible_reply

    file = one_file(mail, named)
    try:
        received = read_mail(read_content(file, most_bytes=MOST_BYTES))
    except InvalidInput as error:
        raise CommandFailed(f"{name_of(file)}: {error.message}", ExitCode.USAGE) from error
    document = reply_document(received, visible_reply(received))
    show(document, output, lambda: reply_view(document))

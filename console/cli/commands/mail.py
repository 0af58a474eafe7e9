"""`homeport mail`: what a mail says, as a unit that takes it would read it. Needs no server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.options import NamedFile, Output, one_file
from console.cli.output import Format, show

if TYPE_CHECKING:
    from deployment_units.services.mail_in.mail import ReceivedMail

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
    from console.cli.views.mail import reply_document, reply_view
    from deployment_units.services.mail_in.visible_reply import visible_reply

    received = _received(one_file(mail, named))
    document = reply_document(received, visible_reply(received))
    show(document, output, lambda: reply_view(document))


@app.command("explain")
def explain(
    mail: Annotated[
        Path | None,
        typer.Argument(help="A mail as it came, with its header; - reads stdin.", metavar="FILE|-"),
    ] = None,
    named: NamedFile = None,
    relay: Annotated[
        str | None,
        typer.Option(
            "--relay",
            help="Whose Authentication-Results are believed: the authserv-id of the relay in "
            "front. Without one nobody's are.",
            metavar="ID",
        ),
    ] = None,
    recipient: Annotated[
        str | None,
        typer.Option("--recipient", help="Where it came to, of RCPT TO.", metavar="ADDRESS"),
    ] = None,
    envelope_from: Annotated[
        str | None,
        typer.Option(
            "--envelope-from",
            help="Of MAIL FROM. Default: its Return-Path.",
            metavar="ADDRESS",
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Says who wrote a mail, who vouches for it, whether a program did, and what it reports."""
    from console.cli.views.mail import explained_document, explained_view
    from deployment_units.services.channels.reply_tokens import token_of
    from deployment_units.services.mail_in.authentication_results import read_results
    from deployment_units.services.mail_in.authenticity import authenticity
    from deployment_units.services.mail_in.delivery_reports import reported
    from deployment_units.services.mail_in.loops import origin_of

    received = _received(one_file(mail, named))
    fields = received.fields("Authentication-Results")
    found = authenticity(received, read_results(fields, relay) if relay else [], None)
    if envelope_from is None:
        envelope_from = next(iter(received.fields("Return-Path")), "unknown")
    origin = origin_of(received, envelope_from=envelope_from, recipient=recipient or "")
    token = token_of(recipient) if recipient else None
    document = explained_document(found, origin, token, reported(received))
    show(document, output, lambda: explained_view(document))


def _received(file: Path) -> ReceivedMail:
    """Raises CommandFailed, with the exit code of wrong usage."""
    from console.cli.failure import CommandFailed, ExitCode
    from console.cli.input.text_file import name_of, read_content
    from control_plane.errors import InvalidInput
    from deployment_units.services.mail_in.mail import read_mail
    from deployment_units.services.mail_in.mime_bounds import MOST_BYTES

    try:
        return read_mail(read_content(file, most_bytes=MOST_BYTES))
    except InvalidInput as error:
        raise CommandFailed(f"{name_of(file)}: {error.message}", ExitCode.USAGE) from error


@app.command("send")
def send(
    relay: Annotated[str, typer.Option("--relay", help="The mail relay.", metavar="HOST:PORT")],
    sender: Annotated[
        str,
        typer.Option("--from", help="Whose mail it is, and where answers go.", metavar="ADDRESS"),
    ],
    to: Annotated[str, typer.Option("--to", help="Whom it is for.", metavar="ADDRESS")],
    content: Annotated[
        Path | None,
        typer.Argument(help="What to say, YAML or JSON: text, html.", metavar="FILE|-"),
    ] = None,
    named: NamedFile = None,
    subject: Annotated[str, typer.Option("--subject", help="Its subject.")] = "A test",
    verified_tls: Annotated[
        bool,
        typer.Option(
            "--verified-tls",
            help="Only over TLS, with a certificate of the relay's name. Without it TLS is used "
            "where the relay offers it.",
        ),
    ] = False,
    within_s: Annotated[
        int, typer.Option("--within", help="Seconds.", metavar="S", min=1, max=600)
    ] = 30,
    output: Output = Format.TABLE,
) -> None:
    """Hands one mail to a relay, as a unit would, and says what the relay answered."""
    import asyncio
    import time
    import uuid

    from console.cli.failure import ExitCode
    from console.cli.input.documents import read_document
    from console.cli.views.mail import sent_document, sent_view
    from deployment_units.services.channels.channel import Channel
    from deployment_units.services.channels.mail_message import mail_address
    from deployment_units.services.channels.mail_out import MailOut, MailRelay
    from deployment_units.services.channels.port import OutgoingMessage, SendOutcome
    from deployment_units.services.gateway.convert.converting import convert
    from deployment_units.services.gateway.documents import content_of

    host, _, port = relay.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65_536:
        raise typer.BadParameter("must be HOST:PORT", param_hint="--relay")
    written = read_document(one_file(content, named), content_of)
    made = convert(written, Channel.MAIL)
    own_host = mail_address(sender, "--from").rpartition("@")[2]
    message_id = str(uuid.uuid4())
    message = OutgoingMessage(
        message_id=message_id,
        attempt_id=f"{message_id}-1",
        address=to,
        text=made.text,
        html=made.html,
        subject=subject,
        reply_address=sender,
        automatic=True,
    )
    channel = MailOut(
        MailRelay(host=host.strip("[]"), port=int(port), verified_tls=verified_tls),
        host=own_host,
        wall_ms=lambda: int(time.time() * 1_000),
    )
    result = asyncio.run(channel.send(message, within_s=within_s))
    document = sent_document(result, message, own_host)
    show(document, output, lambda: sent_view(document))
    if result.outcome is SendOutcome.REFUSED:
        raise typer.Exit(ExitCode.REFUSED)
    if result.outcome is not SendOutcome.HANDED_OVER:
        raise typer.Exit(ExitCode.UNAVAILABLE)

"""`homeport deliveries`: which channels a message takes, and what becomes of it on the way. Needs
no server."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from console.cli.failure import ExitCode
from console.cli.options import NamedFile, Output, one_file
from console.cli.output import Format, show


class ShownOn(StrEnum):
    """Channels that content is converted for."""

    MAIL = "mail"
    TEXT = "text"
    PUSH = "push"


app = typer.Typer(help="Messages on their way: which channel, when, and why.", no_args_is_help=True)


@app.command("route")
def route_message(
    recipient: Annotated[
        Path,
        typer.Option(
            "--recipient",
            help="How the recipient is reached, YAML or JSON: addresses, preferences, quiet hours, "
            "where it was active. - reads stdin, as for every file here.",
            metavar="FILE|-",
        ),
    ],
    message: Annotated[
        Path | None,
        typer.Argument(
            help="The message as routing sees it, YAML or JSON: class, urgency, content, sender.",
            metavar="FILE|-",
        ),
    ] = None,
    named: NamedFile = None,
    rules: Annotated[
        Path | None,
        typer.Option("--rules", help="The recipient's own rules.", metavar="FILE|-"),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", help="When it is routed, RFC 3339. Default: now.", metavar="TIME"),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Says which channels a message would take, one after the other, and which rules decided."""
    import time

    from console.cli.input.documents import read_document
    from console.cli.input.text_file import check_stdin_once
    from console.cli.input.times import time_ms
    from console.cli.views.deliveries import document_of, plan_view
    from deployment_units.services.gateway.documents import message_of, recipient_of, rules_of
    from deployment_units.services.gateway.route import route

    file = one_file(message, named)
    check_stdin_once([file, recipient, *([rules] if rules else [])])
    now_ms = int(time.time() * 1_000) if at is None else time_ms(at, "--at")
    routed = read_document(file, message_of)
    known = read_document(recipient, recipient_of)
    own = None if rules is None else read_document(rules, rules_of)
    plan = route(routed, known.profile, known.activity, known.health, now_ms=now_ms, rules=own)
    document = document_of(plan, now_ms)
    show(document, output, lambda: plan_view(document))
    if plan.no_route is not None:
        raise typer.Exit(ExitCode.REFUSED)


@app.command("convert")
def convert_content(
    channel: Annotated[
        ShownOn, typer.Option("--for", help="The channel.", metavar="mail|text|push")
    ],
    content: Annotated[
        Path | None,
        typer.Argument(help="What somebody wrote, YAML or JSON: text, html.", metavar="FILE|-"),
    ] = None,
    named: NamedFile = None,
    link: Annotated[
        str,
        typer.Option(
            "--link", help="Where the whole can be seen, if it is too long.", metavar="URL"
        ),
    ] = "",
    messages: Annotated[
        int, typer.Option("--messages", help="Text messages at most.", metavar="N", min=1, max=10)
    ] = 1,
    output: Output = Format.TABLE,
) -> None:
    """Shows content as a channel would, and what is lost on the way."""
    from console.cli.input.documents import read_document
    from console.cli.views.deliveries import converted_document, converted_view
    from deployment_units.services.channels.channel import Channel
    from deployment_units.services.gateway.convert.converting import convert
    from deployment_units.services.gateway.documents import content_of

    written = read_document(one_file(content, named), content_of)
    made = convert(written, Channel(channel.value), link=link, most_messages=messages)
    document = converted_document(made)
    show(document, output, lambda: converted_view(document))

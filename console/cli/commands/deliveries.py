"""`homeport deliveries`: which channels a message takes, and what becomes of it on the way. `route`
and `convert` need no server; the others act for a client, with its ticket, at its unit."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.commands.at_home import calls_at_home
from console.cli.failure import ExitCode
from console.cli.options import (
    Ca,
    ClientId,
    NamedFile,
    Output,
    Profile,
    Server,
    Tenant,
    Token,
    one_file,
    target_of,
)
from console.cli.output import Format, show

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from console.cli.calls.deliveries import DeliveryCalls
    from console.cli.profile import Target


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


@app.command("list")
def list_deliveries(
    client: ClientId,
    message: Annotated[
        str | None,
        typer.Option("--message", help="Of one message, 32 hexadecimal digits.", metavar="ID"),
    ] = None,
    only_open: Annotated[
        bool, typer.Option("--open", help="Only those that are not over.")
    ] = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists what became of a client's messages, to each recipient."""
    from console.cli.views.deliveries import deliveries_view, delivery_document

    wanted = b"" if message is None else message_id(message, "--message")
    with _deliveries(target_of(server, tenant, token, profile, ca), client) as calls:
        found = calls.deliveries(wanted, only_open=only_open)
    documents = [delivery_document(one) for one in found]
    show({"deliveries": documents}, output, lambda: deliveries_view(documents))


@app.command("redrive")
def redrive(
    client: ClientId,
    message: Annotated[str, typer.Argument(help="32 hexadecimal digits.", metavar="MESSAGE")],
    recipient: Annotated[str, typer.Argument(help="A member.", metavar="RECIPIENT")],
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Tries a delivery again at once, where it cannot have arrived."""
    from rich.text import Text

    wanted = message_id(message, "MESSAGE")
    with _deliveries(target_of(server, tenant, token, profile, ca), client) as calls:
        redriven = calls.redrive(wanted, recipient)
    document = {"message": wanted.hex(), "recipient": recipient, "redriven": redriven}
    show(document, output, lambda: Text("redriven" if redriven else "it may have arrived"))


@app.command("explain")
def explain(
    client: ClientId,
    sender: Annotated[
        str, typer.Option("--from", help="Who writes: an account or a URI.", metavar="SENDER")
    ],
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says which channels a message to a client would take now, and why."""
    import time

    from console.cli.views.deliveries import explained_document, plan_view

    with _deliveries(target_of(server, tenant, token, profile, ca), client) as calls:
        document = explained_document(calls.explain(sender), int(time.time() * 1_000))
    show(document, output, lambda: plan_view(document))


@app.command("rules")
def rules_of_account(
    client: ClientId,
    apply: Annotated[
        Path | None,
        typer.Option("--apply", help="Replaces them by these, YAML or JSON.", metavar="FILE|-"),
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows, or replaces, a client's own rules for how it is reached."""
    import json

    from rich.text import Text

    from console.cli.input.documents import read_document

    wanted = None if apply is None else json.dumps(read_document(apply, lambda read: read))
    with _deliveries(target_of(server, tenant, token, profile, ca), client) as calls:
        kept = calls.rules()
        revision, text = kept.revision, kept.document
        if wanted is not None:
            revision, text = calls.apply_rules(wanted, kept.revision), wanted
    document = {"revision": revision, "document": json.loads(text)}
    lines = json.dumps(document["document"], indent=2, ensure_ascii=False)
    show(document, output, lambda: Text(f"revision {revision}\n{lines}"))


def _deliveries(target: Target, client: str) -> AbstractContextManager[DeliveryCalls]:
    """Calls for what became of the client's messages, at its home."""
    from console.cli.calls.deliveries import DeliveryCalls

    return calls_at_home(DeliveryCalls, target, client)


def message_id(text: str, option: str) -> bytes:
    """Raises typer.BadParameter."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise typer.BadParameter("an id has 32 hexadecimal digits", param_hint=option)
    return found

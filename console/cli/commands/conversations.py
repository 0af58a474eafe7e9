"""`homeport conversations`: the messages of a client's account, at its unit. Each command acts for
the client, with its ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from console.cli.commands.at_home import calls_at_home, talking_at_home
from console.cli.commands.card_clicks import click
from console.cli.failure import CommandFailed, ExitCode, nothing_removed
from console.cli.input.message_ids import begun_by, id_of
from console.cli.markup import escape
from console.cli.options import (
    MOST_INT64,
    Ca,
    ClientId,
    Output,
    Profile,
    Server,
    Tenant,
    Token,
    target_of,
)
from console.cli.output import Format, note, show

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from console.cli.calls.conversations import ConversationCalls, FoundName
    from console.cli.profile import Target

app = typer.Typer(help="Conversations: messages between accounts.", no_args_is_help=True)
app.command("click")(click)

ConversationId: TypeAlias = Annotated[
    str, typer.Argument(help="Its id, 32 hexadecimal digits.", metavar="CONVERSATION")
]


@app.command("send")
def send(
    client: ClientId,
    text: Annotated[str, typer.Argument(help="What it says.", metavar="TEXT")],
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            help="A member of a new conversation: an account, a handle with its @, an address, or "
            "a number with its +; several with commas, or repeated.",
            metavar="WHO",
        ),
    ] = None,
    conversation: Annotated[
        str | None,
        typer.Option("--in", help="The conversation that goes on.", metavar="CONVERSATION"),
    ] = None,
    message_id: Annotated[
        str | None,
        typer.Option(
            "--id", help="32 hexadecimal digits; the same again is the same.", metavar="ID"
        ),
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Sends a message from a client: to members of a new conversation, or in one that goes on."""
    import secrets

    from console.cli.calls.conversations import others_of
    from console.cli.input.recipients import names_of
    from console.cli.views.conversations import sent_document, sent_view

    if (to is None) == (conversation is None):
        raise typer.BadParameter("to whom? --to, or --in", param_hint="--to")
    message = secrets.token_bytes(16) if message_id is None else id_of(message_id, "--id")
    about = begun_by(message) if conversation is None else id_of(conversation, "--in")
    names = [] if to is None else names_of(to, "--to")
    with _talking(target_of(server, tenant, token, profile, ca), client) as calls:
        others = others_of(client, calls.found(names))
        say_who_has_no_account(others, client)
        members = [one.member for one in others]
        document = sent_document(calls.send(about, message, members, text))
    show(document, output, lambda: sent_view(document))


@app.command("list")
def list_conversations(
    client: ClientId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists a client's conversations, those first that had a message last."""
    from console.cli.views.conversations import conversation_document, conversations_view

    with conversation_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        documents = [conversation_document(one) for one in calls.conversations()]
    show({"conversations": documents}, output, lambda: conversations_view(documents))


@app.command("read")
def read(
    client: ClientId,
    conversation: ConversationId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows the messages of one conversation, in order."""
    from console.cli.views.conversations import message_document, messages_view

    about = id_of(conversation, "CONVERSATION")
    with conversation_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        documents = [message_document(one) for one in calls.messages(about)]
    if not documents:
        raise CommandFailed(
            f"{client} has no conversation {about.hex()}; "
            f"`homeport conversations list {client}` shows those that it has",
            ExitCode.NOT_FOUND,
        )
    show({"messages": documents}, output, lambda: messages_view(documents))


@app.command("follow")
def follow(
    client: ClientId,
    after: Annotated[
        int,
        typer.Option(
            "--after", help="The last position that is known.", min=0, max=MOST_INT64, metavar="N"
        ),
    ] = 0,
    count: Annotated[
        int | None, typer.Option("--count", help="End after so many.", min=1, metavar="N")
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
) -> None:
    """Prints messages from a position on, and then each as it comes: a line of JSON each."""
    import json

    from console.cli.views.conversations import message_document

    with _talking(target_of(server, tenant, token, profile, ca), client) as calls:
        for number, message in enumerate(calls.follow(after), 1):
            typer.echo(json.dumps(message_document(message), ensure_ascii=False))
            if number == count:
                return


@app.command("remove")
def remove(
    client: ClientId,
    conversation: ConversationId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Removes a client's own copy of a conversation; others keep theirs."""
    from rich.text import Text

    about = id_of(conversation, "CONVERSATION")
    with conversation_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        there = any(one.id == about for one in calls.conversations())
        calls.remove(about)
    if not there:
        raise nothing_removed(f"{client} has no conversation {about.hex()}")
    document = {"conversation": about.hex(), "removed": True}
    show(document, output, lambda: Text("removed"))


def say_who_has_no_account(others: Iterable[FoundName], client: str) -> None:
    """On stderr: to whom messages go by mail or text."""
    for one in others:
        if one.way:
            goes = f"go there by {one.way}"
            if one.unreached:
                goes = f"do not arrive, for its unit sends no {one.way}"
            note(f"{escape(client)} finds no account as {escape(one.shown)}: messages {goes}")


def conversation_calls(target: Target, client: str) -> AbstractContextManager[ConversationCalls]:
    """Calls for the client's conversations, at its home."""
    from console.cli.calls.conversations import ConversationCalls

    return calls_at_home(ConversationCalls, target, client)


def _talking(target: Target, client: str) -> ConversationCalls:
    """The same, for what prints meanwhile."""
    from console.cli.calls.conversations import ConversationCalls

    return talking_at_home(ConversationCalls, target, client)

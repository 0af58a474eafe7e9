"""`homeport chat`: a client's conversation with somebody, in a terminal or a pipe."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.commands.at_home import one_at_a_time, opened_at_home
from console.cli.markup import escape
from console.cli.options import Ca, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, show, show_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from console.cli.profile import Target
    from homeport.api.communication.v1 import conversation_pb2 as pb

MOST_BACK = 100
TRIES = 5  # to begin it again, in a row, while nothing comes
AGAIN_S = 1.0  # between them


def chat(
    who: Annotated[
        list[str],
        typer.Argument(
            help="With whom: an account, a handle with its @, an address, or a number with its +. "
            "Several: one conversation.",
            metavar="WHO...",
        ),
    ],
    client: Annotated[
        str, typer.Option("--as", help="Who writes: a client, at its home.", metavar="CLIENT")
    ],
    text: Annotated[
        str | None,
        typer.Option("--send", help="Send this, or press what it names, and end.", metavar="TEXT"),
    ] = None,
    recent: Annotated[
        int,
        typer.Option(
            "--recent",
            help="How many earlier messages are shown.",
            min=1,
            max=MOST_BACK,
            metavar="N",
        ),
    ] = 20,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Writes with somebody: what comes is shown as it comes, cards as text with numbers.

    A number, or what stands on a button, presses it; everything else is sent. Without a terminal
    every line of stdin is sent, and with -o json a line of JSON says what became of it."""
    import secrets

    from console.cli.calls.conversations import ConversationCalls
    from console.cli.chat.lines import acted_document, acted_line
    from console.cli.chat.session import ChatSession
    from console.cli.commands.conversations import say_who_has_no_account
    from console.cli.input.recipients import names_of

    names = names_of(who, "WHO")
    target = target_of(server, tenant, token, profile, ca)
    with ExitStack() as opened:
        calls = one_at_a_time(opened, partial(opened_at_home, ConversationCalls, target, client))
        session = ChatSession(calls, client, names, random=secrets.token_bytes)
        say_who_has_no_account(session.others, client)
        if text is not None:
            session.recent(MOST_BACK)  # among them is the card that it may answer
            acted = session.act(text)
            show(
                acted_document(acted),
                output,
                partial(escape, acted_line(acted, session.labels) or "kept"),
            )
        elif sys.stdin.isatty() and sys.stdout.isatty() and output is Format.TABLE:
            from console.cli.chat.terminal import Terminal

            Terminal(session, _following(target, client)).run(recent)
        else:
            session.recent(MOST_BACK)
            for line in sys.stdin:
                if line.strip():
                    acted = session.act(line.rstrip("\r\n"))
                    said = acted_line(acted, session.labels) or "kept"
                    show_event(acted_document(acted), output, partial(escape, said))


def _following(target: Target, client: str) -> Callable[[int], Iterator[pb.Message]]:
    """Messages for as long as the chat lasts: where the stream breaks, or the ticket is over, it is
    begun again, at the client's home by then, with the last position."""
    from time import sleep

    from console.cli.calls.conversations import ConversationCalls
    from homeport.errors import HomeportError

    def follow(after: int) -> Iterator[pb.Message]:
        position, left = after, TRIES
        while True:
            try:
                with opened_at_home(ConversationCalls, target, client) as calls:
                    for message in calls.follow(position):
                        position, left = message.position, TRIES
                        yield message
            except HomeportError:
                left -= 1
                if not left:
                    raise
            sleep(AGAIN_S)

    return follow

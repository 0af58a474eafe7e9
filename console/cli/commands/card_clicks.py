"""`homeport conversations click`: presses a button of a card, as its number or name says."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.commands.at_home import calls_at_home
from console.cli.options import Ca, ClientId, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, show


def click(
    client: ClientId,
    message: Annotated[
        str,
        typer.Argument(help="The message with the card, 32 hexadecimal digits.", metavar="MESSAGE"),
    ],
    answer: Annotated[
        str,
        typer.Argument(
            help="The button, as one would answer by text: its number, its title or its id, and "
            "behind the number what it asks for.",
            metavar="ANSWER",
        ),
    ],
    press_id: Annotated[
        str | None,
        typer.Option(
            "--id", help="32 hexadecimal digits; the same again is the same press.", metavar="ID"
        ),
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Presses a button of a card that a client was sent.

    `conversations read` shows cards with their buttons numbered. Exits with 4 where the card has no
    such button any more.
    """
    import secrets

    from console.cli.calls.conversations import ConversationCalls
    from console.cli.input.card_answers import pressed_by
    from console.cli.input.message_ids import id_of
    from console.cli.views.conversations import clicked_document, clicked_view
    from homeport.api.communication.v1 import conversation_pb2 as pb

    wanted = id_of(message, "MESSAGE")
    press = secrets.token_bytes(16) if press_id is None else id_of(press_id, "--id")
    target = target_of(server, tenant, token, profile, ca)
    with calls_at_home(ConversationCalls, target, client) as calls:
        shown = calls.message(wanted)
        action, inputs = pressed_by(shown.content.card, answer)
        request = pb.ClickRequest(
            message=shown.id,
            sender=shown.sender,
            action=action,
            revision=shown.revision,
            press=press,
            inputs=inputs,
        )
        document = clicked_document(calls.click(request), action)
    show(document, output, lambda: clicked_view(document))

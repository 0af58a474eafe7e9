"""`homeport cards`: whether a card may be shown, and what it looks like. Needs no server."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.failure import CommandFailed, ExitCode
from console.cli.options import NamedFile, Output, one_file
from console.cli.output import Format, show

if TYPE_CHECKING:
    from deployment_units.services.cards.card import Card, CardFlaw
    from deployment_units.services.cards.replies import Reply

app = typer.Typer(help="Cards: elements and buttons inside a message.", no_args_is_help=True)

CardFile = Annotated[
    Path | None,
    typer.Argument(
        help="A card (Adaptive Cards 1.5) or a reply with cards, as JSON; - reads stdin.",
        metavar="FILE|-",
    ),
]


class Form(StrEnum):
    """What a card is turned into where there is nothing to press."""

    HTML = "html"
    TEXT = "text"


@app.command("check")
def check_card(
    file: CardFile = None, named: NamedFile = None, output: Output = Format.TABLE
) -> None:
    """Says whether a card may be shown, with its buttons and inputs, or everything that is wrong
    with it and where. Exits with 4 where it may not."""
    from console.cli.views.cards import checked, document_of

    found = _read(one_file(file, named))
    document = document_of(found)
    show(document, output, lambda: checked(document))
    if isinstance(found, list):
        raise typer.Exit(ExitCode.REFUSED)


@app.command("render")
def render_card(
    file: CardFile = None,
    named: NamedFile = None,
    form: Annotated[
        Form, typer.Option("--as", help="What it is rendered as: for mail, or as numbered text.")
    ] = Form.TEXT,
    output: Output = Format.TABLE,
) -> None:
    """Shows a card as somebody gets it by mail or as text. Links of buttons lead nowhere. Exits
    with 4, and says what is wrong, where it may not be shown."""
    from console.cli.views.cards import checked, document_of, rendered

    found = _read(one_file(file, named))
    if isinstance(found, list):
        refused = document_of(found)
        show(refused, output, lambda: checked(refused))
        raise typer.Exit(ExitCode.REFUSED)
    document = {"as": form.value, "content": _content(found, form)}
    show(document, output, lambda: rendered(document["content"]))


def _read(file: Path) -> Card | Reply | list[CardFlaw]:
    """A card, or a reply where the file says that it is one. Raises CommandFailed for what is
    not JSON."""
    from console.cli.input.text_file import MOST_DOCUMENT_BYTES, name_of, read_content
    from deployment_units.services.cards.card import CardFlawReason
    from deployment_units.services.cards.profile import check
    from deployment_units.services.cards.replies import SCHEMA, read_reply

    content = read_content(file, most_bytes=MOST_DOCUMENT_BYTES)
    found = read_reply(content) if SCHEMA.encode() in content else check(content)
    if isinstance(found, list) and found[0].reason is CardFlawReason.NOT_JSON:
        raise CommandFailed(f"{name_of(file)}: {found[0].message}", ExitCode.USAGE)
    return found


def _content(found: Card | Reply, form: Form) -> str:
    """Of a reply, one message after the other."""
    from deployment_units.services.cards.card import Card
    from deployment_units.services.cards.html_form import to_html
    from deployment_units.services.cards.text_form import to_text
    from deployment_units.services.cards.viewing import Viewer

    pieces = []
    cards = [("", found)] if isinstance(found, Card) else [(x.text, x.card) for x in found.parts]
    for text, card in cards:
        if text and form is Form.TEXT:
            pieces.append(f"{text}\n")
        if card is None:
            continue
        if form is Form.HTML:
            tokens = {one.id: "press" for one in card.actions}
            pieces.append(to_html(card, tokens, Viewer(pages="#")))
        else:
            pieces.append(to_text(card))
    return "\n".join(pieces)

"""A card in a mail: what is needed to write it, collected inside the transaction that notes the
attempt, and the mail with it, written in a thread.

Its buttons are links to the pages of the account's unit that ask before anything is pressed. Where
the reader cannot press, because nobody there is who could, or the unit has no address for browsers,
the card is shown without them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from deployment_units.services.cards.action_tokens import ActionGrant, ActionTokens, TokenKey
from deployment_units.services.cards.card import Card
from deployment_units.services.cards.html_form import to_html
from deployment_units.services.cards.outline import shows_images
from deployment_units.services.cards.profile import check
from deployment_units.services.cards.safe_text import safe_line
from deployment_units.services.cards.text_form import to_text
from deployment_units.services.cards.viewing import Viewer
from deployment_units.services.channels.port import OutgoingMessage

LINK_MS = 30 * 86_400_000  # a link in a mail is good for


@dataclass(frozen=True, slots=True, kw_only=True)
class CardLetter:
    """A card that goes with a mail. tenant, account: whose mail it is; card: as it is kept; key,
    grant: for its links, None: it has none; pages: address before a token."""

    tenant: str
    account: str
    card: str
    key: TokenKey | None = None
    grant: ActionGrant | None = None
    pages: str = ""


class WrittenCard(NamedTuple):
    """A mail with its card. lost: what of the card its reader does not get: "card", "buttons",
    "image"."""

    message: OutgoingMessage
    lost: tuple[str, ...]


def with_card(message: OutgoingMessage, letter: CardLetter) -> WrittenCard:
    """The mail with its card. Blocks: in a thread (see `to_html`)."""
    card = check(letter.card)
    if isinstance(card, list):  # kept by another version: the text stands for it
        return WrittenCard(message, ("card",))
    tokens: dict[str, str] = {}
    if letter.key is not None and letter.grant is not None:
        tokens = ActionTokens(letter.key).tokens(card, letter.grant)
    viewer = Viewer(account=letter.account, pages=letter.pages)
    lost = ["image"] if shows_images(card) else []  # no image is fetched for a mail
    if any(one.enabled and one.id not in tokens for one in card.actions):
        lost.append("buttons")
    made = replace(
        message,
        text=f"{message.text.rstrip()}\n\n{to_text(card, viewer, answerable=False)}"
        + _links(card, tokens, viewer),
        html=to_html(card, tokens, viewer),
    )
    return WrittenCard(made, tuple(lost))


def _links(card: Card, tokens: dict[str, str], viewer: Viewer) -> str:
    """For who reads the text: below the card, each button with its page."""
    lines = [
        f"{safe_line(one.title)}: {viewer.pages}{tokens[one.id]}\n"
        for one in card.actions
        if one.id in tokens
    ]
    return "".join(["\n", *lines]) if lines else ""

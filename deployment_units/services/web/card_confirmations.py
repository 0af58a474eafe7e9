"""CardConfirmations: what an action token stands for, and its press, by the cards and presses that
the unit keeps.

A token is read here alone, by the key of the account that it names (see conversations.card_links);
what it names is looked up each time, so a page shows the card as it is now. One link is one press,
however often its form is sent: the id of the press is made of the token. Of an account that has
moved the page says where to, if the link was made here; every other token that does not hold is
answered alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final, NamedTuple

from control_plane.errors import ServiceError
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.cards.action_tokens import (
    ActionGrant,
    ActionTokens,
    TokenRefusal,
    claimed_by,
)
from deployment_units.services.cards.card import Card, CardAction
from deployment_units.services.cards.confirmation_form import filled_in, to_confirmation
from deployment_units.services.cards.inputs import check_inputs
from deployment_units.services.conversations import kept
from deployment_units.services.conversations.card_checks import CardChecks
from deployment_units.services.conversations.card_links import keys_of_links
from deployment_units.services.conversations.clicking import Clicking
from deployment_units.services.conversations.press import NewPress, PressState
from deployment_units.services.conversations.press_judging import card_in
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.web.confirmations import ConfirmationPage

PRESS_BYTES: Final = 16
_GONE: Final = "Open the conversation to see what there is now."
_SAID: Final = {
    PressState.WAITING: (
        "Pressed",
        "It is kept. The answer comes as a message, however long it takes.",
    ),
    PressState.KEPT: (
        "Pressed",
        "It is kept. The answer comes as a message, however long it takes.",
    ),
    PressState.DONE: ("Done already", "This was pressed before, and nothing was done again."),
    PressState.SUPERSEDED: ("Changed", f"The card has changed since. {_GONE}"),
    PressState.REFUSED: ("Not taken", "Nobody takes presses of this card any more."),
}


class NewHome(NamedTuple):
    """Where an account is now. unit_id: empty: nowhere; address: of its pages, such as
    https://eu.talk.example; empty: not known here."""

    unit_id: str
    address: str


class CardConfirmations:
    """The Confirmations of one unit. checks: reads cards; moved: where an account (its tenant, its
    id, and as it lives here if it does) is at home since it left; None: it has not. wall_ms: Unix
    ms."""

    def __init__(
        self,
        database: UnitDatabase,
        accounts: Accounts,
        clicking: Clicking,
        checks: CardChecks,
        *,
        moved: Callable[[str, str, Resident | None], NewHome | None],
        wall_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._clicking = clicking
        self._checks = checks
        self._moved = moved
        self._wall_ms = wall_ms

    async def show(self, token: str, *, address: str) -> ConfirmationPage:
        """See Confirmations."""
        found = await self._found(token)
        if isinstance(found, ConfirmationPage):
            return found
        _, _, card, action = found
        return _form(card, action, to_confirmation(card, action, address=address))

    async def press(
        self, token: str, fields: Mapping[str, Sequence[str]], *, address: str
    ) -> ConfirmationPage:
        """See Confirmations."""
        found = await self._found(token)
        if isinstance(found, ConfirmationPage):
            return found
        grant, resident, card, action = found
        given = filled_in(card, action, fields)
        checked = check_inputs(card, action, given)
        if isinstance(checked, list):
            values = {one: ",".join(v) if isinstance(v, list) else v for one, v in given.items()}
            form = to_confirmation(card, action, address=address, values=values, flaws=checked)
            return _form(card, action, form, status=400)
        press = NewPress(
            id=hashlib.sha256(token.encode()).digest()[:PRESS_BYTES],
            message=grant.message,
            action=action.id,
            revision=grant.revision,
            author=grant.author,
            inputs=checked,
        )
        try:
            clicked = await self._clicking.click(resident, press)
        except ServiceError as error:
            return plain_page("Not pressed", error.message, 503 if error.retry_after_s else 409)
        return plain_page(*_SAID[clicked.state])

    async def _found(
        self, token: str
    ) -> ConfirmationPage | tuple[ActionGrant, Resident, Card, CardAction]:
        """What the token stands for now, or why that is nothing."""
        grant = self._read(token)
        if isinstance(grant, TokenRefusal):
            return plain_page(
                "This link is no good", f"{grant.value.capitalize()}.", _STATUS[grant]
            )
        resident = self._accounts.resident(grant.tenant, grant.account)
        if home := self._moved(grant.tenant, grant.account, resident):
            return moved_page(home, f"/a/{token}")
        message, author = None, grant.author or None
        if resident is not None:
            message = self._accounts.read(
                resident,
                lambda db, owner: kept.shown(db, owner, grant.message, bringer=author),
            )
        text = card_in(message) if message is not None else ""
        if resident is None or message is None or not text:
            return plain_page("There is nothing here any more", _GONE, 410)
        card = await self._checks.card(resident, text)
        action = card.action(grant.action)
        if message.revision != grant.revision or action is None or not action.enabled:
            return plain_page("Changed", f"The card has changed since. {_GONE}", 410)
        return grant, resident, card, action

    def _read(self, token: str) -> ActionGrant | TokenRefusal:
        """What it stands for, by the keys of the account that it names."""
        claimed = claimed_by(token)
        if claimed is None:
            return TokenRefusal.FORGED
        keys = self._database.read(lambda db: keys_of_links(db, claimed.tenant, claimed.account))
        if not keys:
            return TokenRefusal.FORGED
        return ActionTokens(*keys).read(token, now_ms=self._wall_ms())


_STATUS: Final = {TokenRefusal.FORGED: 404, TokenRefusal.EXPIRED: 410}


def _form(card: Card, action: CardAction, form: str, *, status: int = 200) -> ConfirmationPage:
    what = "<p>Nothing is done before you press.</p>\n"
    return ConfirmationPage(title=action.title, body=what + form, status=status)


def moved_page(home: NewHome, path: str) -> ConfirmationPage:
    """Of an account that has its home elsewhere. path: of the same page there; letters, digits,
    '-', '_' and '/' alone."""
    title = "Your account has moved"
    if home.address:
        there = escape(f"{home.address}{path}")
        link = f'<p><a href="{there}" rel="noreferrer">Go on in its new home</a></p>\n'
        return ConfirmationPage(title=title, body=link, status=410)
    where = f"It is at home in {home.unit_id} now. " if home.unit_id else ""
    return plain_page(title, f"{where}Open your conversations there.", 410)


def plain_page(title: str, said: str, status: int = 200) -> ConfirmationPage:
    """One that says a sentence."""
    return ConfirmationPage(title=title, body=f"<p>{escape(said)}</p>\n", status=status)

"""The pages behind links in texts that were cut: /m/TOKEN shows the message to whoever holds the
token.

Opening one changes nothing, not even whether the message counts as seen: telephones and scanners
open links by themselves. There is no script and no form on it; like the pages behind buttons it is
kept by no cache, and nothing tells where its links lead from. A token of nothing, one whose time is
over and one that was made elsewhere are answered alike.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from aiohttp import web

from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.message_links import MessageLink, linked
from deployment_units.services.conversations import kept
from deployment_units.services.conversations.card_checks import Bringer, CardChecks
from deployment_units.services.gateway.convert.converting import Content, convert
from deployment_units.services.gateway.convert.text_html import text_to_html
from deployment_units.services.gateway.mail_headers import name_of_sender
from deployment_units.services.state import owners
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.web.card_confirmations import NewHome, moved_page, plain_page
from deployment_units.services.web.confirmations import ConfirmationPage, page_response, token_in
from homeport.api.communication.v1 import conversation_pb2 as pb

_NO_GOOD: Final = (
    "This link is no good",
    "It was not made here, is not whole, or its time is over.",
)
_GONE: Final = ("There is nothing here any more", "The message was removed.")


class _Shown(NamedTuple):
    sender: str
    content: pb.Content


class MessagePages:
    """Of one unit. checks: reads what is costly to read, apart from the event loop; moved, wall_ms:
    as CardConfirmations has them."""

    def __init__(
        self,
        database: UnitDatabase,
        accounts: Accounts,
        checks: CardChecks,
        *,
        moved: Callable[[str, str, Resident | None], NewHome | None],
        wall_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._checks = checks
        self._moved = moved
        self._wall_ms = wall_ms

    async def show(self, request: web.Request) -> web.Response:
        """The handler of /m/TOKEN. Raises HTTPNotFound for what can be no token."""
        return page_response(await self.page(token_in(request)))

    async def page(self, token: str) -> ConfirmationPage:
        """What a token shows. Raises StoreUnavailable, Exhausted."""
        link = self._database.read(partial(linked, token=token, now_ms=self._wall_ms()))
        if link is None:
            return plain_page(*_NO_GOOD, 404)
        resident = self._accounts.resident(link.tenant, link.account)
        if home := self._moved(link.tenant, link.account, resident):
            return moved_page(home, f"/m/{token}")
        found = self._database.read(partial(_shown, link=link))
        if found is None:
            return plain_page(*_GONE, 410)
        whose = Bringer(link.tenant, link.account)
        body = await self._checks.run(whose, lambda: _body(found.content))
        return ConfirmationPage(title=f"From {found.sender}", body=body)


def _shown(db: sqlite3.Connection, link: MessageLink) -> _Shown | None:
    owner = owners.find(db, link.tenant, link.account)
    if owner is None or link.position is None:
        return None
    message = kept.at(db, owner.number, link.position)
    if message is None:
        return None
    sender = name_of_sender(db, owner, message)
    return _Shown(sender, pb.Content.FromString(message.content))


def _body(content: pb.Content) -> str:
    """All of its text; blocks."""
    made = convert(Content(text=content.text, html=content.html), Channel.MAIL)
    return f"{text_to_html(made.text)}\n<p>Answer where you got the link.</p>\n"

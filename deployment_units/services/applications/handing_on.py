"""HandingOn: brings presses to the accounts whose cards they are, where those live elsewhere.

A press is handed on until the other unit has it on disk, or says that it never will; it is known
there by its id, so whatever may have arrived is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from control_plane.errors import NotFound, Refused, ServiceError
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.applications.residents import Residents
from deployment_units.services.conversations import kept, presses
from deployment_units.services.conversations.press import KeptPress, PressState

log = logging.getLogger(__name__)

LATER = frozenset({"ACCOUNT_FULL", "STALE_EPOCH"})  # refusals that may be none tomorrow
MOST = 30  # presses of one account that are handed on one after the other
MOST_PAGES = 40  # of so many, of which some have to wait


class PressPeers(Protocol):
    """Where other accounts live."""

    async def bring(self, viewer: Resident, author: str, press: KeptPress) -> PressState:
        """Brings a press to the account whose card it is, and says what became of it there. Ends
        within ten seconds or so. Raises NotFound, Refused where it is never taken; another
        ServiceError where it is to be tried again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    press: KeptPress
    author: str  # empty: the message is gone


class HandingOn:
    """Of one unit."""

    def __init__(self, accounts: Accounts, residents: Residents, peers: PressPeers) -> None:
        self._accounts = accounts
        self._residents = residents
        self._peers = peers

    async def hand_on(self, resident: Resident) -> bool:
        """Hands on some of an account's presses; whether there may be more. One that cannot be
        handed on now holds up those of cards of the same account, and of no other. Raises
        ServiceError where some are to be tried later."""
        later: dict[str, ServiceError] = {}
        behind = (-1, b"")
        for _ in range(MOST_PAGES):
            waiting = self._accounts.read(resident, partial(_waiting, behind=behind))
            for one in waiting:
                if one.author not in later:
                    await self._hand_on(resident, one, later)
            more = len(waiting) == MOST
            if not (more and later):
                break
            behind = (waiting[-1].press.pressed_ms, waiting[-1].press.id)
            await asyncio.sleep(0)  # others are served
        for failed in later.values():
            raise failed
        return more

    async def _hand_on(
        self, resident: Resident, one: _Waiting, later: dict[str, ServiceError]
    ) -> None:
        """later: by author, why those of its cards have to wait."""
        try:
            state = await self._brought(resident, one)
        except ServiceError as error:
            later[one.author] = error
            return
        await self._residents.change(
            resident,
            partial(presses.become, viewer=one.press.viewer, press=one.press.id, state=state),
            grows=False,
        )

    async def _brought(self, resident: Resident, one: _Waiting) -> PressState:
        if not one.author:
            return PressState.REFUSED
        try:
            return await self._peers.bring(resident, one.author, one.press)
        except (NotFound, Refused) as refused:
            if refused.reason in LATER:
                raise
            log.info("a press of a card of %s is not taken: %s", one.author, refused)
            return PressState.REFUSED


def _waiting(db: sqlite3.Connection, owner: int, *, behind: tuple[int, bytes]) -> list[_Waiting]:
    found = []
    for press in presses.to_hand_on(db, owner, most=MOST, behind=behind):
        message = kept.find(db, owner, press.message, bringer=press.author or None)
        found.append(_Waiting(press=press, author=message.sender if message else ""))
    return found

"""Residents: accounts that live here, as the unit itself acts for them: by what it keeps, where a
client would show its ticket."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias, TypeVar

from deployment_units.services.accounts.accounts import AccountFull, AccountLeaving
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations import presses
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.state import owners
from deployment_units.services.state.accounts import MAX_ACCOUNT_BYTES
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import Owner, OwnerState

T = TypeVar("T")
Send: TypeAlias = Callable[[sqlite3.Connection, int, Resident, NewMessage], object]
"""Sends a message of the resident's in a conversation that is there, inside a transaction."""

MOST = 100  # accounts that are looked at together
BEFORE_MS = 60_000  # no reply is older than the first message by more


class Residents:
    """Of one unit. most_bytes: of one account."""

    def __init__(self, database: UnitDatabase, *, most_bytes: int = MAX_ACCOUNT_BYTES) -> None:
        self._database = database
        self._most_bytes = most_bytes

    async def change(
        self, resident: Resident, work: Callable[[sqlite3.Connection, int], T], *, grows: bool
    ) -> T:
        """As Accounts.change, for what the unit does by itself: an account that has left is not
        made anew by it. grows: it may not take more than an account may keep. Raises AccountLeaving
        where the account does not live here as it did, AccountFull, StoreUnavailable,
        OutcomeUnknown and what `work` raises."""

        def whole(db: sqlite3.Connection) -> T:
            kept = owners.find(db, resident.tenant, resident.account)
            if kept is None or _resident(kept) != resident:
                raise AccountLeaving
            made = work(db, kept.number)
            if grows and max(kept.bytes, self._most_bytes) < owners.bytes_of(db, kept.number):
                raise AccountFull("the account of an application has no room for what it sends")
            return made

        return await self._database.transact(whole)

    def find(self, tenant: str, account: str) -> Resident | None:
        """None: it does not live here, or is leaving."""
        return _resident(self._database.read(lambda db: owners.find(db, tenant, account)))

    def since_ms(self, resident: Resident) -> int:
        """Before that no outcome concerned the account, Unix ms."""

        def read(db: sqlite3.Connection) -> int:
            row = db.execute(
                "SELECT min(kept_ms) FROM messages WHERE owner = (SELECT owner FROM owners"
                " WHERE tenant = ? AND account = ? AND state = 'live') AND position ="
                " (SELECT min(position) FROM messages m WHERE m.owner = messages.owner)",
                (resident.tenant, resident.account),
            ).fetchone()
            return max((row[0] or 0) - BEFORE_MS, 0)

        return self._database.read(read)

    def with_presses(self) -> Iterator[Resident]:
        """Those with presses to hand on, page by page."""
        behind = 0
        while page := self._database.read(partial(_page, behind=behind)):
            behind = page[-1].number
            for one in page:
                resident = _resident(one)
                if resident is not None:
                    yield resident


def _page(db: sqlite3.Connection, *, behind: int) -> list[Owner]:
    numbers = presses.owners_with_some(db, behind=behind, most=MOST)
    found = (owners.by_number(db, one) for one in numbers)
    return [one for one in found if one is not None]


def _resident(owner: Owner | None) -> Resident | None:
    if owner is None or owner.state is not OwnerState.LIVE:
        return None
    return Resident(
        tenant=owner.tenant, account=owner.account, epoch=owner.epoch, first_ms=owner.first_ms
    )

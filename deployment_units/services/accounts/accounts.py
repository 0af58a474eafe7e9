"""Accounts: what a unit's services read and change of an account, each in one transaction.

A change names the resident by its ticket. In the same transaction it is looked whether the account
lives here at that epoch and is not leaving, and whether it still is within its quota afterwards;
a new account begins with its first change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from control_plane.errors import Refused, Unavailable
from deployment_units.services.accounts.entry import Entry, Resident, judge
from deployment_units.services.state import owners
from deployment_units.services.state.accounts import MAX_ACCOUNT_BYTES
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import Owner, OwnerState
from deployment_units.services.state.parts import MAX_ROW_BYTES

T = TypeVar("T")
NOBODY = 0  # an owner's number that nobody has


class AccountLeaving(Unavailable):
    """The account was exported to another unit, and nothing may be changed until it is there, or
    is known to stay."""

    reason = "ACCOUNT_LEAVING"

    def __init__(self) -> None:
        super().__init__("the account is moving to another unit; try again, or ask where it lives")


class StaleEpoch(Refused):
    """The account has moved since the ticket or introduction was made."""

    reason = "STALE_EPOCH"


class AccountFull(Refused):
    """The account has no room for what was to be kept."""

    reason = "ACCOUNT_FULL"


class Accounts:
    """Of one unit. wall_ms: Unix ms; most_bytes: of one account."""

    def __init__(
        self,
        database: UnitDatabase,
        *,
        wall_ms: Callable[[], int],
        most_bytes: int = MAX_ACCOUNT_BYTES,
    ) -> None:
        self._database = database
        self._wall_ms = wall_ms
        self._most_bytes = most_bytes

    def read(self, resident: Resident, work: Callable[[sqlite3.Connection, int], T]) -> T:
        """What `work` reads of the resident's rows, given their owner's number; of one that keeps
        nothing, NOBODY. All of it as of one commit. Blocks. Raises StaleEpoch, StoreUnavailable."""

        def whole(db: sqlite3.Connection) -> T:
            kept = owners.find(db, resident.tenant, resident.account)
            entry = judge(kept, resident)
            if entry is Entry.STALE:
                raise _stale()
            return work(db, NOBODY if kept is None or entry is Entry.ANEW else kept.number)

        return self._database.read(whole)

    def resident(self, tenant: str, account: str) -> Resident | None:
        """The account that lives here, as it does now; None: none does that may be changed. For
        whoever acts for it by something else than its ticket. Blocks. Raises StoreUnavailable."""
        kept = self._database.read(lambda db: owners.find(db, tenant, account))
        if kept is None or kept.state is not OwnerState.LIVE:
            return None
        return Resident(tenant=tenant, account=account, epoch=kept.epoch, first_ms=kept.first_ms)

    async def change(self, resident: Resident, work: Callable[[sqlite3.Connection, int], T]) -> T:
        """What `work` makes of the account's rows, given their owner's number; kept when this
        returns. Raises StaleEpoch, AccountLeaving, AccountFull, StoreUnavailable, OutcomeUnknown
        and what `work` raises."""

        def whole(db: sqlite3.Connection) -> T:
            number, before = self._enter(db, resident)
            rows = db.total_changes
            made = work(db, number)
            # Each row that was changed has MAX_ROW_BYTES at most: mostly that is answer enough.
            if before + (db.total_changes - rows) * MAX_ROW_BYTES <= self._most_bytes:
                return made
            after = owners.bytes_of(db, number)
            if after > self._most_bytes and after > before:
                raise AccountFull(
                    f"the account keeps {before} bytes, and may keep {self._most_bytes}; "
                    "remove something first"
                )
            return made

        return await self._database.transact(whole)

    async def settle(self, owner: Owner, work: Callable[[sqlite3.Connection], T]) -> T:
        """What the unit itself writes of an account that lives here, also of one that is full;
        kept when this returns. Raises AccountLeaving where it does not live here any more,
        StoreUnavailable, OutcomeUnknown."""

        def whole(db: sqlite3.Connection) -> T:
            kept = owners.by_number(db, owner.number)
            if kept is None or kept.state is not OwnerState.LIVE:
                raise AccountLeaving
            return work(db)

        return await self._database.transact(whole)

    def beside(
        self, db: sqlite3.Connection, tenant: str, account: str, *, room_bytes: int
    ) -> int | None:
        """Inside a change: the number of another account that lives here, may be changed and has as
        much room; None: it does not, or there is none."""
        kept = owners.find(db, tenant, account)
        if kept is None or kept.state is not OwnerState.LIVE:
            return None
        return kept.number if kept.bytes + room_bytes <= self._most_bytes else None

    def _enter(self, db: sqlite3.Connection, resident: Resident) -> tuple[int, int]:
        """The number of the resident's owner, and what its rows take. Raises StaleEpoch,
        AccountLeaving."""
        kept = owners.find(db, resident.tenant, resident.account)
        entry = judge(kept, resident)
        if entry is Entry.STALE:
            raise _stale()
        if entry is Entry.LEAVING:
            raise AccountLeaving
        now_ms = self._wall_ms()
        if kept is not None and entry is not Entry.ANEW:
            if entry is Entry.LATER or kept.first_ms != (resident.first_ms or kept.first_ms):
                owners.become(
                    db, kept.number, OwnerState.LIVE, now_ms=now_ms,
                    epoch=resident.epoch, first_ms=resident.first_ms or None,
                )  # fmt: skip
            return kept.number, kept.bytes
        if kept is not None:
            owners.become(db, kept.number, OwnerState.GONE, now_ms=now_ms)
        number = owners.add(
            db, resident.tenant, resident.account,
            epoch=resident.epoch, first_ms=resident.first_ms,
            state=OwnerState.LIVE, now_ms=now_ms,
        )  # fmt: skip
        return number, 0


def _stale() -> StaleEpoch:
    return StaleEpoch("the account lives here by a later assignment; get a new ticket")

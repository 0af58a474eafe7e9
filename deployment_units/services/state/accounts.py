"""AccountState: client state that is accounts in the unit's database.

    export   freezes the account, then reads its rows as a stream (see stream); a repeat reads them
             again. What it was stays so until the account has left, stays, or is replaced.
    begin    an import beside what is kept (see account_import)
    forget   the account is gone at once; its rows are deleted in the background

`run` deletes, and belongs to whoever made this.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable

from control_plane.errors import Unavailable
from deployment_units.services.state import owners
from deployment_units.services.state.account_import import AccountImport
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import Owner, OwnerState
from deployment_units.services.state.parts import Row
from deployment_units.services.state.port import Import
from deployment_units.services.state.stream import StreamWriter

log = logging.getLogger(__name__)

MAX_ACCOUNT_BYTES = 48 << 20
_PIECE_BYTES = 256 << 10  # of an export
_AT_ONCE = 16  # owners looked at together, to be deleted
_LOOK_S = 60.0  # after so long it is looked anyway
_TRY_AGAIN_S = 5.0  # where the database could not be written


class AccountState:
    """A ClientState. wall_ms: Unix ms; most_bytes: of one account."""

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
        self._read: Counter[int] = Counter()  # exports under way, by owner
        self._arriving: set[int] = set()  # imports under way, by owner
        self._to_delete = asyncio.Event()
        self._to_delete.set()  # what the last process left

    async def export(self, tenant: str, client_id: str) -> AsyncIterator[bytes]:
        owner = await self._database.transact(lambda db: self._freeze(db, tenant, client_id))
        self._read[owner.number] += 1
        try:
            async for piece in self._pieces(owner):
                yield piece
            # The time in which it may leave begins when all of it was read.
            await self._database.transact(
                lambda db: owners.still_leaving(db, owner.number, now_ms=self._wall_ms())
            )
        finally:
            self._read[owner.number] -= 1
            if not self._read[owner.number]:
                del self._read[owner.number]
            self._to_delete.set()

    async def begin(self, tenant: str, client_id: str, epoch: int) -> Import:
        incoming = AccountImport(
            self._database,
            tenant=tenant,
            account=client_id,
            epoch=epoch,
            most_bytes=self._most_bytes,
            wall_ms=self._wall_ms,
            on_begin=self._arriving.add,
            on_end=self._ended,
        )
        try:
            await incoming.begin()
        except BaseException:  # also where the caller has gone; it goes on upwards
            incoming.abort()
            raise
        return incoming

    async def forget(self, tenant: str, client_id: str, epoch: int) -> None:
        def drop(db: sqlite3.Connection) -> None:
            kept = owners.find(db, tenant, client_id)
            if kept is not None and kept.epoch <= epoch:
                owners.become(db, kept.number, OwnerState.GONE, now_ms=self._wall_ms())

        await self._database.transact(drop)
        self._to_delete.set()

    async def run(self) -> None:
        """Deletes what is gone, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._to_delete.wait()
            except TimeoutError:
                pass  # others have something deleted, too
            self._to_delete.clear()
            try:
                await self.delete_gone()
            except Unavailable as away:
                log.warning("accounts that are gone cannot be deleted yet: %s", away)
                await asyncio.sleep(_TRY_AGAIN_S)
                self._to_delete.set()

    async def delete_gone(self) -> None:
        """Deletes imports that came to nothing, and owners that are gone, but for those that are
        being read. Raises StoreUnavailable."""
        while found := await self._database.transact(self._gone):
            for number in found:
                await self._database.delete(number)

    def _gone(self, db: sqlite3.Connection) -> list[int]:
        """Some that can be deleted, by number; none: there are none."""
        most = len(self._arriving) + _AT_ONCE
        for owner in owners.in_state(db, OwnerState.ARRIVING, most=most):
            if owner.number not in self._arriving:
                owners.become(db, owner.number, OwnerState.GONE, now_ms=self._wall_ms())
        gone = owners.in_state(db, OwnerState.GONE, most=len(self._read) + _AT_ONCE)
        return [owner.number for owner in gone if owner.number not in self._read]

    def _freeze(self, db: sqlite3.Connection, tenant: str, account: str) -> Owner:
        """The account as one that is leaving. Of one without state, an owner that has none."""
        now_ms = self._wall_ms()
        found = owners.find(db, tenant, account)
        if found is not None:
            owners.become(db, found.number, OwnerState.LEAVING, now_ms=now_ms)
            return found
        owners.add(db, tenant, account, epoch=0, state=OwnerState.LEAVING, now_ms=now_ms)
        made = owners.find(db, tenant, account)
        assert made is not None
        return made

    def _ended(self, number: int) -> None:
        """An import was committed, or is to be dropped."""
        self._arriving.discard(number)
        self._to_delete.set()

    async def _pieces(self, owner: Owner) -> AsyncIterator[bytes]:
        """All that the owner has; nothing where that is nothing. Nobody changes it meanwhile."""
        writer = StreamWriter(owner.first_ms)
        piece = bytearray()
        for part in self._database.parts.values():
            for table in part.tables:
                after: Row = ()
                more = True
                while more:
                    rows, more = self._database.rows(table, owner.number, after)
                    for row in rows:
                        piece += writer.row(part, table, row)
                        if len(piece) >= _PIECE_BYTES:
                            yield bytes(piece)
                            piece.clear()
                    after = rows[-1] if rows else ()
                    await asyncio.sleep(0)  # others are served
        piece += writer.finish()
        if piece:
            yield bytes(piece)

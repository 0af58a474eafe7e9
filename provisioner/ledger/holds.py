"""Holds: a place that is given up again unless its unit admits the client in time.

A hold is written in the transaction of the assignment and stands until the client came;
its absence means that it did. A `HoldConfirmer` accepts confirmations from everywhere and
deletes holds. What becomes of holds that nobody confirms is the business of `hold_expiry`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from control_plane import keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.store.port import (
    Delete,
    Put,
    Store,
    Txn,
)

log = logging.getLogger(__name__)

DELETES = 120  # holds confirmed in one transaction
CONFIRM_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRecord:
    """What stands under holds/<tenant>/<client>; for people, nothing is decided by it."""

    until_ms: int  # Unix ms, by the clock of whoever assigned
    unit: str


_encoder = msgspec.json.Encoder()


def hold(tenant: str, client_id: str, unit: str, *, until_ms: int) -> Put:
    """The write that goes with a held assignment."""
    record = HoldRecord(until_ms=until_ms, unit=unit)
    return Put(keys.hold(tenant, client_id), _encoder.encode(record))


def split_hold_key(key: bytes) -> tuple[str, str]:
    """(tenant, client_id) of a hold's key."""
    tenant, _, client_id = key[len(keys.HOLDS) :].decode().partition("/")
    return tenant, client_id


@dataclass(slots=True)
class _Call:
    """Somebody who waits until some holds are gone."""

    left: int
    done: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class HoldConfirmer(Protocol):
    """`run` is a task of the owner's."""

    async def confirm(self, holds: Sequence[bytes]) -> None:
        """Returns when none of these keys stands any more. Idempotent. Raises Unavailable,
        and then some may be gone."""
        ...

    async def run(self) -> None:
        """Works for ever, or has nothing to do."""
        ...


class StoreHoldConfirmer:
    """Deletes holds of one store in groups, without a read: what arrives while a transaction
    is under way goes with the next."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[tuple[bytes, _Call]] = deque()
        self._wake = asyncio.Event()
        self.confirmed = 0
        self.transactions = 0

    async def confirm(self, holds: Sequence[bytes]) -> None:
        call = _Call(len(holds))
        if not holds:
            return
        self._waiting.extend((key, call) for key in holds)
        self._wake.set()
        try:
            async with asyncio.timeout(CONFIRM_S):
                await call.done
        except TimeoutError as error:
            raise Unavailable("admissions cannot be written now; send them again") from error

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(DELETES, len(self._waiting))
                await self._delete([self._waiting.popleft() for _ in range(count)])

    async def _delete(self, batch: Sequence[tuple[bytes, _Call]]) -> None:
        self.transactions += 1
        error: ServiceError | None = None
        try:
            await self._store.commit(Txn(then=[Delete(key) for key in {key for key, _ in batch}]))
        except ServiceError as failure:
            error = failure  # also where the outcome is unknown: the sender sends them again
        for _, call in batch:
            call.left -= 1
            if call.done.done():
                continue
            if error is not None:
                call.done.set_exception(error)
            elif not call.left:
                call.done.set_result(None)
        if error is None:
            self.confirmed += len(batch)

"""Holds: a place that is given up again unless its unit admits the client in time.

A hold is written in the transaction of the assignment and stands until the client came;
its absence means that it did. A `HoldConfirmer` accepts confirmations from everywhere and
deletes holds, of the unit that confirms and of no other. What becomes of holds that nobody
confirms is the business of `hold_expiry`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from control_plane import keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import (
    Delete,
    Get,
    KeyValue,
    Put,
    Store,
    Txn,
    unchanged,
)
from provisioner.ledger.assignment import split_client

log = logging.getLogger(__name__)

DELETES = 120  # holds confirmed in one transaction
CONFIRM_S = 5.0
ROUNDS = 5  # of holds that change while they are confirmed


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRecord:
    """What stands under holds/<tenant>/<client>."""

    until_ms: int  # Unix ms, by the clock of whoever assigned; for people
    unit: str  # the only one that may say that the client came


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(HoldRecord)


def hold(tenant: str, client_id: str, unit: str, *, until_ms: int) -> Put:
    """The write that goes with a held assignment."""
    record = HoldRecord(until_ms=until_ms, unit=unit)
    return Put(keys.hold(tenant, client_id), _encoder.encode(record))


def split_hold_key(key: bytes) -> tuple[str, str]:
    """(tenant, client_id) of a hold's key. Raises ValueError where it names no client."""
    return split_client(key, keys.HOLDS)


def held_at(found: Iterable[Sequence[KeyValue]], units: Mapping[bytes, set[str]]) -> list[KeyValue]:
    """Those of the holds read that one of the units named for them may confirm. A damaged one is
    nobody's; it expires."""
    mine = []
    for pair in (one[0] for one in found if one):
        try:
            record = _decoder.decode(pair.value)
        except UNREADABLE:
            continue
        if record.unit in units[pair.key]:
            mine.append(pair)
    return mine


@dataclass(slots=True)
class _Call:
    """Somebody who waits until some holds are gone."""

    left: int
    done: asyncio.Future[None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class HoldConfirmer(Protocol):
    """`run` is a task of the owner's."""

    async def confirm(self, holds: Sequence[bytes], unit: str) -> None:
        """Returns when none of these keys stands any more as a hold of `unit`; what is another
        unit's by now stays. Idempotent. Raises Unavailable, and then some may be gone."""
        ...

    async def run(self) -> None:
        """Works for ever, or has nothing to do."""
        ...


class StoreHoldConfirmer:
    """Deletes holds of one store in groups: what arrives while one is under way goes with the
    next. transactions: those that deleted."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[tuple[bytes, str, _Call]] = deque()
        self._wake = asyncio.Event()
        self.confirmed = 0
        self.transactions = 0

    async def confirm(self, holds: Sequence[bytes], unit: str) -> None:
        call = _Call(len(holds))
        if not holds:
            return
        self._waiting.extend((key, unit, call) for key in holds)
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

    async def _delete(self, batch: Sequence[tuple[bytes, str, _Call]]) -> None:
        units: dict[bytes, set[str]] = {}
        for key, unit, _ in batch:
            units.setdefault(key, set()).add(unit)
        error: ServiceError | None = None
        try:
            await self._delete_own(units)
        except ServiceError as failure:
            error = failure  # also where the outcome is unknown: the sender sends them again
        for _, _, call in batch:
            call.left -= 1
            if call.done.done():
                continue
            if error is not None:
                call.done.set_exception(error)
            elif not call.left:
                call.done.set_result(None)
        if error is None:
            self.confirmed += len(batch)

    async def _delete_own(self, units: Mapping[bytes, set[str]]) -> None:
        """Deletes the holds among these that their units may confirm. Raises Unavailable."""
        for _ in range(ROUNDS):
            read = await self._store.commit(Txn(then=[Get(key) for key in units]))
            mine = held_at(read.results, units)
            if not mine:
                return
            self.transactions += 1
            written = await self._store.commit(
                Txn(
                    compares=[unchanged(pair.key, pair.mod_revision) for pair in mine],
                    then=[Delete(pair.key) for pair in mine],
                )
            )
            if written.succeeded:
                return
        raise Unavailable("admissions cannot be written now; send them again")

"""Assignments: finds and releases one client's assignment, for callers that await the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from control_plane import keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.store.port import KeyValue, Put
from provisioner.ledger.account import Account
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment
from provisioner.ledger.departure import RELEASED, left_home
from provisioner.ledger.operations import GuardedRelease
from provisioner.ledger.port import Ledger

T = TypeVar("T")

RELEASE_WITHIN_S = 5.0  # what the ledger has for one attempt
ANSWER_WITHIN_S = 10.0  # the ledger's answers come before this


class Assignments:
    """One per server. lease(assignment key): one for the client's departure. clock: monotonic
    seconds; wall: Unix seconds."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        lease: Callable[[bytes], Awaitable[int]],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._lease = lease
        self._clock = clock
        self._wall = wall

    async def find(self, tenant_id: str, client_id: str) -> KeyValue | None:
        """The assignment as it stands in the store. Raises Unavailable."""
        lookup = _AwaitedLookup(keys.assignment(tenant_id, client_id))
        self._ledger.look_up(lookup)
        return await _within(lookup.outcome)

    async def release(
        self,
        tenant_id: str,
        client_id: str,
        checked: Callable[[KeyValue | None], AssignmentRecord | None] | None = None,
    ) -> bool:
        """Whether there was an assignment that is given up now; its unit hears of it.
        checked: the record of what is found, or raises where it may not be given up; None: nobody
        asks. Raises Unavailable, and what that raises."""
        found = await self.find(tenant_id, client_id)
        read = checked or _record
        while (record := read(found)) is not None and found is not None:
            account = self._ledger.account(record.unit)
            departed = left_home(
                found.key,
                record,
                RELEASED,
                at_ms=int(self._wall() * 1000),
                lease=await self._lease(found.key),
            )
            release = _AwaitedRelease(
                found, account, departed, expires_at=self._clock() + RELEASE_WITHIN_S
            )
            self._ledger.release(release)
            outcome = await _within(release.outcome)
            if isinstance(outcome, bool):
                return outcome
            found = outcome  # written since it was found: that one is released
        return False


def _record(found: KeyValue | None) -> AssignmentRecord | None:
    return decode_assignment(found.value) if found is not None else None


async def _within(outcome: asyncio.Future[T]) -> T:
    """The ledger's answer. Raises Unavailable where none came."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await outcome
    except TimeoutError:
        raise Unavailable("the ledger gave no answer in time; try again") from None


class _AwaitedLookup:
    """A lookup somebody awaits."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.expires_at = float("inf")
        self.outcome: asyncio.Future[KeyValue | None]
        self.outcome = asyncio.get_running_loop().create_future()

    def found(self, found: KeyValue | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(found)

    def failed(self, error: ServiceError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)


class _AwaitedRelease(GuardedRelease):
    """A release somebody awaits: True, or what was there instead."""

    __slots__ = ("outcome",)

    def __init__(
        self, found: KeyValue, account: Account, departed: Put, *, expires_at: float
    ) -> None:
        self.key = found.key
        self.guards = ()
        self.writes = (departed,)
        self.revision = found.mod_revision
        self.account = account
        self.expires_at = expires_at
        self.outcome: asyncio.Future[bool | KeyValue | None]
        self.outcome = asyncio.get_running_loop().create_future()

    def released(self) -> None:
        if not self.outcome.done():
            self.outcome.set_result(True)

    def changed(self, found: KeyValue | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(found)

    def failed(self, error: ServiceError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)

"""Expiry: places that were held for a client that never came are given back.

How long a hold has stood is measured by the looker's own monotonic clock, from when it
first saw it: no wall clock decides anything, so none that is wrong can take a place away
too early or leave it for ever. A hold belongs to the assignment that one and the same
transaction wrote (equal mod_revision); any other hold is an orphan, and is removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from control_plane import keys
from control_plane.errors import ServiceError
from control_plane.store.damaged import UNREADABLE, DamagedKeys
from control_plane.store.port import (
    Compare,
    Delete,
    Get,
    KeyValue,
    Put,
    Store,
    Txn,
    unchanged,
)
from provisioner.ledger.account import Account
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment
from provisioner.ledger.departure import left_home
from provisioner.ledger.holds import split_hold_key
from provisioner.ledger.operations import GuardedRelease, Release

log = logging.getLogger(__name__)

READS = 60  # assignments read in one transaction
PAGE = 1_000
TRACKED = 200_000  # holds whose age one provisioner keeps in mind; others wait for room
LOOK_MIN_S, LOOK_MAX_S = 0.5, 15.0
RELEASE_S = 10.0
EXPIRED = "hold-expired"


class HoldAges:
    """Since when each hold has been seen, by one clock. Pure; monotonic seconds."""

    def __init__(self, limit: int = TRACKED) -> None:
        self._limit = limit
        self._since: dict[bytes, tuple[int, float]] = {}  # key -> (mod_revision, first seen)

    def __len__(self) -> int:
        return len(self._since)

    def age_s(self, key: bytes, revision: int, now: float) -> float:
        """How long this very hold has been in sight; 0 at first sight."""
        seen = self._since.get(key)
        if seen is not None and seen[0] == revision:
            return now - seen[1]
        if seen is not None or len(self._since) < self._limit:
            self._since[key] = (revision, now)
        return 0.0

    def keep(self, held: set[bytes]) -> None:
        """Forgets every hold that does not stand any more."""
        for key in self._since.keys() - held:
            del self._since[key]


def belongs(hold_pair: KeyValue, assignment: KeyValue | None) -> bool:
    """Whether the hold is of this very assignment: one transaction wrote both, and nobody
    wrote the assignment since."""
    return assignment is not None and assignment.mod_revision == hold_pair.mod_revision


class HoldExpiry:
    """One per provisioner; `run` is a task of the owner's. Several may look at the same
    holds: one gives a place back, the others find it done.

    hold_s(tenant): how long its clients' places are held now; 0 for one that holds none.
    account(unit) and release: the ledger's. lease: one for the departures it writes.
    clock: monotonic seconds; wall: Unix seconds; jitter: 0 to 1, new at each call.
    """

    def __init__(
        self,
        store: Store,
        *,
        hold_s: Callable[[str], float],
        shortest_hold_s: Callable[[], float],
        account: Callable[[str], Account],
        release: Callable[[Release], None],
        lease: Callable[[], Awaitable[int]],
        clock: Callable[[], float],
        wall: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._store = store
        self._hold_s = hold_s
        self._shortest_hold_s = shortest_hold_s
        self._account = account
        self._release = release
        self._lease = lease
        self._clock = clock
        self._wall = wall
        self._jitter = jitter
        self._hold_ages = HoldAges()
        self.damaged = DamagedKeys(log)
        self.expired = 0
        self.orphans = 0

    async def run(self) -> None:
        """Works for ever."""
        while True:
            pause_s = min(LOOK_MAX_S, max(LOOK_MIN_S, self._shortest_hold_s() / 4))
            await asyncio.sleep(pause_s * (0.75 + 0.5 * self._jitter()))
            try:
                await self.expire_due()
            except ServiceError as error:
                log.info("cannot look at holds now: %s", error)

    async def expire_due(self) -> int:
        """Looks at every hold once; how many places it gave back. Raises Unavailable."""
        held: set[bytes] = set()
        given_back = 0
        after: bytes | None = None
        while True:
            page = await self._store.range(
                keys.HOLDS, start_after=after, limit=PAGE, keys_only=True
            )
            held.update(pair.key for pair in page.items)
            due = [pair for pair in page.items if self._is_due(pair)]
            for start in range(0, len(due), READS):
                given_back += await self._release_or_remove(due[start : start + READS])
            if not page.more:
                break
            after = page.items[-1].key
        self._hold_ages.keep(held)
        self.damaged.end_look()
        return given_back

    def _is_due(self, pair: KeyValue) -> bool:
        try:
            tenant, _ = split_hold_key(pair.key)
        except UNREADABLE as error:
            self.damaged.pass_over(pair.key, error)
            return False
        age_s = self._hold_ages.age_s(pair.key, pair.mod_revision, self._clock())
        return age_s > 0.0 and age_s >= self._hold_s(tenant)

    async def _release_or_remove(self, due: Sequence[KeyValue]) -> int:
        """Gives back what is still held, removes what is held no more."""
        reads = [Get(keys.assignment(*split_hold_key(pair.key))) for pair in due]
        found = await self._store.commit(Txn(then=reads))
        releases: list[HoldRelease] = []
        for pair, read in zip(due, found.results, strict=True):
            assignment = read[0] if read else None
            tenant, _ = split_hold_key(pair.key)
            if assignment is not None and belongs(pair, assignment) and self._hold_s(tenant) > 0:
                try:
                    releases.append(await self._give_back(pair, assignment))
                except UNREADABLE as error:
                    self.damaged.pass_over(assignment.key, f"its place stays: {error}")
            else:
                # The client left or moved on, or its tenant holds places no more.
                removed = await self._store.commit(
                    Txn(
                        compares=[unchanged(pair.key, pair.mod_revision)],
                        then=[Delete(pair.key)],
                    )
                )
                self.orphans += removed.succeeded
        if releases:
            await asyncio.wait([release.outcome for release in releases], timeout=2 * RELEASE_S)
        given_back = sum(one.outcome.done() and one.outcome.result() for one in releases)
        self.expired += given_back
        return given_back

    async def _give_back(self, pair: KeyValue, assignment: KeyValue) -> HoldRelease:
        record: AssignmentRecord = decode_assignment(assignment.value)
        release = HoldRelease(
            self._account(record.unit),
            assignment,
            pair,
            departed=left_home(
                assignment.key,
                record,
                EXPIRED,
                at_ms=int(self._wall() * 1000),
                lease=await self._lease(),
            ),
            expires_at=self._clock() + RELEASE_S,
        )
        self._release(release)
        return release


class HoldRelease(GuardedRelease):
    """Gives a place back that nobody came for: with the assignment goes its hold, and the
    departure is told. Refused when the hold is gone, because then the client came."""

    __slots__ = ("outcome",)

    def __init__(
        self,
        account: Account,
        assignment: KeyValue,
        held: KeyValue,
        *,
        departed: Put,
        expires_at: float,
    ) -> None:
        self.account = account
        self.key = assignment.key
        self.revision = assignment.mod_revision
        self.guards, self.writes = self.terms(held, departed)
        self.expires_at = expires_at
        self.outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    @staticmethod
    def terms(held: KeyValue, departed: Put) -> tuple[tuple[Compare], tuple[Delete, Put]]:
        """What else must hold, and is written, in the release's transaction."""
        return (unchanged(held.key, held.mod_revision),), (Delete(held.key), departed)

    def released(self) -> None:
        self._tell(True)

    def changed(self, found: KeyValue | None) -> None:
        self._tell(False)

    def failed(self, error: ServiceError) -> None:
        self._tell(False)  # if it stands at the next look, it is tried again

    def _tell(self, released: bool) -> None:
        if not self.outcome.done():
            self.outcome.set_result(released)

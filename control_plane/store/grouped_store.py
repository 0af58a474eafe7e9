"""GroupedStore: small transactions of many calls, carried in few of the store's.

No timer: while a transaction is under way others gather, and all that fit go out with the next one,
those of each tenant in turn. One that writes what another of the group looks at or writes waits for
the next. A group that is refused has read what was compared, in the same snapshot: those whose
compares did not hold are told so, and the rest goes out again without them, so that the loser alone
loses. Whose outcome is unknown is never repeated: all of its group are told so. What is large, or
asks for more than keys, goes by itself. The idea of the ledger's group commit (docs/ledger.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from control_plane.histogram import SIZES, Histogram
from control_plane.store.port import (
    Compare,
    Delete,
    Get,
    Health,
    KeyValue,
    LeaseLost,
    OutcomeUnknown,
    Page,
    Put,
    Store,
    StoreUnavailable,
    Target,
    Txn,
    TxnResult,
    WatchBatch,
)
from control_plane.turns import Turns

MOST_IN_A_LIST = 120  # compares, and operations, of one group; a store takes 128
MOST_IN_A_GROUP = 60
MOST_ASIDE = 30  # that are passed over for one group
MOST_OF_ONE = 40  # compares, and operations, of one transaction that goes with others
MOST_BYTES_OF_ONE = 16 << 10  # keys and values that it writes: 960 KiB in a group at most
MOST_WAITING = 20_000
WAIT_S = 5.0  # for its turn; while the store is away each transaction before it takes its own time


@dataclass(slots=True, eq=False)
class _Waiting:
    """A transaction that waits for its turn. turn: whose it is."""

    txn: Txn
    turn: Hashable
    expires_at: float
    done: asyncio.Future[TxnResult]


class GroupedStore(Store):
    """Does not own `inner`. turn_of(key): whose transactions of it are, who take turns; alone():
    whether what the calling task writes is to go by itself; clock: monotonic seconds. `run_writes`
    and `run_reads` are tasks of the owner's: without them nothing gets on."""

    def __init__(
        self,
        inner: Store,
        *,
        turn_of: Callable[[bytes], Hashable],
        alone: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._inner = inner
        self._turn_of = turn_of
        self._alone = alone
        self._clock = clock
        self._writers: Turns[_Waiting] = Turns(_turn)
        self._readers: Turns[_Waiting] = Turns(_turn)
        self._writing = asyncio.Event()
        self._reading = asyncio.Event()
        self.sizes = Histogram(SIZES)  # of groups that write, in transactions
        self.refused = 0  # groups

    @property
    def health(self) -> Health:
        return self._inner.health

    @property
    def waiting(self) -> int:
        """Transactions that wait for their turn."""
        return len(self._writers) + len(self._readers)

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        """See Store. Others' changes may have the same revision."""
        if timeout_s is None and not txn.creates and not txn.otherwise:
            if _only_reads(txn):
                return await self._wait(self._readers, self._reading, txn)
            if _is_small_write(txn) and not self._alone():
                return await self._wait(self._writers, self._writing, txn)
        return await self._inner.commit(txn, timeout_s=timeout_s)

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        if timeout_s is not None:
            return await self._inner.get(key, timeout_s=timeout_s)
        found = (await self.commit(Txn(then=[Get(key)]))).results[0]
        return found[0] if found else None

    async def _wait(self, line: Turns[_Waiting], wake: asyncio.Event, txn: Txn) -> TxnResult:
        if len(line) >= MOST_WAITING:
            raise StoreUnavailable("too many wait for the store; try again")
        entry = _Waiting(
            txn=txn,
            turn=self._turn_of(txn.then[0].key),
            expires_at=self._clock() + WAIT_S,
            done=asyncio.get_running_loop().create_future(),
        )
        line.append(entry)
        wake.set()
        return await entry.done

    # -- groups that write ---------------------------------------------------------------

    async def run_writes(self) -> None:
        """Commits for ever."""
        while True:
            group = await self._next(self._writers, self._writing, _WriteGroup())
            if group:
                await _told_all(group, self._commit(group))

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        self.sizes.observe(len(group))
        while group:
            compares = [compare for one in group for compare in one.txn.compares]
            compared = list(dict.fromkeys(compare.key for compare in compares))
            then = [write for one in group for write in one.txn.then]
            otherwise = [Get(key) for key in compared]
            try:
                result = await self._inner.commit(
                    Txn(compares=compares, then=then, otherwise=otherwise)
                )
            except LeaseLost:  # of some of them; nothing was applied
                group = await self._without_leases(group)
                continue
            if result.succeeded:
                for one in group:
                    none = [()] * len(one.txn.then)
                    _answer(one, TxnResult(succeeded=True, revision=result.revision, results=none))
                return
            self.refused += 1
            found = {
                key: pairs[0] if pairs else None
                for key, pairs in zip(compared, result.results, strict=True)
            }
            group = _without_losers(group, found, result.revision)

    async def _without_leases(self, group: Sequence[_Waiting]) -> list[_Waiting]:
        """Has those with a lease go by themselves, and returns the others."""
        rest = []
        for one in group:
            if not any(type(write) is Put and write.lease for write in one.txn.then):
                rest.append(one)
                continue
            try:
                _answer(one, await self._inner.commit(one.txn))
            except (LeaseLost, StoreUnavailable, OutcomeUnknown) as error:
                _fail(one, error)
        return rest

    # -- groups that read ----------------------------------------------------------------

    async def run_reads(self) -> None:
        """Reads for ever; several of these may run."""
        while True:
            group = await self._next(self._readers, self._reading, _ReadGroup())
            if group:
                await _told_all(group, self._read(group))

    async def _read(self, group: Sequence[_Waiting]) -> None:
        keys = list(dict.fromkeys(read.key for one in group for read in one.txn.then))
        result = await self._inner.commit(Txn(then=[Get(key) for key in keys]))
        found = dict(zip(keys, result.results, strict=True))
        for one in group:
            pairs = [found[read.key] for read in one.txn.then]
            _answer(one, TxnResult(succeeded=True, revision=result.revision, results=pairs))

    # -- what both share -----------------------------------------------------------------

    async def _next(
        self, line: Turns[_Waiting], wake: asyncio.Event, group: _WriteGroup | _ReadGroup
    ) -> list[_Waiting]:
        """Who goes out with the next transaction; those who waited too long are told."""
        while not line:
            wake.clear()
            await wake.wait()
        now = self._clock()
        aside: list[_Waiting] = []
        while line and len(aside) < MOST_ASIDE and len(group.members) < MOST_IN_A_GROUP:
            one = line.popleft()
            if one.done.done():  # whoever asked has gone
                continue
            if one.expires_at < now:
                _fail(one, StoreUnavailable("the store was too slow; try again"))
            elif not group.take(one):
                aside.append(one)
        line.extendleft(reversed(aside))
        return group.members

    # -- the rest goes by itself ---------------------------------------------------------

    async def range(
        self,
        prefix: bytes,
        *,
        start_after: bytes | None = None,
        limit: int = 0,
        at_revision: int = 0,
        keys_only: bool = False,
        timeout_s: float | None = None,
    ) -> Page:
        return await self._inner.range(
            prefix,
            start_after=start_after,
            limit=limit,
            at_revision=at_revision,
            keys_only=keys_only,
            timeout_s=timeout_s,
        )

    def watch(self, prefix: bytes, *, from_revision: int) -> AsyncIterator[WatchBatch]:
        return self._inner.watch(prefix, from_revision=from_revision)

    async def lease_grant(self, ttl_s: int, *, timeout_s: float | None = None) -> int:
        return await self._inner.lease_grant(ttl_s, timeout_s=timeout_s)

    async def lease_keep_alive(self, lease: int, *, timeout_s: float | None = None) -> float:
        return await self._inner.lease_keep_alive(lease, timeout_s=timeout_s)

    async def lease_revoke(self, lease: int, *, timeout_s: float | None = None) -> None:
        await self._inner.lease_revoke(lease, timeout_s=timeout_s)

    async def compact(self, revision: int, *, timeout_s: float | None = None) -> None:
        await self._inner.compact(revision, timeout_s=timeout_s)

    async def close(self) -> None:
        """Nothing: `inner` is somebody else's."""


class _WriteGroup:
    """Of transactions none of which writes what another one looks at or writes."""

    def __init__(self) -> None:
        self.members: list[_Waiting] = []
        self._written: set[bytes] = set()
        self._compared: set[bytes] = set()
        self._compares = self._writes = 0

    def take(self, one: _Waiting) -> bool:
        """Whether it goes along."""
        txn = one.txn
        compared = {compare.key for compare in txn.compares}
        written = {write.key for write in txn.then}
        if (
            self._compares + len(txn.compares) > MOST_IN_A_LIST
            or self._writes + len(txn.then) > MOST_IN_A_LIST
            or not written.isdisjoint(self._written)
            or not written.isdisjoint(self._compared)
            or not compared.isdisjoint(self._written)
        ):
            return False
        self._compares += len(txn.compares)
        self._writes += len(txn.then)
        self._written |= written
        self._compared |= compared
        self.members.append(one)
        return True


class _ReadGroup:
    """Of transactions that read."""

    def __init__(self) -> None:
        self.members: list[_Waiting] = []
        self._keys: set[bytes] = set()

    def take(self, one: _Waiting) -> bool:
        """Whether it goes along."""
        keys = {read.key for read in one.txn.then} - self._keys
        if len(self._keys) + len(keys) > MOST_IN_A_LIST:
            return False
        self._keys |= keys
        self.members.append(one)
        return True


def _without_losers(
    group: Sequence[_Waiting], found: Mapping[bytes, KeyValue | None], revision: int
) -> list[_Waiting]:
    """Tells those whose compares did not hold, and returns the others."""
    rest = []
    for one in group:
        if all(holds(compare, found[compare.key]) for compare in one.txn.compares):
            rest.append(one)
        else:
            _answer(one, TxnResult(succeeded=False, revision=revision))
    if len(rest) == len(group):
        raise RuntimeError("the store refused what holds in the same snapshot")
    return rest


def holds(compare: Compare, pair: KeyValue | None) -> bool:
    """Whether a compare holds of what stands at its key; None: nothing."""
    if compare.target is Target.VALUE:
        return pair is not None and pair.value == compare.operand
    if pair is None:
        return compare.operand == 0
    return bool(getattr(pair, compare.target.value) == compare.operand)


def _only_reads(txn: Txn) -> bool:
    return (
        not txn.compares
        and 0 < len(txn.then) <= MOST_IN_A_LIST
        and all(type(one) is Get and not one.prefix for one in txn.then)
    )


def _is_small_write(txn: Txn) -> bool:
    """Whether it only writes, each key once, and leaves others room."""
    if not 0 < len(txn.then) <= MOST_OF_ONE or len(txn.compares) > MOST_OF_ONE:
        return False
    size = 0
    for one in txn.then:
        if type(one) is Put:
            size += len(one.key) + len(one.value)
        elif type(one) is not Delete or one.prefix:
            return False
    return size <= MOST_BYTES_OF_ONE and len({one.key for one in txn.then}) == len(txn.then)


async def _told_all(group: Sequence[_Waiting], work: Coroutine[Any, Any, None]) -> None:
    """Does it, and whoever is in the group hears of it whatever goes wrong."""
    try:
        await work
    except (StoreUnavailable, OutcomeUnknown) as error:
        for one in group:
            _fail(one, error)
    except BaseException:  # nobody foresaw it: it may be done
        for one in group:
            _fail(one, OutcomeUnknown("the store did not say whether it was done"))
        raise


def _turn(one: _Waiting) -> Hashable:
    return one.turn


def _answer(one: _Waiting, result: TxnResult) -> None:
    if not one.done.done():
        one.done.set_result(result)


def _fail(one: _Waiting, error: Exception) -> None:
    if not one.done.done():
        one.done.set_exception(error)

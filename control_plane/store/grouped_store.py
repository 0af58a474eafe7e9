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
import logging
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import Any, TypeAlias

from control_plane.histogram import SIZES, Histogram
from control_plane.store.forwarding_store import ForwardingStore
from control_plane.store.port import (
    Get,
    KeyValue,
    LeaseLost,
    OutcomeUnknown,
    Put,
    Store,
    StoreUnavailable,
    Txn,
    TxnResult,
)
from control_plane.store.transaction_groups import (
    ReadGroup,
    Waiting,
    WriteGroup,
    is_small_write,
    joined,
    only_reads,
    without_losers,
)
from control_plane.turns import Turns

log = logging.getLogger(__name__)

MOST_IN_A_GROUP = 60
MOST_ASIDE = 30  # that are passed over for one group
MOST_WAITING = 20_000
WAIT_S = 5.0  # for its turn; while the store is away each transaction before it takes its own time

Told: TypeAlias = Callable[[TxnResult | Exception], None]
"""Whom a transaction's result is told, or what `commit` would raise."""


class _Awaited(Waiting):
    """A call awaits it."""

    __slots__ = ("done",)

    def __init__(self, txn: Txn, turn: Hashable, expires_at: float) -> None:
        super().__init__(txn, turn, expires_at)
        self.done: asyncio.Future[TxnResult] = asyncio.get_running_loop().create_future()

    @property
    def is_gone(self) -> bool:
        return self.done.done()

    def answer(self, result: TxnResult) -> None:
        if not self.done.done():
            self.done.set_result(result)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class _Submitted(Waiting):
    """Somebody is to be told."""

    __slots__ = ("_told",)

    def __init__(self, txn: Txn, turn: Hashable, expires_at: float, told: Told) -> None:
        super().__init__(txn, turn, expires_at)
        self._told: Told | None = told

    @property
    def is_gone(self) -> bool:
        return False

    def answer(self, result: TxnResult) -> None:
        self._tell(result)

    def fail(self, error: Exception) -> None:
        self._tell(error)

    def _tell(self, said: TxnResult | Exception) -> None:
        told, self._told = self._told, None
        if told is not None:
            try:
                told(said)
            except Exception:  # the boundary: others of the group are to hear of theirs
                log.exception("what became of a transaction could not be told")


class GroupedStore(ForwardingStore):
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
        super().__init__(inner)
        self._turn_of = turn_of
        self._alone = alone
        self._clock = clock
        self._writers: Turns[Waiting] = Turns(_turn)
        self._readers: Turns[Waiting] = Turns(_turn)
        self._writing = asyncio.Event()
        self._reading = asyncio.Event()
        self.sizes = Histogram(SIZES)  # of groups that write, in transactions
        self.refused = 0  # groups

    @property
    def waiting(self) -> int:
        """Transactions that wait for their turn."""
        return len(self._writers) + len(self._readers)

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        """See Store. Others' changes may have the same revision."""
        if timeout_s is None and not txn.creates and not txn.otherwise:
            if only_reads(txn):
                return await self._wait(self._readers, self._reading, txn)
            if is_small_write(txn) and not self._alone():
                return await self._wait(self._writers, self._writing, txn)
        return await self._inner.commit(txn, timeout_s=timeout_s)

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        if timeout_s is not None:
            return await self._inner.get(key, timeout_s=timeout_s)
        found = (await self.commit(Txn(then=[Get(key)]))).results[0]
        return found[0] if found else None

    def submit(self, txn: Txn, told: Told, *, within_s: float = WAIT_S) -> None:
        """Has a small write committed, or keys read, as `commit` does, for a call without a task:
        `told` is called once, from the event loop; of one that is refused no more than that.
        within_s: for its turn. Raises ValueError where it cannot go with others; StoreUnavailable
        where too many wait."""
        if is_small_write(txn) and not self._alone():
            line, wake = self._writers, self._writing
        elif only_reads(txn) and not txn.otherwise:
            line, wake = self._readers, self._reading
        else:
            raise ValueError("a transaction that does not go with others is to be awaited")
        expires_at = self._clock() + min(within_s, WAIT_S)
        self._line_up(line, wake, _Submitted(txn, self._turn(txn), expires_at, told))

    async def _wait(self, line: Turns[Waiting], wake: asyncio.Event, txn: Txn) -> TxnResult:
        entry = _Awaited(txn, self._turn(txn), self._clock() + WAIT_S)
        self._line_up(line, wake, entry)
        return await entry.done

    def _turn(self, txn: Txn) -> Hashable:
        return self._turn_of(txn.creates[0][0] if txn.creates else txn.then[0].key)

    def _line_up(self, line: Turns[Waiting], wake: asyncio.Event, entry: Waiting) -> None:
        if len(line) >= MOST_WAITING:
            raise StoreUnavailable("too many wait for the store; try again")
        line.append(entry)
        wake.set()

    # -- groups that write ---------------------------------------------------------------

    async def run_writes(self) -> None:
        """Commits for ever."""
        while True:
            group = await self._next(self._writers, self._writing, WriteGroup())
            if group:
                await _told_all(group, self._commit(group))

    async def _commit(self, group: Sequence[Waiting]) -> None:
        self.sizes.observe(len(group))
        while group:
            txn, keys = joined(group)
            try:
                result = await self._inner.commit(txn)
            except LeaseLost:  # of some of them; nothing was applied
                group = await self._without_leases(group)
                continue
            if result.succeeded:
                # Two rounds of the loop later the next transaction is on its way, and the answers
                # are given while the store works on it.
                loop = asyncio.get_running_loop()
                loop.call_soon(loop.call_soon, _answer_all, group, result.revision)
                return
            self.refused += 1
            found = {
                key: pairs[0] if pairs else None
                for key, pairs in zip(keys, result.results, strict=True)
            }
            group = without_losers(group, found, result.revision)

    async def _without_leases(self, group: Sequence[Waiting]) -> list[Waiting]:
        """Has those with a lease go by themselves, and returns the others."""
        rest = []
        for one in group:
            if not any(type(write) is Put and write.lease for write in one.txn.then):
                rest.append(one)
                continue
            try:
                one.answer(await self._inner.commit(one.txn))
            except (LeaseLost, StoreUnavailable, OutcomeUnknown) as error:
                one.fail(error)
        return rest

    # -- groups that read ----------------------------------------------------------------

    async def run_reads(self) -> None:
        """Reads for ever; several of these may run."""
        while True:
            group = await self._next(self._readers, self._reading, ReadGroup())
            if group:
                await _told_all(group, self._read(group))

    async def _read(self, group: Sequence[Waiting]) -> None:
        keys = list(dict.fromkeys(read.key for one in group for read in one.txn.then))
        result = await self._inner.commit(Txn(then=[Get(key) for key in keys]))
        found = dict(zip(keys, result.results, strict=True))
        for one in group:
            pairs = [found[read.key] for read in one.txn.then]
            one.answer(TxnResult(succeeded=True, revision=result.revision, results=pairs))

    # -- what both share -----------------------------------------------------------------

    async def _next(
        self, line: Turns[Waiting], wake: asyncio.Event, group: WriteGroup | ReadGroup
    ) -> list[Waiting]:
        """Who goes out with the next transaction; those who waited too long are told."""
        while not line:
            wake.clear()
            await wake.wait()
        now = self._clock()
        aside: list[Waiting] = []
        while line and len(aside) < MOST_ASIDE and len(group.members) < MOST_IN_A_GROUP:
            one = line.popleft()
            if one.is_gone:
                continue
            if one.expires_at < now:
                one.fail(StoreUnavailable("the store was too slow; try again"))
            elif not group.take(one):
                aside.append(one)
        line.extendleft(reversed(aside))
        return group.members

    async def close(self) -> None:
        """Nothing: `inner` is somebody else's."""


def _answer_all(group: Sequence[Waiting], revision: int) -> None:
    """Tells those of a group that was committed."""
    for one in group:
        none: list[tuple[KeyValue, ...]] = [()] * len(one.txn.then)
        one.answer(TxnResult(succeeded=True, revision=revision, results=none))


async def _told_all(group: Sequence[Waiting], work: Coroutine[Any, Any, None]) -> None:
    """Does it, and whoever is in the group hears of it whatever goes wrong."""
    try:
        await work
    except (StoreUnavailable, OutcomeUnknown) as error:
        for one in group:
            one.fail(error)
    except BaseException:  # nobody foresaw it: it may be done
        for one in group:
            one.fail(OutcomeUnknown("the store did not say whether it was done"))
        raise


def _turn(one: Waiting) -> Hashable:
    return one.turn

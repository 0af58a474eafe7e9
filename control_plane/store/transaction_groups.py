"""Which small transactions may go to a store as one, and which of a refused group lose.

Those that go together share one snapshot, so none of them may write what another one looks at or
writes. A group that is refused has read what it compared: whose compares hold in that snapshot is
no loser. No I/O and no clock; the queue of those who wait is `grouped_store`'s.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence

from control_plane.store.port import (
    Compare,
    Delete,
    Get,
    KeyValue,
    Put,
    Target,
    Txn,
    TxnResult,
)

MOST_IN_A_LIST = 120  # compares, and operations, of one group; a store takes 128
MOST_OF_ONE = 40  # compares, and operations, of one transaction that goes with others
MOST_BYTES_OF_ONE = 16 << 10  # keys and values that it writes: 960 KiB in a group at most


class Waiting:
    """A transaction that waits for its turn. turn: whose it is; expires_at: monotonic seconds."""

    __slots__ = ("expires_at", "turn", "txn")

    def __init__(self, txn: Txn, turn: Hashable, expires_at: float) -> None:
        self.txn = txn
        self.turn = turn
        self.expires_at = expires_at

    @property
    @abstractmethod
    def is_gone(self) -> bool:
        """Whether nobody waits for it any more."""

    @abstractmethod
    def answer(self, result: TxnResult) -> None:
        """What became of it. Of this and `fail` the first call counts."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """The same: what `Store.commit` raises."""


class WriteGroup:
    """Of transactions none of which writes what another one looks at or writes."""

    def __init__(self) -> None:
        self.members: list[Waiting] = []
        self._written: set[bytes] = set()
        self._compared: set[bytes] = set()
        self._compares = self._writes = 0

    def take(self, one: Waiting) -> bool:
        """Whether it goes along."""
        txn = one.txn
        created = [key for key, _ in txn.creates]
        compared = [compare.key for compare in txn.compares]
        written = created + [write.key for write in txn.then]
        compares, writes = self._compares + len(created) + len(compared), len(written)
        if (
            compares > MOST_IN_A_LIST
            or self._writes + writes > MOST_IN_A_LIST
            or not self._written.isdisjoint(written)
            or not self._compared.isdisjoint(written)
            or not self._written.isdisjoint(compared)
        ):
            return False
        self._compares = compares
        self._writes += writes
        self._written.update(written)
        self._compared.update(compared)
        self.members.append(one)
        return True


class ReadGroup:
    """Of transactions that read."""

    def __init__(self) -> None:
        self.members: list[Waiting] = []
        self._keys: set[bytes] = set()

    def take(self, one: Waiting) -> bool:
        """Whether it goes along."""
        keys = {read.key for read in one.txn.then} - self._keys
        if len(self._keys) + len(keys) > MOST_IN_A_LIST:
            return False
        self._keys |= keys
        self.members.append(one)
        return True


def joined(group: Sequence[Waiting]) -> tuple[Txn, list[bytes]]:
    """The writing transaction of a group; and of which keys a refused one tells what it found, in
    the order of its results."""
    creates = [create for one in group for create in one.txn.creates]
    compares = [compare for one in group for compare in one.txn.compares]
    compared = list(dict.fromkeys([compare.key for compare in compares]))
    txn = Txn(
        compares=compares,
        then=[write for one in group for write in one.txn.then],
        otherwise=[Get(key) for key in compared],
        creates=creates,
    )
    return txn, [*(key for key, _ in creates), *compared]


def without_losers(
    group: Sequence[Waiting], found: Mapping[bytes, KeyValue | None], revision: int
) -> list[Waiting]:
    """Tells those whose compares did not hold, and returns the others. found: what a refused
    transaction of the group found."""
    rest = []
    for one in group:
        txn = one.txn
        if all(found[key] is None for key, _ in txn.creates) and all(
            holds(compare, found[compare.key]) for compare in txn.compares
        ):
            rest.append(one)
        else:
            one.answer(TxnResult(succeeded=False, revision=revision))
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


def only_reads(txn: Txn) -> bool:
    """Whether it reads keys, and few enough to go with others."""
    return (
        not txn.compares
        and not txn.creates
        and 0 < len(txn.then) <= MOST_IN_A_LIST
        and all(type(one) is Get and not one.prefix for one in txn.then)
    )


def is_small_write(txn: Txn) -> bool:
    """Whether it only writes, each key once, and leaves others room. What `otherwise` reads nobody
    would be told."""
    creates, then = txn.creates, txn.then
    writes = len(creates) + len(then)
    if (
        txn.otherwise
        or not 0 < writes <= MOST_OF_ONE
        or len(creates) + len(txn.compares) > MOST_OF_ONE
    ):
        return False
    size, written = 0, set()
    for key, value in creates:
        size += len(key) + len(value)
        written.add(key)
    for one in then:
        if type(one) is Put:
            size += len(one.key) + len(one.value)
        elif type(one) is not Delete or one.prefix:
            return False
        written.add(one.key)
    return size <= MOST_BYTES_OF_ONE and len(written) == writes

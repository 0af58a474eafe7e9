"""What Homeport asks of a store: a revisioned key space with transactions, watches and leases.

The meaning is etcd's (https://etcd.io/docs/v3.5/learning/api/): every committed transaction
that changes something gets one revision, revisions grow by one, reads can be made at an old
revision until it is compacted. Adapters: `etcd` and `embedded`; `memory` is the fake that
tests run against. tests/contracts holds all of them to one suite.

A write is never repeated by the store. One whose outcome is unknown raises OutcomeUnknown,
and the caller reads before it writes again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol, TypeAlias

from control_plane.errors import OutcomeUnknown as OutcomeUnknown
from control_plane.errors import StoreUnavailable as StoreUnavailable

MAX_OPERATIONS = 128  # etcd's default --max-txn-ops: per list of compares, then and else
MAX_REQUEST_BYTES = 1_500_000  # just under etcd's default --max-request-bytes of 1.5 MiB


class Compacted(Exception):
    """The revision asked for is gone. List again and go on from there.

    `compact_revision`: the oldest revision that can still be read.
    """

    def __init__(self, compact_revision: int) -> None:
        super().__init__(f"revisions before {compact_revision} are compacted; list again")
        self.compact_revision = compact_revision


class LeaseLost(Exception):
    """The lease is gone, and with it every key that hung on it."""


class KeyValue(NamedTuple):
    """One key as it stands at some revision."""

    key: bytes
    value: bytes
    create_revision: int  # revision that created it, since it was last deleted
    mod_revision: int  # revision that last wrote it
    version: int  # writes since it was created; 1 after creation
    lease: int = 0  # 0: none


class Target(Enum):
    """What of a key a compare looks at. A missing key has 0, 0, 0 and no value."""

    CREATE_REVISION = "create_revision"
    MOD_REVISION = "mod_revision"
    VERSION = "version"
    VALUE = "value"


class Compare(NamedTuple):
    """`key`'s `target` equals `operand` (int; bytes for VALUE). As in etcd, a VALUE compare
    on a missing key fails."""

    key: bytes
    target: Target
    operand: int | bytes


def absent(key: bytes) -> Compare:
    """Holds while the key does not exist."""
    return Compare(key, Target.CREATE_REVISION, 0)


def unchanged(key: bytes, mod_revision: int) -> Compare:
    """Holds while nobody wrote the key since `mod_revision`; 0: since it did not exist."""
    return Compare(key, Target.MOD_REVISION, mod_revision)


# Named tuples, not dataclasses: a batch makes hundreds of these, and a frozen dataclass
# takes three times as long to make (0.6 against 0.2 us).
class Put(NamedTuple):
    key: bytes
    value: bytes
    lease: int = 0


class Delete(NamedTuple):
    key: bytes
    prefix: bool = False  # delete every key that starts with `key`


class Get(NamedTuple):
    key: bytes
    prefix: bool = False


Operation: TypeAlias = Put | Delete | Get
Create: TypeAlias = tuple[bytes, bytes]  # key, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Txn:
    """If every compare holds then `then`, else `otherwise`; atomic, one revision.

    creates: keys that must be absent and get these values; the same as a compare, a Put
    before those of `then` and a Get before those of `otherwise` for each, for a third of the
    work: nearly all that a busy server writes are these.

    No key may be written twice in one list. At most MAX_OPERATIONS in each list, the creates
    counted in all three.
    """

    compares: Sequence[Compare] = ()
    then: Sequence[Operation] = ()
    otherwise: Sequence[Operation] = ()
    creates: Sequence[Create] = ()

    def expanded(self) -> Txn:
        """The same without creates, for whoever has no faster way to carry them out. Where
        it succeeds, its results begin with one for the Put of each."""
        return Txn(
            compares=[*(absent(key) for key, _ in self.creates), *self.compares],
            then=[*(Put(key, value) for key, value in self.creates), *self.then],
            otherwise=[*(Get(key) for key, _ in self.creates), *self.otherwise],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TxnResult:
    """`results[i]` belongs to operation i of the branch that ran: for Get the keys found
    (ordered by key), for Put and Delete an empty tuple. Of a refused transaction what was
    found at the keys of `creates` comes first."""

    succeeded: bool
    revision: int  # the store's revision after the transaction
    results: Sequence[Sequence[KeyValue]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of a range at one revision. `more`: ask again from after the last key, at `revision`."""

    items: Sequence[KeyValue]
    revision: int
    more: bool


class Event(NamedTuple):
    """One change of one key. A deletion has `deleted` set, an empty value and the deleting
    revision as kv.mod_revision; create_revision and version are 0, as in etcd."""

    kv: KeyValue
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchBatch:
    """All matching events up to and including `revision` since the batch before; events of
    one revision are never split between batches. `events` may be empty: progress."""

    events: Sequence[Event]
    revision: int


@dataclass(slots=True)
class Health:
    """What an adapter knows of its connection; read by metrics and by stale answers."""

    connected: bool = False
    last_revision: int = 0
    cluster: str = ""  # which store this is, in its own words; empty: it has not said, or has none
    errors: dict[str, int] = field(default_factory=dict)


class JointHealth(Health):
    """Of several stores: connected while all of them are."""

    __slots__ = ("_parts",)

    def __init__(self, *parts: Health) -> None:
        self._parts = parts

    @property
    def connected(self) -> bool:  # type: ignore[override]
        return all(part.connected for part in self._parts)

    @property
    def last_revision(self) -> int:  # type: ignore[override]
        """Of the first."""
        return self._parts[0].last_revision

    @property
    def cluster(self) -> str:  # type: ignore[override]
        """Of the first."""
        return self._parts[0].cluster

    @property
    def errors(self) -> dict[str, int]:  # type: ignore[override]
        """Added up."""
        total: dict[str, int] = {}
        for part in self._parts:
            for name, count in part.errors.items():
                total[name] = total.get(name, 0) + count
        return total


class Store(Protocol):
    """See the module. Every method has a deadline (`timeout_s`, or the adapter's default)
    and raises StoreUnavailable or OutcomeUnknown when it passes; reads only ever raise the
    former. Reads are linearizable unless a revision is given."""

    @property
    def health(self) -> Health:
        """What is known of the connection, kept up to date."""
        ...

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        """The key as it stands now, or None."""
        ...

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
        """Keys that start with `prefix`, in key order, after `start_after`; at most `limit`
        (0: all). at_revision 0: now. Raises Compacted."""
        ...

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        """Applies the transaction, or its else branch. Raises StoreUnavailable (surely not
        applied), OutcomeUnknown, ValueError (a list too long, a key written twice),
        LeaseLost (a Put names a lease that is gone; nothing was applied)."""
        ...

    def watch(self, prefix: bytes, *, from_revision: int) -> AsyncIterator[WatchBatch]:
        """Every change of keys with `prefix` at `from_revision` and later: ordered, without
        gap or repeat, across reconnects. Raises Compacted where that is impossible, which it
        is from the compacted revision down (etcd 3.4 loses a deletion made in it). Yields
        until the iterator is closed; store outages are ridden out in silence (see health)."""
        ...

    async def lease_grant(self, ttl_s: int, *, timeout_s: float | None = None) -> int:
        """A new lease that lives `ttl_s` seconds after its last keep-alive. Returns its id, > 0."""
        ...

    async def lease_keep_alive(self, lease: int, *, timeout_s: float | None = None) -> float:
        """Renews once; returns the seconds it has now. Raises LeaseLost, StoreUnavailable."""
        ...

    async def lease_revoke(self, lease: int, *, timeout_s: float | None = None) -> None:
        """Ends the lease and deletes its keys. A lease that is gone already is no error."""
        ...

    async def compact(self, revision: int, *, timeout_s: float | None = None) -> None:
        """Forgets history before `revision`. What is compacted already is no error; a
        revision in the future is a ValueError."""
        ...

    async def close(self) -> None:
        """Ends watches and connections. Idempotent."""
        ...


async def range_all(
    store: Store,
    prefix: bytes,
    *,
    page_size: int = 1000,
    keys_only: bool = False,
    at_revision: int = 0,
) -> Page:
    """The whole range as one consistent page, read in pages at one revision."""
    page = await store.range(prefix, limit=page_size, keys_only=keys_only, at_revision=at_revision)
    items = list(page.items)
    while page.more:
        page = await store.range(
            prefix,
            start_after=items[-1].key,
            limit=page_size,
            at_revision=page.revision,
            keys_only=keys_only,
        )
        items.extend(page.items)
    return Page(items=items, revision=page.revision, more=False)

"""A provisioning server with one seeded bug: `python -m tests.faults.broken_server BUG …`.

The real server with one function of the real ledger replaced, so that the judge is tested on
what it would really see. Each bug is the absence of one mechanism that a promise stands on.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from control_plane import keys
from control_plane.fleet.capacity import CapacityRecord
from control_plane.store.damaged import DamagedKeys
from control_plane.store.etcd import EtcdStore
from control_plane.store.etcd.connection import Members
from control_plane.store.port import Delete, KeyValue, Page, Put, Store, Txn, TxnResult
from control_plane.store.snapshot_keeper import SnapshotKeeper
from provisioner import __main__ as program
from provisioner.directory import protocol
from provisioner.ledger import reclaim, reservations, single_store, transactions
from provisioner.ledger.store_ledger import StoreLedger
from provisioner.moves import move_operation, worker
from provisioner.moves.rate_limiter import RateLimiter
from provisioner.provisioning.ticket_fallback import TicketFallback
from provisioner.wiring import state

READ_APART_S = 0.5  # long enough for another server to reclaim in between
EVERY = 20  # of the transactions that a bug is about, one in so many is hit


def without_compares(txn: Txn, prefix: bytes) -> Txn:
    """The transaction without its compares of keys under `prefix`."""
    whole = txn.expanded()
    return replace(whole, compares=[c for c in whole.compares if not c.key.startswith(prefix)])


def around(module: Any, name: str, change: Callable[[Txn], Txn]) -> None:
    """Every transaction that `module.name` builds is changed."""
    real = getattr(module, name)
    setattr(module, name, lambda *given, **more: change(real(*given, **more)))


def drop_compare_of_absence() -> None:
    """A client that has a home is given another."""
    around(transactions, "assign", lambda txn: without_compares(txn, keys.ASSIGNMENTS))


def drop_compare_of_session() -> None:
    """A provisioner whose lease ran out goes on writing."""
    for name in ("assign", "take_grant", "return_slots"):
        around(transactions, name, lambda txn: without_compares(txn, keys.SESSIONS))


def hear_of_no_operator() -> None:
    """No bug: watches may be late. What an operator takes away is not heard of."""
    real = StoreLedger._capacity_changed

    def changed(self: StoreLedger, unit: str, seen: tuple[CapacityRecord, int] | None) -> None:
        known = self.account(unit).record
        if seen is None or (seen[0].open and seen[0].capacity >= known.capacity):
            real(self, unit, seen)

    StoreLedger._capacity_changed = changed  # type: ignore[method-assign]


def drop_compare_of_fence() -> None:
    """A unit that was closed, or whose capacity was lowered, gains clients from a provisioner
    that has not heard of it yet."""
    hear_of_no_operator()
    around(transactions, "assign", lambda txn: without_compares(txn, keys.FENCE))


def skip_release_of_usage() -> None:
    """A client leaves and its slot stays taken."""

    def change(txn: Txn) -> Txn:
        if not any(isinstance(operation, Delete) for operation in txn.then):
            return txn
        kept = [o for o in txn.then if not (isinstance(o, Put) and o.key.startswith(keys.USAGE))]
        return replace(txn, then=kept)

    around(transactions, "assign", change)


def lose_acknowledged_writes() -> None:
    """A batch is acknowledged and never written."""
    real, number = EtcdStore.commit, itertools.count(1)

    async def commit(self: EtcdStore, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        writes = txn.expanded().then
        about = any(isinstance(o, Put) and o.key.startswith(keys.ASSIGNMENTS) for o in writes)
        if about and next(number) % EVERY == 0:
            return TxnResult(succeeded=True, revision=1)
        return await real(self, txn, timeout_s=timeout_s)

    EtcdStore.commit = commit  # type: ignore[method-assign]


def take_names_of_others() -> None:
    """A handle that somebody has goes to whoever asks at the same time."""
    around(protocol, "together", lambda txn: without_compares(txn, keys.DIRECTORY_HANDLES))


def grant_what_is_not_free() -> None:
    """Slots are granted beyond the unit's capacity."""
    reservations.block_size = lambda free, wanted: free + 1


def reclaim_live_sessions() -> None:
    """A provisioner takes away what another one, alive, holds."""
    around(transactions, "reclaim_expired", lambda txn: without_compares(txn, keys.SESSIONS))
    real = reclaim.range_all

    async def range_all(store: Store, prefix: bytes, **more: Any) -> Page:
        nobody = b"nobody/"
        return await real(store, nobody if prefix == keys.SESSIONS else prefix, **more)

    reclaim.range_all = range_all
    reclaim.SWEEP_S = 0.2  # its transaction loses to any batch: it has to try often


def never_reclaim_expired_sessions() -> None:
    """What a provisioner held whose session expired stays held."""

    async def reclaim_nothing(store: Store, damaged: DamagedKeys) -> int:
        return 0

    single_store.reclaim_expired_sessions = reclaim_nothing


def read_apart_without_a_supervisor() -> None:
    """Sessions, usage and capacity are read at revisions of their own, a moment apart, and what
    a background task raises then ends the server."""
    real = reclaim.range_all

    async def range_all(store: Store, prefix: bytes, **more: Any) -> Page:
        more.pop("at_revision", None)
        page = await real(store, prefix, **more)
        if prefix == keys.USAGE:  # the capacity records come next
            await asyncio.sleep(READ_APART_S)
        return page

    async def unit(
        store: Store, name: str, capacity: KeyValue, usages: Any, living: Any
    ) -> int:  # fmt: skip
        try:
            return await real_unit(store, name, capacity, usages, living)
        except ValueError as error:
            raise SystemExit(f"impossible records: {error}") from error

    real_unit = reclaim._reclaim_unit
    reclaim.range_all, reclaim._reclaim_unit = range_all, unit


def answer_nobody_from_tickets() -> None:
    """Known clients depend on the store like everybody else."""
    TicketFallback.read = lambda self, tenant_id, client_id, ticket: None  # type: ignore[method-assign]


def forget_the_snapshot() -> None:
    """A server that starts knows what its store tells it, and nothing else."""
    state.usable_snapshot = lambda settings, wrapping: None


def stay_with_one_member() -> None:
    """A server goes on asking the member of the store that it asked first."""
    Members.leave = lambda self, member: None  # type: ignore[method-assign]


def keep_no_snapshot() -> None:
    """A background task fails, each time it is begun."""

    async def run(self: SnapshotKeeper) -> None:
        raise RuntimeError("there is no such thing as a snapshot")

    SnapshotKeeper.run = run  # type: ignore[method-assign]


def reuse_epoch() -> None:
    """A client moves, and its epoch does not grow: its old ticket is as good as its new one."""
    real = move_operation.encode_assignment

    def encode(unit: str, epoch: int, *rest: Any) -> bytes:
        return real(unit, epoch - 1, *rest)

    move_operation.encode_assignment = encode


def skip_release_of_source() -> None:
    """A client moves, and its place at the old unit stays taken."""

    def change(txn: Txn) -> Txn:
        left = {
            o.key[len(keys.MOVES) :].partition(b"/")[0]
            for o in txn.then
            if isinstance(o, Put) and o.key.startswith(keys.MOVES)
        }
        return replace(
            txn,
            then=[
                o
                for o in txn.then
                if not (
                    isinstance(o, Put)
                    and o.key.startswith(keys.USAGE)
                    and o.key[len(keys.USAGE) :].partition(b"/")[0] in left
                )
            ],
        )

    around(transactions, "assign", change)


def tell_no_unit_of_departures() -> None:
    """A client moves, and the unit it left is not told."""

    def change(txn: Txn) -> Txn:
        kept = [o for o in txn.then if not (isinstance(o, Put) and o.key.startswith(keys.MOVES))]
        return replace(txn, then=kept)

    around(transactions, "assign", change)


def move_whoever_stands_there() -> None:
    """A move compares nothing of the client it moves."""

    def change(txn: Txn) -> Txn:
        moves = any(isinstance(o, Put) and o.key.startswith(keys.MOVES) for o in txn.then)
        return without_compares(txn, keys.ASSIGNMENTS) if moves else txn

    around(transactions, "assign", change)


def move_in_a_rush() -> None:
    """A drain goes page by page as fast as the store takes it, whatever its rate."""
    worker.SLICE_MIN = worker.SLICE_MAX = worker.PAGE
    RateLimiter.acquire = lambda self, wanted, now: (wanted, 0.0)  # type: ignore[method-assign]


BUGS = {
    bug.__name__: bug
    for bug in (
        drop_compare_of_absence,
        drop_compare_of_session,
        hear_of_no_operator,
        drop_compare_of_fence,
        skip_release_of_usage,
        lose_acknowledged_writes,
        take_names_of_others,
        grant_what_is_not_free,
        reclaim_live_sessions,
        never_reclaim_expired_sessions,
        read_apart_without_a_supervisor,
        answer_nobody_from_tickets,
        forget_the_snapshot,
        keep_no_snapshot,
        stay_with_one_member,
        move_in_a_rush,
        reuse_epoch,
        skip_release_of_source,
        tell_no_unit_of_departures,
        move_whoever_stands_there,
    )
}

if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    raise SystemExit(program.main())

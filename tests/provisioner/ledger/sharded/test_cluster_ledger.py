"""A cluster ledger whose batch was applied, and whose session expired before it heard of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from control_plane import keys
from control_plane.fleet.capacity import CapacityRecord, decode_capacity, encode_capacity
from control_plane.store.damaged import DamagedKeys
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, Put, Txn
from provisioner.ledger import transactions
from provisioner.ledger.account import Account
from provisioner.ledger.commit_queue import CommitQueue
from provisioner.ledger.operations import Claim
from provisioner.ledger.reservations import Reservations
from provisioner.ledger.session import Session
from provisioner.ledger.sharded import cross_cluster_transactions
from provisioner.ledger.sharded.commit_rules import ClusterCommitRules
from provisioner.ledger.sharded.reclaim import reclaim_expired_sessions
from provisioner.ledger.sharded.reservation_rules import ClusterReservationRules
from provisioner.ledger.sharded.shard_routes import ClusterWriteRoute, ShardMapCache
from provisioner.shards.shard_map import first_map

log = logging.getLogger("tests.cluster_ledger")
UNIT = "near"


class Newcomer(Claim):
    """A client that wants a slot."""

    def __init__(self, name: str, account: Account) -> None:
        self.key = keys.assignment("t", name)
        self.account = account
        self.expires_at = float("inf")
        self.value = b"{}"
        self.outcome = asyncio.get_running_loop().create_future()

    def failed(self, error):
        self.outcome.set_result(error)


@pytest.fixture
async def stores(tmp_path):
    control = await EmbeddedStore.open(tmp_path / "control.db")
    here = await EmbeddedStore.open(tmp_path / "here.db")
    yield control, here
    await control.close()
    await here.close()


async def capacity(control) -> tuple[CapacityRecord, int]:
    pair = await control.get(keys.capacity(UNIT))
    return decode_capacity(pair.value), pair.mod_revision


async def test_nobody_takes_slots_by_an_old_read_of_what_it_counted(stores):
    control, here = stores
    empty = encode_capacity(CapacityRecord(capacity=10))
    await control.commit(Txn(then=[Put(keys.capacity(UNIT), empty)]))
    session = Session(here, ttl_s=60, new_id=lambda: "p@east")
    await session.open()
    route = ShardMapCache(control, first_map(("east",))).route("east")
    rules = ClusterCommitRules(
        here, control, session, route, ClusterWriteRoute(route, lambda operation: None)
    )
    nobody_else = {"reroute": lambda claim: None, "touched": lambda account: None}
    queue = CommitQueue(
        here, session, rules, permits=asyncio.Semaphore(1), clock=lambda: 0.0, **nobody_else
    )
    asking: list[asyncio.Task[None]] = []
    reservations = Reservations(
        control,
        session,
        ClusterReservationRules(here, control, session),
        clock=lambda: 0.0,
        queue_of=lambda account: queue,
        hand_on=queue.submit,
        spawn=lambda work: not asking.append(asyncio.ensure_future(work)),
        **nobody_else,
    )
    account, me = Account(unit=UNIT), session.id
    assert await queue.register(account)
    record, txn = cross_cluster_transactions.take_grant(me, account, 3)
    account.accept_record(record, (await control.commit(txn)).revision, me)

    # A batch is applied, and its answer lost; the session is lost, and we are absorbed, but
    # what we counted is not forgotten yet.
    first = Newcomer("first", account)
    change = (account, keys.usage(UNIT, me), keys.gate(UNIT), 1, True)
    batch = transactions.assign(session.compare, [first], [], [change], rules.compares())
    assert (await here.commit(batch)).succeeded
    await here.commit(Txn(then=[Delete(session.key)]))
    record, txn = cross_cluster_transactions.absorb_expired(me, UNIT, *await capacity(control), 1)
    account.accept_record(record, (await control.commit(txn)).revision, me)

    second = Newcomer("second", account)
    reservations.wait_for_slot(second)
    work = asyncio.create_task(queue.run())
    error = await asyncio.wait_for(second.outcome, 10)
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    await asyncio.gather(*asking)
    assert "try again" in str(error)
    assert not session.stands.is_set()
    for _ in range(2):
        record, _ = await capacity(control)
        assert (record.settled, dict(record.grants)) == (1, {})
        await reclaim_expired_sessions(control, here, "east", DamagedKeys(log))
    assert await here.get(keys.usage(UNIT, me)) is None

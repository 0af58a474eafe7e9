"""A branch whose batch was applied, and which was taken for dead before it heard of it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from control_plane import keys
from control_plane.fleet.capacity import CapacityRecord, decode_capacity, encode_capacity
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, Put, Txn
from provisioner.ledger import transactions
from provisioner.ledger.account import Account
from provisioner.ledger.operations import Claim
from provisioner.ledger.session import Session
from provisioner.ledger.sharded import cross_cluster_transactions
from provisioner.ledger.sharded.cluster_ledger import ClusterCommitQueue, ClusterReservations
from provisioner.ledger.sharded.reclaim import reclaim_expired_session
from provisioner.ledger.sharded.shard_routes import ShardMapCache, ShardRoute
from provisioner.shards.shard_map import first_map

UNIT = "near"


class Newcomer(Claim):
    """A client that wants a slot."""

    def __init__(self, name: str, account: Account) -> None:
        self.key = keys.assignment("t", name)
        self.account = account
        self.expires_at = float("inf")
        self.outcome = asyncio.get_running_loop().create_future()

    def record(self):
        return b"{}"

    def failed(self, error):
        self.outcome.set_result(error)


@pytest.fixture
async def stores(tmp_path):
    control = await EmbeddedStore.open(tmp_path / "control.db")
    here = await EmbeddedStore.open(tmp_path / "here.db")
    yield control, here
    await control.close()
    await here.close()


async def ledger(control) -> tuple[CapacityRecord, int]:
    pair = await control.get(keys.capacity(UNIT))
    return decode_capacity(pair.value), pair.mod_revision


async def test_nobody_takes_slots_by_an_old_sight_of_what_it_counted(stores):
    control, here = stores
    empty = encode_capacity(CapacityRecord(capacity=10))
    await control.commit(Txn(then=[Put(keys.capacity(UNIT), empty)]))
    session = Session(here, ttl_s=60, new_id=lambda: "p@east")
    await session.open()
    territory = ShardRoute("east", ShardMapCache(control, first_map(("east",))))
    nobody_else = {"bounce": lambda claim: None, "touched": lambda account: None}
    lane = ClusterCommitQueue(
        here, session, turns=asyncio.Semaphore(1), clock=lambda: 0.0, **nobody_else
    )
    lane.belong(control, territory, reroute=lambda operation: None)
    asking: list[asyncio.Task[None]] = []
    granting = ClusterReservations(
        control,
        session,
        clock=lambda: 0.0,
        lane_of=lambda account: lane,
        spawn=lambda work: not asking.append(asyncio.ensure_future(work)),
        **nobody_else,
    )
    account, me = Account(unit=UNIT), session.id
    assert await lane.register(account)
    record, txn = cross_cluster_transactions.take_grant(me, account, 3)
    account.see(record, (await control.commit(txn)).revision, me)

    # A batch is applied, and its answer lost; the session is lost, and we are absorbed, but
    # what we counted is not forgotten yet.
    first = Newcomer("first", account)
    change = (account, keys.usage(UNIT, me), keys.gate(UNIT), 1, True)
    batch = transactions.assign(session.compare, [first], [], [change], lane.also)
    assert (await here.commit(batch)).succeeded
    await here.commit(Txn(then=[Delete(session.key)]))
    record, txn = cross_cluster_transactions.absorb(me, UNIT, *await ledger(control), 1)
    account.see(record, (await control.commit(txn)).revision, me)

    second = Newcomer("second", account)
    granting.wait_for_slot(second)
    work = asyncio.create_task(lane.run())
    error = await asyncio.wait_for(second.outcome, 10)
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    await asyncio.gather(*asking)
    assert "try again" in str(error)
    assert not session.standing.is_set()
    for _ in range(2):
        record, _ = await ledger(control)
        assert (record.settled, dict(record.grants)) == (1, {})
        await reclaim_expired_session(control, here, "east")
    assert await here.get(keys.usage(UNIT, me)) is None

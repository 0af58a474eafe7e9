"""Slots go back by the rules of one store, and by those of a cluster: never more than is idle,
and never on a belief that the store does not share."""

from __future__ import annotations

import pytest

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.fleet.capacity import CapacityRecord, decode_capacity, encode_capacity
from control_plane.store.cluster_tagged import NEVER
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from provisioner.ledger.account import Account
from provisioner.ledger.commit_rules import StoreCommitRules
from provisioner.ledger.reservation_rules import StoreReservationRules
from provisioner.ledger.session import Session
from provisioner.ledger.sharded.commit_rules import ClusterCommitRules
from provisioner.ledger.sharded.reservation_rules import ClusterReservationRules
from provisioner.ledger.sharded.shard_routes import ClusterWriteRoute, ShardMapCache
from provisioner.shards.shard_map import first_map

UNIT = "near"


class StoreCase:
    """Everything in one store."""

    me = "p"

    def __init__(self, store, session) -> None:
        self.control = self.here = store
        self.rules = StoreReservationRules(store, session)
        self.commit_rules = StoreCommitRules(store, session)


class ClusterCase:
    """Capacity in one store, usage in the other."""

    me = "p@east"

    def __init__(self, control, here, session) -> None:
        self.control, self.here = control, here
        route = ShardMapCache(control, first_map(("east",))).route("east")
        self.rules = ClusterReservationRules(here, control, session)
        self.commit_rules = ClusterCommitRules(
            here, control, session, route, ClusterWriteRoute(route, lambda operation: None)
        )


@pytest.fixture(params=["store", "cluster"])
async def case(request, tmp_path):
    control = await EmbeddedStore.open(tmp_path / "control.db")
    here = await EmbeddedStore.open(tmp_path / "here.db")
    of_cluster = request.param == "cluster"
    store, name = (here, ClusterCase.me) if of_cluster else (control, StoreCase.me)
    session = Session(store, ttl_s=60, new_id=lambda: name)
    await session.open()
    yield ClusterCase(control, here, session) if of_cluster else StoreCase(control, session)
    await control.close()
    await here.close()


async def account_with(case, *, grant: int, usage: int) -> Account:
    record = CapacityRecord(capacity=100, grants={case.me: grant} if grant else {})
    await case.control.commit(Txn(then=[Put(keys.capacity(UNIT), encode_capacity(record))]))
    if usage:
        await case.here.commit(Txn(then=[Put(keys.usage(UNIT, case.me), b"%d" % usage)]))
    account = Account(unit=UNIT)
    assert await case.commit_rules.read_accounts([account])
    return account


async def free(case) -> int:
    return decode_capacity((await case.control.get(keys.capacity(UNIT))).value).free


async def test_idle_slots_are_free_again_and_what_is_kept_can_be_reserved(case):
    account = await account_with(case, grant=10, usage=3)
    assert await case.rules.return_idle_slots(account, 2)
    assert await free(case) == 100 - 3 - 2
    assert account.room == 2


async def test_what_is_reserved_for_clients_on_their_way_is_kept(case):
    account = await account_with(case, grant=10, usage=3)
    account.in_flight = 4
    assert await case.rules.return_idle_slots(account, 0)
    assert await free(case) == 100 - 3 - 4


async def test_an_account_behind_the_store_is_said_to_be_out_of_date(case):
    account = await account_with(case, grant=10, usage=3)
    await case.here.commit(Txn(then=[Put(keys.usage(UNIT, case.me), b"5")]))
    assert not await case.rules.return_idle_slots(account, 0)
    assert await free(case) == 90, "nothing was given back on a belief"


async def test_more_used_than_granted_is_a_belief_to_be_refreshed(case):
    account = await account_with(case, grant=10, usage=3)
    account.usage = 11
    assert not await case.rules.return_idle_slots(account, 0)


async def test_a_grant_taken_is_what_the_record_says(case):
    account = await account_with(case, grant=10, usage=3)
    record, txn = case.rules.take_grant(account, 5)
    assert (await case.control.commit(txn)).succeeded
    assert record.grants[case.me] == 15
    assert await free(case) == 85


async def test_a_cluster_takes_nothing_where_it_is_not_registered(tmp_path):
    control = await EmbeddedStore.open(tmp_path / "control.db")
    here = await EmbeddedStore.open(tmp_path / "here.db")
    session = Session(here, ttl_s=60, new_id=lambda: ClusterCase.me)
    await session.open()
    case = ClusterCase(control, here, session)
    account = await account_with(case, grant=0, usage=0)
    assert case.commit_rules.unregistered([account]) == [account]
    with pytest.raises(Unavailable):
        case.rules.take_grant(account, 1)

    async def refresh(accounts) -> None:
        assert await case.commit_rules.read_accounts(accounts)

    assert await case.commit_rules.register(account, refresh)
    assert case.commit_rules.unregistered([account]) == []
    assert case.rules.take_grant(account, 1)[0].grants == {case.me: 1}
    await control.close()
    await here.close()


async def test_what_a_cluster_counted_for_a_unit_made_anew_counts_no_more(tmp_path):
    control = await EmbeddedStore.open(tmp_path / "control.db")
    here = await EmbeddedStore.open(tmp_path / "here.db")
    session = Session(here, ttl_s=60, new_id=lambda: ClusterCase.me)
    await session.open()
    case = ClusterCase(control, here, session)
    account = await account_with(case, grant=10, usage=3)
    account.record = CapacityRecord(capacity=100)
    case.rules.record_changed(account)
    assert (account.usage, account.usage_revision, account.adopted) == (0, NEVER, False)
    await control.close()
    await here.close()

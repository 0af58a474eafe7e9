"""Unit records in the store: applied with their ledger, removed only when empty."""

import asyncio

import pytest

from control_plane import keys
from control_plane.errors import Conflict, NotFound, Refused
from control_plane.fleet.capacity import CapacityRecord, decode_capacity, encode_capacity
from control_plane.fleet.liveness import Liveness
from control_plane.fleet.records import DamagedRecord
from control_plane.fleet.registry import ApplyRequest, UnitRegistry
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from tests.support.unit_records import unit_spec, unit_status


@pytest.fixture
async def store(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


class Clock:
    """Jumps a second at each look."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def registry(store):
    return UnitRegistry(store, clock=Clock(), wall=lambda: 1.0)


async def ledger(store) -> CapacityRecord:
    return decode_capacity((await store.get(keys.capacity("u"))).value)


async def test_a_unit_is_applied_with_its_ledger(store, registry):
    view = await registry.apply(unit_spec())
    assert (await registry.get("u")).spec == unit_spec()
    assert (view.clients, view.status) == (0, None)
    assert await ledger(store) == CapacityRecord(capacity=100)
    assert [v.spec.id for v in (await registry.list())[0]] == ["u"]


async def test_only_lowered_capacity_makes_a_new_fence(store, registry):
    await registry.apply(unit_spec(100))
    await registry.apply(unit_spec(200))
    assert await store.get(keys.fence("u")) is None
    await registry.apply(unit_spec(50))
    assert await store.get(keys.fence("u")) is not None
    assert (await ledger(store)).capacity == 50


async def test_grants_survive_a_change_of_capacity(store, registry):
    await registry.apply(unit_spec(100))
    record = (await ledger(store)).with_grant("p", 10)
    await store.commit(Txn(then=[Put(keys.capacity("u"), encode_capacity(record))]))
    await registry.apply(unit_spec(200))
    assert (await ledger(store)).grants == {"p": 10}


async def test_a_stale_edit_changes_nothing(registry):
    old = await registry.apply(unit_spec(100))
    await registry.apply(unit_spec(200))
    with pytest.raises(Conflict, match="changed since"):
        await registry.apply(unit_spec(300), ApplyRequest(expected_revision=old.revision))
    assert (await registry.get("u")).spec.capacity == 200


async def test_a_unit_with_clients_stays_and_stays_open(store, registry):
    await registry.apply(unit_spec())
    record = CapacityRecord(capacity=100, settled=2, grants={"p": 5})
    await store.commit(
        Txn(
            then=[Put(keys.capacity("u"), encode_capacity(record)), Put(keys.usage("u", "p"), b"1")]
        )
    )
    with pytest.raises(Refused, match="3 clients"):
        await registry.remove("u")
    assert await ledger(store) == record


async def test_a_unit_whose_grants_do_not_come_back_stays_open(store, registry):
    await registry.apply(unit_spec())
    record = CapacityRecord(capacity=100, grants={"p": 5})
    await store.commit(Txn(then=[Put(keys.capacity("u"), encode_capacity(record))]))
    with pytest.raises(Conflict, match="try again"):
        await registry.remove("u")
    assert await ledger(store) == record


async def until_closed(store) -> CapacityRecord:
    """The ledger once a removal has closed the unit."""
    async with asyncio.timeout(10):
        async for batch in store.watch(keys.capacity("u"), from_revision=1):
            for event in batch.events:
                record = decode_capacity(event.kv.value)
                if not record.open:
                    return record
    raise AssertionError("the watch ended")


async def test_a_unit_with_a_dead_provisioners_grant_goes_once_that_is_settled(store):
    """Settling is another server's business; removal waits for it with the unit closed."""
    registry = UnitRegistry(store, clock=lambda: 0.0, wall=lambda: 1.0)
    await registry.apply(unit_spec())
    record = CapacityRecord(capacity=100, grants={"dead": 5})
    await store.commit(
        Txn(
            then=[
                Put(keys.capacity("u"), encode_capacity(record)),
                Put(keys.usage("u", "dead"), b"0"),
            ]
        )
    )
    removal = asyncio.create_task(registry.remove("u"))
    closed = await until_closed(store)
    settled = closed.settle("dead", usage=0, keep=0)
    await store.commit(Txn(then=[Put(keys.capacity("u"), encode_capacity(settled))]))
    await asyncio.wait_for(removal, 10)
    assert [p.key for p in (await store.range(keys.ROOT.encode())).items] == [keys.removed("u")]


async def test_a_client_that_came_while_removal_waited_keeps_its_unit(store):
    registry = UnitRegistry(store, clock=lambda: 0.0, wall=lambda: 1.0)
    await registry.apply(unit_spec())
    record = CapacityRecord(capacity=100, grants={"p": 5})
    await store.commit(Txn(then=[Put(keys.capacity("u"), encode_capacity(record))]))
    removal = asyncio.create_task(registry.remove("u"))
    await until_closed(store)
    await store.commit(Txn(then=[Put(keys.usage("u", "p"), b"1")]))
    with pytest.raises(Refused, match="1 client;"):
        await asyncio.wait_for(removal, 10)
    assert await ledger(store) == record


async def test_a_removal_that_is_cancelled_leaves_the_unit_open(store):
    registry = UnitRegistry(store, clock=lambda: 0.0, wall=lambda: 1.0)
    await registry.apply(unit_spec())
    record = CapacityRecord(capacity=100, grants={"p": 5})
    await store.commit(Txn(then=[Put(keys.capacity("u"), encode_capacity(record))]))
    removal = asyncio.create_task(registry.remove("u"))
    await until_closed(store)
    removal.cancel()
    with pytest.raises(asyncio.CancelledError):
        await removal
    assert await ledger(store) == record


async def test_a_damaged_ledger_is_named(store, registry):
    await registry.apply(unit_spec())
    await store.commit(Txn(then=[Put(keys.capacity("u"), b"{}")]))
    with pytest.raises(DamagedRecord, match="/homeport/v1/capacity/u"):
        await registry.get("u")


async def test_an_empty_unit_goes_without_trace(store, registry):
    await registry.apply(unit_spec())
    await Liveness(store, "u", 10).attach(unit_status())
    await registry.remove("u")
    assert [p.key for p in (await store.range(keys.ROOT.encode())).items] == [keys.removed("u")]
    with pytest.raises(NotFound):
        await registry.remove("u")


async def test_liveness_begins_is_told_and_ends(store, registry):
    await registry.apply(unit_spec())
    hold = Liveness(store, "u", 10)
    await hold.attach(unit_status(load=0.1))
    assert (await registry.get("u")).status.load == 0.1
    await hold.heartbeat(unit_status(load=0.5))
    assert (await registry.get("u")).status.load == 0.5
    await hold.leave()
    assert (await registry.get("u")).status is None
    assert await store.get(keys.agent("u")) is not None


async def test_a_small_change_of_load_is_not_written(store, registry):
    await registry.apply(unit_spec())
    hold = Liveness(store, "u", 10)
    await hold.attach(unit_status(load=0.1))
    before = (await store.get(keys.live("u"))).version
    await hold.heartbeat(unit_status(load=0.101))
    assert (await store.get(keys.live("u"))).version == before


async def test_the_later_run_of_an_agent_wins(store, registry):
    await registry.apply(unit_spec())
    first, second = Liveness(store, "u", 10), Liveness(store, "u", 10)
    await first.attach(unit_status("1"))
    await second.attach(unit_status("2"))
    with pytest.raises(Conflict):
        await first.heartbeat(unit_status("1", load=0.9))
    with pytest.raises(Conflict):
        await Liveness(store, "u", 10).attach(unit_status("1"))


async def test_a_run_that_was_taken_over_learns_it_from_its_next_beat(store, registry):
    """Also when it has nothing new to say, and without harm to the later run's record."""
    await registry.apply(unit_spec())
    first, second = Liveness(store, "u", 10), Liveness(store, "u", 10)
    await first.attach(unit_status("1"))
    await second.attach(unit_status("2"))
    with pytest.raises(Conflict, match="later run"):
        await first.heartbeat(unit_status("1"))
    await second.heartbeat(unit_status("2"))
    assert (await registry.get("u")).status.incarnation == "2"


async def test_the_same_run_may_come_back_through_another_server(store, registry):
    await registry.apply(unit_spec())
    before, after = Liveness(store, "u", 10), Liveness(store, "u", 10)
    await before.attach(unit_status("1"))
    await after.attach(unit_status("1", load=0.3))
    await before.leave()  # the broken stream is noticed late
    assert (await registry.get("u")).status.load == 0.3


async def test_an_agent_whose_lease_ran_out_attaches_again(store, registry):
    await registry.apply(unit_spec())
    hold = Liveness(store, "u", 10)
    await hold.attach(unit_status())
    await store.lease_revoke(hold._lease)
    await hold.heartbeat(unit_status(load=0.7))
    assert (await registry.get("u")).status.load == 0.7


class LosesLeases:
    """A store whose leases run out just after they were renewed."""

    def __init__(self, store) -> None:
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def lease_keep_alive(self, lease):
        left_s = await self._store.lease_keep_alive(lease)
        await self._store.lease_revoke(lease)
        return left_s


async def test_a_lease_that_runs_out_between_renewal_and_write_is_taken_anew(store, registry):
    await registry.apply(unit_spec())
    hold = Liveness(LosesLeases(store), "u", 10)
    await hold.attach(unit_status())
    await hold.heartbeat(unit_status(load=0.7))
    assert (await registry.get("u")).status.load == 0.7


async def test_nobody_attaches_to_a_unit_that_is_not_there(store):
    with pytest.raises(NotFound, match="apply it first"):
        await Liveness(store, "u", 10).attach(unit_status())

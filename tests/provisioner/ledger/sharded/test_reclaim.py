"""What expired sessions of a cluster held becomes free; what cannot be read costs nothing else."""

from __future__ import annotations

import logging

import pytest

from control_plane import keys
from control_plane.fleet.capacity import CapacityRecord, decode_capacity, encode_capacity
from control_plane.store.damaged import DamagedKeys
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from provisioner.ledger.sharded.reclaim import reclaim_expired_sessions
from tests.support.odd_keys import write_odd_keys

log = logging.getLogger("tests.reclaim")
GRANTS = {"gone@east": 10, "here@east": 5, "gone@west": 7}


@pytest.fixture
async def stores(tmp_path):
    control = await EmbeddedStore.open(tmp_path / "control.db")
    east = await EmbeddedStore.open(tmp_path / "east.db")
    record = CapacityRecord(capacity=50, settled=2, grants=GRANTS)
    await control.commit(Txn(then=[Put(keys.capacity("near"), encode_capacity(record))]))
    await east.commit(
        Txn(
            then=[
                Put(keys.usage("near", "gone@east"), b"4"),
                Put(keys.usage("near", "here@east"), b"3"),
                Put(keys.session("here@east"), b""),
            ]
        )
    )
    yield control, east
    await control.close()
    await east.close()


async def reclaimed(stores) -> tuple[int, list[str]]:
    damaged = DamagedKeys(log)
    control, east = stores
    count = await reclaim_expired_sessions(control, east, "east", damaged)
    return count, list(damaged)


async def near_is_reclaimed(stores) -> None:
    control, east = stores
    record = decode_capacity((await control.get(keys.capacity("near"))).value)
    assert record.settled == 6
    assert dict(record.grants) == {"here@east": 5, "gone@west": 7}
    assert await east.get(keys.usage("near", "gone@east")) is None
    assert (await east.get(keys.usage("near", "here@east"))).value == b"3"


async def test_clients_of_an_expired_session_stay_and_its_slots_are_free(stores):
    assert await reclaimed(stores) == (1, [])
    await near_is_reclaimed(stores)
    assert await reclaimed(stores) == (0, [])


@pytest.mark.parametrize("prefix", [keys.SESSIONS, keys.USAGE, keys.CAPACITY])
async def test_keys_that_are_nobodys_keep_nobodys_grants(stores, prefix):
    for store in stores:
        await write_odd_keys(store, prefix)
    count, named = await reclaimed(stores)
    assert count == 1
    assert any("xff" in one for one in named)
    await near_is_reclaimed(stores)


DEAD_AT = CapacityRecord(capacity=9, grants={"gone@east": 2})


@pytest.mark.parametrize(
    ("capacity", "usage"),
    [
        pytest.param(b"no record", b"1", id="a-capacity-that-is-no-record"),
        pytest.param(b'{"capacity":9,"grants":{"\xff":1}}', b"1", id="a-name-that-is-no-utf-8"),
        pytest.param(b'{"capacity":9,"x":' + b"[" * 5_000, b"1", id="brackets-nested-deep"),
        pytest.param(encode_capacity(DEAD_AT), b"many", id="a-usage-that-is-no-number"),
        pytest.param(encode_capacity(DEAD_AT), b"", id="an-empty-usage"),
    ],
)
async def test_records_that_cannot_be_read_keep_nobody_elses_grants(stores, capacity, usage):
    """They lie before the good unit, and are left as they are."""
    control, east = stores
    bad = keys.capacity("bad")
    await control.commit(Txn(then=[Put(bad, capacity)]))
    await east.commit(Txn(then=[Put(keys.usage("bad", "gone@east"), usage)]))
    count, named = await reclaimed(stores)
    assert count == 1
    assert len(named) == 1
    await near_is_reclaimed(stores)
    assert (await control.get(bad)).value == capacity
    assert (await east.get(keys.usage("bad", "gone@east"))).value == usage

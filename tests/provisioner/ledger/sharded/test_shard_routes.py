"""Which cluster answers for a client, by the newest map seen, and under which epoch."""

from __future__ import annotations

import pytest

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Get, KeyValue, Put, Txn
from provisioner.ledger.sharded.shard_routes import ClusterLookupRules, ShardMapCache
from provisioner.shards.shard_map import encode_map, first_map, shard_of

CLIENT = keys.assignment("t", "alice")
FIRST = first_map(("east", "west"))
OWNER = FIRST.owner(shard_of(CLIENT))
OTHER = "west" if OWNER == "east" else "east"
MOVING = FIRST.begin("m", [shard_of(CLIENT)], OWNER, OTHER).taken_over("m")
FROZEN = MOVING.frozen("m")


@pytest.fixture
async def control(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "control.db")
    yield opened
    await opened.close()


def epoch(version: int, revision: int = 7) -> KeyValue:
    return KeyValue(keys.SHARD_EPOCH, b"%d" % version, 1, revision, 1)


async def test_a_client_is_read_and_written_at_its_shard_s_owner(control):
    cache = ShardMapCache(control, FIRST)
    assert (cache.reading_cluster(CLIENT), cache.writing_cluster(CLIENT)) == (OWNER, OWNER)
    assert cache.route(OWNER).writes(CLIENT)
    assert not cache.route(OTHER).reads(CLIENT)


async def test_a_frozen_shard_is_written_nowhere(control):
    cache, changes = ShardMapCache(control, FIRST), []
    cache.on_change = lambda: changes.append(cache.map.version)
    cache.accept(FROZEN)
    assert (cache.reading_cluster(CLIENT), cache.writing_cluster(CLIENT)) == (OWNER, "")
    assert not cache.route(OWNER).writes(CLIENT)
    assert changes == [FROZEN.version]


async def test_an_older_map_is_not_accepted(control):
    cache = ShardMapCache(control, FROZEN)
    cache.on_change = lambda: pytest.fail("nothing has changed")
    cache.accept(FIRST)
    assert cache.map is FROZEN


async def test_all_who_ask_for_a_cluster_share_its_route(control):
    cache = ShardMapCache(control, FIRST)
    assert cache.route("east") is cache.route("east")


async def test_an_epoch_is_accepted_with_a_map_that_is_new_enough(control):
    await control.commit(Txn(then=[Put(keys.SHARD_MAP, encode_map(FROZEN))]))
    route = ShardMapCache(control, FIRST).route(OWNER)
    assert route.epoch.operand == 0
    await route.accept_epoch(epoch(FROZEN.version))
    assert route.epoch.operand == 7
    assert not route.writes(CLIENT), "the map that goes with the epoch was read"


async def test_an_epoch_that_no_map_goes_with_is_not_accepted(control):
    await control.commit(Txn(then=[Put(keys.SHARD_MAP, encode_map(FIRST))]))
    route = ShardMapCache(control, FIRST).route(OWNER)
    with pytest.raises(Unavailable):
        await route.accept_epoch(epoch(FROZEN.version))
    assert route.epoch.operand == 0


async def test_reads_compare_the_epoch_and_accept_it_when_refused(control):
    route = ShardMapCache(control, FIRST).route(OWNER)
    rules = ClusterLookupRules(route, lambda lookup: None)
    await control.commit(Txn(then=[Put(keys.SHARD_EPOCH, b"%d" % FIRST.version)]))
    read = Txn(compares=rules.compares(), then=[], otherwise=[Get(keys.SHARD_EPOCH)])
    refused = await control.commit(read)
    assert not refused.succeeded
    await rules.refused(refused)
    assert (await control.commit(Txn(compares=rules.compares(), then=[]))).succeeded

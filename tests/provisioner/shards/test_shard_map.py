"""The shard map: even, stable, and changed only by steps that follow each other."""

from __future__ import annotations

from collections import Counter

import pytest

from control_plane import keys
from control_plane.errors import Conflict, NotFound, Refused
from control_plane.store.port import KeyValue
from provisioner.shards.shard_map import (
    NOBODY,
    SHARDS,
    ShardMoveStage,
    decode_map,
    encode_map,
    first_map,
    plan_moves,
    shard_of,
)

NAMES = ("east", "north", "west")


def pair(value: bytes) -> KeyValue:
    return KeyValue(keys.SHARD_MAP, value, 1, 7, 1)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_first_map_is_even(count):
    shard_map = first_map([f"c{n}" for n in range(count)])
    sizes = Counter(shard_map.owner(shard) for shard in range(SHARDS)).values()
    assert sum(sizes) == SHARDS
    assert max(sizes) - min(sizes) <= 1


def test_everything_can_begin_at_one_cluster():
    assert len(first_map(NAMES, all_at="north").shards_of("north")) == SHARDS


def test_clients_spread_over_the_shards():
    counts = Counter(shard_of(keys.assignment("default", f"client-{n}")) for n in range(50_000))
    assert len(counts) == SHARDS
    assert max(counts.values()) < 2.5 * 50_000 / SHARDS


def test_the_shard_of_a_client_never_changes():
    """Stored data depends on it: these numbers must stay."""
    clients = [("default", "alice"), ("default", "bob"), ("acme", "alice")]
    assert [shard_of(keys.assignment(*one)) for one in clients] == [771, 74, 1008]


def test_a_cluster_that_is_added_gets_its_share_and_nobody_else_shards_move():
    before = first_map(("east", "west")).with_clusters(["north"])
    plan = plan_moves(before, "north")
    assert sum(map(len, plan.values())) == SHARDS // 3
    left = {name: len(before.shards_of(name)) - len(plan[name]) for name in plan}
    assert max(left.values()) - min(left.values()) <= 1
    assert plan_moves(before, "north") == plan


@pytest.mark.parametrize(
    ("target", "more", "error"),
    [
        pytest.param("nowhere", {}, NotFound, id="to-a-cluster-that-is-not-there"),
        pytest.param("east", {"source": "east"}, Refused, id="to-itself"),
        pytest.param("east", {"source": "west", "count": 900}, Refused, id="more-than-there-are"),
        pytest.param("east", {"source": "nowhere"}, NotFound, id="from-nowhere"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(target, more, error):
    with pytest.raises(error):
        plan_moves(first_map(("east", "west")), target, **more)


def moving(stage: ShardMoveStage):
    """A map with one move of two of east's shards to west, at a stage; and those shards."""
    shard_map = first_map(("east", "west"))
    shards = shard_map.shards_of("east")[:2]
    shard_map = shard_map.begin("m", shards, "east", "west")
    for after, step in (
        (ShardMoveStage.FROZEN, "frozen"),
        (ShardMoveStage.SWITCHED, "switched"),
        (ShardMoveStage.CLEARING, "opened"),
    ):
        if shard_map.move("m").stage is stage:
            break
        shard_map = getattr(shard_map, step)("m")
        assert shard_map.move("m").stage is after
    return shard_map, shards


@pytest.mark.parametrize(
    ("stage", "reads", "writes"),
    [
        pytest.param(ShardMoveStage.COPYING, "east", "east", id="copying-the-source-has-all"),
        pytest.param(ShardMoveStage.FROZEN, "east", NOBODY, id="frozen-known-clients-still-read"),
        pytest.param(
            ShardMoveStage.SWITCHED, "west", NOBODY, id="switched-read-at-the-target-only"
        ),
        pytest.param(ShardMoveStage.CLEARING, "west", "west", id="clearing-the-target-has-all"),
    ],
)
def test_who_reads_and_writes_at_each_stage(stage, reads, writes):
    shard_map, shards = moving(stage)
    for shard in shards:
        assert (shard_map.readers()[shard], shard_map.writers()[shard]) == (reads, writes)
    others = set(range(SHARDS)) - set(shards)
    assert all(shard_map.writers()[shard] == shard_map.owner(shard) for shard in others)


@pytest.mark.parametrize(
    ("stage", "step"),
    [
        (ShardMoveStage.COPYING, "switched"),
        (ShardMoveStage.COPYING, "thawed"),
        (ShardMoveStage.COPYING, "opened"),
        (ShardMoveStage.COPYING, "finished"),
        (ShardMoveStage.FROZEN, "opened"),
        (ShardMoveStage.SWITCHED, "thawed"),
        (ShardMoveStage.SWITCHED, "finished"),
        (ShardMoveStage.CLEARING, "frozen"),
    ],
)
def test_no_step_is_left_out(stage, step):
    shard_map, _ = moving(stage)
    with pytest.raises(Conflict):
        getattr(shard_map, step)("m")


def test_every_step_is_a_version_and_survives_the_store():
    shard_map, shards = moving(ShardMoveStage.CLEARING)
    assert shard_map.version == 5
    assert decode_map(pair(encode_map(shard_map))) == shard_map
    done = shard_map.finished("m")
    assert (done.moves, done.owner(shards[0])) == ((), "west")


def test_shards_on_their_way_cannot_be_moved_again():
    shard_map, shards = moving(ShardMoveStage.COPYING)
    with pytest.raises(Refused, match="moved already"):
        shard_map.begin("n", shards, "east", "west")
    assert not set(plan_moves(shard_map, "west", source="east", count=10)["east"]) & set(shards)


def test_a_damaged_map_is_not_used():
    whole = first_map(("east", "west"))
    text = encode_map(whole).replace(b'"owners":[', b'"owners":[9,', 1)
    with pytest.raises(ValueError, match="damaged"):
        decode_map(pair(text))

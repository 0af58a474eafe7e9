"""Clients of several clusters read like those of one, copies left out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane import keys
from control_plane.store.port import KeyValue, Page
from provisioner.ledger.sharded.client_keys import ShardedReader
from provisioner.ledger.sharded.shard_routes import ShardMapCache
from provisioner.shards.shard_map import first_map, shard_of

CLUSTERS = ("east", "west")


class Shelf:
    """As much of a store as is read here."""

    def __init__(self, names) -> None:
        self.pairs = {key: KeyValue(key, b"v", 1, 1, 1) for key in names}

    async def get(self, key, *, timeout_s=None):
        return self.pairs.get(key)

    async def range(self, prefix, *, start_after=None, limit=0, **more):
        found = sorted(
            k
            for k in self.pairs
            if k.startswith(prefix) and (start_after is None or k > start_after)
        )
        cut = found[:limit] if limit else found
        return Page(items=[self.pairs[k] for k in cut], revision=9, more=len(cut) < len(found))


def spread(clients):
    """Each client at its owner, and every third a copy elsewhere."""
    shard_map = first_map(CLUSTERS)
    at = {name: [] for name in CLUSTERS}
    for number, client in enumerate(clients):
        key = keys.assignment("t", client)
        owner = shard_map.owner(shard_of(key))
        at[owner].append(key)
        if number % 3 == 0:
            at[next(name for name in CLUSTERS if name != owner)].append(key)
    return ShardedReader(
        {name: Shelf(at[name]) for name in CLUSTERS}, ShardMapCache(None, shard_map)
    )


@settings(deadline=None, max_examples=60)
@given(clients=st.sets(st.integers(0, 500)), limit=st.integers(1, 9))
async def test_pages_show_each_client_once_and_in_order(clients, limit):
    reader = spread([f"c{n:03}" for n in clients])
    seen, after = [], None
    while True:
        page = await reader.range(keys.ASSIGNMENTS, start_after=after, limit=limit)
        assert len(page.items) <= limit
        assert page.items or not page.more
        seen += [pair.key for pair in page.items]
        if not page.more:
            break
        after = page.items[-1].key
    assert seen == sorted(keys.assignment("t", f"c{n:03}") for n in clients)


async def test_a_key_is_read_where_its_client_is():
    reader = spread(["a", "b", "c", "d"])
    for client in "abcd":
        assert await reader.get(keys.assignment("t", client)) is not None
        assert await reader.get(keys.hold("t", client)) is None


async def test_there_is_no_revision_of_all_clusters():
    with pytest.raises(ValueError, match="no revision in common"):
        await spread([]).range(keys.ASSIGNMENTS, at_revision=5)

"""A numbered store is a store, and its revisions hold in no other one."""

from __future__ import annotations

import pytest

from control_plane.store.cluster_tagged import BITS, ClusterTaggedStore
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Compacted, Compare, Get, Put, Target, Txn, absent, unchanged


@pytest.fixture
async def pair(tmp_path):
    """Two clusters in which everything has the same revision."""
    stores = [ClusterTaggedStore(await EmbeddedStore.open(tmp_path / f"{n}.db"), n) for n in (1, 2)]
    for store in stores:
        await store.commit(Txn(then=[Put(b"a", b"v")]))
    yield stores
    for store in stores:
        await store.close()


async def test_a_revision_read_in_one_cluster_holds_there_and_not_in_the_other(pair):
    one, two = pair
    found = await one.get(b"a")
    for target in (Target.MOD_REVISION, Target.CREATE_REVISION):
        ask = Txn(compares=[Compare(b"a", target, found.mod_revision)], then=[Get(b"a")])
        assert (await one.commit(ask)).succeeded
        assert not (await two.commit(ask)).succeeded


async def test_revisions_of_all_reads_agree(pair):
    store = pair[1]
    written = await store.commit(Txn(creates=[(b"b", b"1")]))
    assert written.revision >> BITS == 2
    (got,) = (await store.commit(Txn(then=[Get(b"b")]))).results[0]
    page = await store.range(b"b")
    assert got == await store.get(b"b") == page.items[0]
    assert got.mod_revision == got.create_revision == written.revision == page.revision
    async for batch in store.watch(b"b", from_revision=written.revision):
        assert (batch.events[0].kv, batch.revision) == (got, written.revision)
        break


async def test_what_is_absent_is_absent_everywhere_and_values_compare_as_they_are(pair):
    for store in pair:
        asked = Txn(
            compares=[absent(b"z"), unchanged(b"z", 0), Compare(b"a", Target.VALUE, b"v")],
            then=[Get(b"a")],
        )
        assert (await store.commit(asked)).succeeded


async def test_history_of_another_cluster_is_gone_here(pair):
    one, two = pair
    revision = (await one.get(b"a")).mod_revision
    assert (await one.range(b"a", at_revision=revision)).items
    with pytest.raises(Compacted):
        await two.range(b"a", at_revision=revision)


def test_a_number_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="out of range"):
        ClusterTaggedStore(None, 0)

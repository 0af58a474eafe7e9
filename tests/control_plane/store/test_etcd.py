"""The etcd adapter keeps the contract, over a real etcd."""

import pytest

from control_plane.store.etcd.store import EtcdStore
from control_plane.store.port import Delete, Txn, range_all
from tests.support.contracts.store_contract import StoreContract


@pytest.fixture
def store(etcd_store):
    return etcd_store


class TestEtcd(StoreContract):
    """See StoreContract."""


class CountingStore(EtcdStore):
    """Counts the keys that etcd walks for its ranges."""

    walked = 0

    async def _span(self, *asked):
        answer = await super()._span(*asked)
        self.walked += answer.count
        return answer


async def test_the_first_page_of_a_long_range_walks_little_of_it(shared_etcd, etcd_store):
    """Nobody has listed it before: where it begins is found from what was written lately."""
    names = [b"/homeport/v1/assignments/default/load-%d" % n for n in range(4_000)]
    for start in range(0, len(names), 100):
        await etcd_store.commit(Txn(creates=[(key, b"v") for key in names[start : start + 100]]))
    found = {}
    for few_revisions in (0, 1_000_000):
        store = await CountingStore.connect(
            shared_etcd.endpoints, short_range=0, few_revisions=few_revisions
        )
        try:
            page = await store.range(b"/homeport/v1/assignments/", limit=20)
            assert [pair.key for pair in page.items] == sorted(names)[:20]
            assert page.more
            found[few_revisions] = store.walked
        finally:
            await store.close()
    assert found[1_000_000] >= 4_000
    assert found[0] < 400


@pytest.mark.parametrize("few_revisions", [0, 1_000_000])
async def test_pages_of_a_long_range_have_what_the_range_has(
    shared_etcd, etcd_store, few_revisions
):
    """Read in spans, as one of millions is."""
    names = [b"p/%s/%d" % (tenant, n) for tenant in (b"a", b"zz") for n in range(60)]
    for start in range(0, len(names), 100):
        await etcd_store.commit(Txn(creates=[(key, b"v") for key in names[start : start + 100]]))
    spanning = await EtcdStore.connect(
        shared_etcd.endpoints, short_range=0, few_revisions=few_revisions
    )
    try:
        for page_size in (1, 7, 119, 120, 121, 1):  # the second time by what is remembered
            whole = await range_all(spanning, b"p/", page_size=page_size)
            assert [pair.key for pair in whole.items] == sorted(names)
        page = await spanning.range(b"p/", start_after=b"p/a/9", limit=7)
        await etcd_store.commit(Txn(then=[Delete(b"p/zz/", prefix=True)]))
        rest = await spanning.range(
            b"p/", start_after=page.items[-1].key, limit=200, at_revision=page.revision
        )
        assert [pair.key for pair in (*page.items, *rest.items)] == sorted(names)[-60:]
    finally:
        await spanning.close()

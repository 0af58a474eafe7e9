"""The directory where assignments are in several clusters: records of accounts lie with them."""

import pytest

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.identifiers.skeleton import stored_key
from control_plane.store.port import Get, Put, Txn
from provisioner.directory.claims import decode_claim
from provisioner.directory.sharded_accounts import ShardedAccountStore, ShardedHomes
from provisioner.ledger.sharded.shard_routes import ShardMapCache
from provisioner.shards.shard_map import encode_map, first_map
from tests.support.directory_servers import (
    TENANT,
    DirectoryServer,
    FakeSession,
    home,
    request,
)
from tests.support.fakes.network_store import NetworkStore

ACCOUNTS = [f"account{n}" for n in range(12)]


class Clusters:
    """A control store, two assignment clusters, and a server that knows the first map."""

    def __init__(self) -> None:
        self.control = NetworkStore()
        self.stores = {"east": NetworkStore(), "west": NetworkStore()}
        self.map = first_map(tuple(self.stores))
        self.control.model.commit(Txn(then=[Put(keys.SHARD_MAP, encode_map(self.map))]))
        self.cache = ShardMapCache(self.control, self.map)
        for account in ACCOUNTS:
            self.of(account).model.commit(home(account))
        begun = self.control.model.commit(Txn(then=[Put(keys.session("p"), b"")]))
        self.accounts = ShardedAccountStore(self.stores, self.cache)
        self.server = DirectoryServer(
            self.control, self.accounts, session=FakeSession("p", begun.revision)
        )

    def of(self, account: str) -> NetworkStore:
        return self.stores[self.cache.reading_cluster(keys.assignment(TENANT, account))]


async def claim(clusters, account, handle):
    return await clusters.server.handles.claim(TENANT, account, handle, None, request=request())


async def test_a_claim_is_with_the_control_data_and_its_account_with_the_assignment():
    clusters = Clusters()
    for number, account in enumerate(ACCOUNTS):
        await claim(clusters, account, f"name{'abcdefghijkl'[number]}x")
    assert {id(clusters.of(one)) for one in ACCOUNTS} == set(map(id, clusters.stores.values()))
    for account in ACCOUNTS:
        record = keys.directory_account(TENANT, account)
        assert await clusters.of(account).get(record) is not None
        assert await clusters.control.get(record) is None
    pair = await clusters.control.get(keys.handle_claim(TENANT, stored_key("nameax")))
    assert decode_claim(pair).pending is None


async def test_a_server_that_knows_an_old_map_learns_the_new_one_and_goes_on():
    clusters = Clusters()
    account = ACCOUNTS[0]
    raised = clusters.map.with_clusters(("north",))
    clusters.control.model.commit(Txn(then=[Put(keys.SHARD_MAP, encode_map(raised))]))
    for store in clusters.stores.values():
        store.model.commit(Txn(then=[Put(keys.SHARD_EPOCH, b"%d" % raised.version)]))
    assert (await claim(clusters, account, "anna")).account == account
    assert clusters.cache.map.version == raised.version


async def test_while_a_shard_is_frozen_its_clients_claim_nothing():
    clusters = Clusters()
    account = ACCOUNTS[0]
    key = keys.assignment(TENANT, account)
    source = clusters.cache.reading_cluster(key)
    target = next(name for name in clusters.stores if name != source)
    shards = clusters.map.shards_of(source)
    frozen = clusters.map.begin("m", shards, source, target).taken_over("m").frozen("m")
    clusters.cache.accept(frozen)
    with pytest.raises(Unavailable, match="moving"):
        await claim(clusters, account, "anna")
    pair = await clusters.control.get(keys.handle_claim(TENANT, stored_key("anna")))
    assert pair is None  # nor is anybody kept from it


async def test_where_an_account_is_at_home_is_read_where_it_is():
    clusters = Clusters()
    await claim(clusters, ACCOUNTS[3], "anna")
    homes = ShardedHomes(clusters.accounts)
    read = await homes.read([keys.assignment(TENANT, one) for one in (*ACCOUNTS, "nobody")])
    assert [one is not None for one in read.pairs] == [True] * len(ACCOUNTS) + [False]
    found = await clusters.accounts.read(
        Txn(then=[Get(keys.directory_account(TENANT, ACCOUNTS[3]))]),
        keys.assignment(TENANT, ACCOUNTS[3]),
    )
    assert found.results[0]

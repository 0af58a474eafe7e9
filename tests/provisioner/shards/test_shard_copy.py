"""What a move of shards takes along: assignments, holds, and what clients have as accounts."""

from __future__ import annotations

from control_plane import keys
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, Operation, Put, Txn
from provisioner.shards.client_keys import ShardKeys, client_of
from provisioner.shards.shard_copy import ShardCopy
from provisioner.shards.shard_map import SHARDS


class AnyToken:
    """Held for ever."""

    def __init__(self, store) -> None:
        self._store = store

    async def write(self, writes: list[Operation]) -> None:
        if writes:
            await self._store.commit(Txn(then=writes))


HOME, ACCOUNT = keys.assignment("t", "anna"), keys.directory_account("t", "anna")
GONE = keys.directory_account("t", "gone")


async def stored(store, *names: bytes) -> list[bytes | None]:
    found = [await store.get(name) for name in names]
    return [None if one is None else one.value for one in found]


async def test_accounts_go_with_their_clients(tmp_path):
    source = await EmbeddedStore.open(tmp_path / "source.db")
    target = await EmbeddedStore.open(tmp_path / "target.db")
    copy = ShardCopy(source, target, ShardKeys(range(SHARDS)), AnyToken(target), lease=0)
    await source.commit(
        Txn(then=[Put(HOME, b"home"), Put(ACCOUNT, b"names"), Put(GONE, b"old names")])
    )
    stale = keys.assignment("t", "stale"), keys.directory_account("t", "stale")
    await target.commit(Txn(then=[Put(key, b"of an earlier attempt") for key in stale]))
    await copy.copy_everything()
    assert await stored(target, HOME, ACCOUNT, *stale) == [b"home", b"names", None, None]
    assert await stored(target, GONE) == [None]  # its client is gone, and has nothing
    await source.commit(Txn(then=[Put(ACCOUNT, b"more names")]))
    await copy.copy([ACCOUNT])
    assert await stored(target, HOME, ACCOUNT) == [b"home", b"more names"]
    await source.commit(Txn(then=[Delete(HOME), Delete(ACCOUNT)]))
    await copy.copy([HOME])
    assert await stored(target, HOME, ACCOUNT) == [None, None]
    await source.commit(Txn(then=[Put(HOME, b"home")]))
    await copy.copy([HOME])
    before = await target.get(HOME)
    await copy.copy([HOME])
    assert await target.get(HOME) == before  # what is the same is not written
    await source.close()
    await target.close()


def test_an_account_is_of_its_client():
    assert client_of(ACCOUNT) == HOME

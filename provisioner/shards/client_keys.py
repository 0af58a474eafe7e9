"""Which client a key belongs to, so that a shard moves with all that is its clients'."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from control_plane import keys
from control_plane.store.port import Store
from provisioner.shards.shard_map import shard_of

PAGE = 1000


def client_of(key: bytes) -> bytes | None:
    """The assignment's key of the client that a key belongs to; None: to no client."""
    if key.startswith(keys.ASSIGNMENTS):
        return key
    if key.startswith(keys.HOLDS):
        return keys.ASSIGNMENTS + key[len(keys.HOLDS) :]
    if key.startswith(keys.DIRECTORY_ACCOUNTS):
        return keys.ASSIGNMENTS + key[len(keys.DIRECTORY_ACCOUNTS) :]
    if key.startswith(keys.MOVES):
        return keys.ASSIGNMENTS + key[len(keys.MOVES) :].partition(b"/")[2]
    return None


def hold_of(assignment_key: bytes) -> bytes:
    """The hold that may stand beside an assignment."""
    return keys.HOLDS + assignment_key[len(keys.ASSIGNMENTS) :]


def account_of(assignment_key: bytes) -> bytes:
    """The record of what the client has as an account, which may stand beside an assignment."""
    return keys.DIRECTORY_ACCOUNTS + assignment_key[len(keys.ASSIGNMENTS) :]


class ShardKeys:
    """The keys of the clients of some shards."""

    def __init__(self, shards: Iterable[int]) -> None:
        self._shards = frozenset(shards)

    def concerns(self, key: bytes) -> bool:
        """Whether a key belongs to a client of these shards."""
        client = client_of(key)
        return client is not None and shard_of(client) in self._shards

    async def pages(self, store: Store, prefix: bytes) -> AsyncIterator[list[bytes]]:
        """Those below `prefix` in a store, page by page, in order."""
        after: bytes | None = None
        while True:
            page = await store.range(prefix, start_after=after, limit=PAGE, keys_only=True)
            found = [pair.key for pair in page.items if self.concerns(pair.key)]
            if found:
                yield found
            if not page.more:
                return
            after = page.items[-1].key

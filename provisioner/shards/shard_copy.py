"""ShardCopy: makes the clients of some shards at one cluster what they are at another.

Copies are made by reading what changed, not by replaying it: a key only says which client to
read again. All writes go through the mover's fencing token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from control_plane import faultpoints, keys
from control_plane.store.port import Delete, Get, KeyValue, Operation, Put, Store, Txn
from provisioner.shards.client_keys import ShardKeys, account_of, client_of, hold_of
from provisioner.shards.fencing_token import FencingToken

CLIENTS = 40  # copied in one transaction: three keys each


class ShardCopy:
    """From `source` to `target`. lease: in the target, for departures."""

    def __init__(
        self,
        source: Store,
        target: Store,
        shard_keys: ShardKeys,
        token: FencingToken,
        *,
        lease: int,
    ) -> None:
        self._source = source
        self._target = target
        self._keys = shard_keys
        self._lease = lease
        self.token = token
        self.copied = 0  # clients

    async def copy_everything(self) -> None:
        """Every client of the shards as it stands at the source, somewhat later or earlier. What
        a client had as an account that is gone stays behind: its claims are nobody's by what they
        say themselves. Raises AttemptSuperseded."""
        seen: set[bytes] = set()
        async for found in self._keys.pages(self._source, keys.ASSIGNMENTS):
            seen.update(found)
            await self.copy(found)
        async for found in self._keys.pages(self._target, keys.ASSIGNMENTS):
            await self.copy([key for key in found if key not in seen])
        async for found in self._keys.pages(self._source, keys.MOVES):
            await self.copy(found)
        faultpoints.passing("shards.copied")

    async def copy(self, changed: Iterable[bytes]) -> None:
        """Makes clients (by any key of theirs) at the target what they are at the source.
        Raises AttemptSuperseded."""
        clients: dict[bytes, None] = {}
        departures: list[bytes] = []
        for key in changed:
            if key.startswith(keys.MOVES):
                departures.append(key)
            else:
                clients[client_of(key) or key] = None
        ordered = list(clients)
        for start in range(0, len(ordered), CLIENTS):
            await self._copy_clients(ordered[start : start + CLIENTS])
        for start in range(0, len(departures), CLIENTS):
            await self._copy_departures(departures[start : start + CLIENTS])

    async def _copy_clients(self, clients: Sequence[bytes]) -> None:
        read = Txn(
            then=[
                Get(key)
                for client in clients
                for key in (client, hold_of(client), account_of(client))
            ]
        )
        at_source = (await self._source.commit(read)).results
        at_target = (await self._target.commit(read)).results
        writes: list[Operation] = []
        for place, client in enumerate(clients):
            three = slice(3 * place, 3 * place + 3)
            state, there = _state(*at_source[three]), _state(*at_target[three])
            if state == there:
                continue
            self.copied += 1
            home, hold, account = state
            # All in one transaction: a hold belongs to the assignment written with it.
            writes.append(_as_it_is(client, home))
            writes.append(_as_it_is(hold_of(client), hold))
            if account != there[2]:
                writes.append(_as_it_is(account_of(client), account))
        await self.token.write(writes)

    async def _copy_departures(self, departures: Sequence[bytes]) -> None:
        read = Txn(then=[Get(key) for key in departures])
        found = (await self._source.commit(read)).results
        await self.token.write(
            [
                Put(key, pair[0].value, self._lease) if pair else Delete(key)
                for key, pair in zip(departures, found, strict=True)
            ]
        )


def _state(
    homes: Sequence[KeyValue], holds: Sequence[KeyValue], accounts: Sequence[KeyValue]
) -> tuple[bytes | None, bytes | None, bytes | None]:
    """A client's assignment, its hold if it belongs to that assignment (one transaction wrote
    both; any other hold is void), and its account's record."""
    account = accounts[0].value if accounts else None
    if not homes:
        return None, None, account
    held = holds and holds[0].mod_revision == homes[0].mod_revision
    return homes[0].value, holds[0].value if held else None, account


def _as_it_is(key: bytes, value: bytes | None) -> Operation:
    return Put(key, value) if value is not None else Delete(key)

"""AccountWatches: streams that follow what an account has and where it is at home.

A stream stands on a watch of the account's home, which counts among the watchers of the server, and
is woken by changes of its record and claims. It then reads all of it, and tells what stands now,
where that is not what it told last: a slow reader skips what is past.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Final

from control_plane.errors import Unavailable
from homeport.api.directory.v1 import directory_pb2 as pb
from provisioner.api.account_mapping import account_to_proto
from provisioner.directory.account_changes import AccountChanges, FollowedAccount
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.holdings import AccountHoldings, Holdings
from provisioner.directory.registrar import claim_key
from provisioner.watching.clients import ClientWatches
from provisioner.watching.sharded import ShardedWatches
from provisioner.watching.watch import WatchEventKind

PAUSE_S: Final = 0.2  # between two readings of one stream


class AccountWatches:
    """Of one server. homes: its watches of clients; pause_s: as PAUSE_S."""

    def __init__(
        self,
        homes: ClientWatches | ShardedWatches,
        changes: AccountChanges,
        holdings: Holdings,
        *,
        endpoint_of: Callable[[str], str],
        pause_s: float = PAUSE_S,
    ) -> None:
        self._homes = homes
        self._changes = changes
        self._holdings = holdings
        self._endpoint_of = endpoint_of
        self._pause_s = pause_s

    async def follow(
        self, tenant: str, account: str, acting: ActingUnit | None
    ) -> AsyncGenerator[pb.WatchAccountResponse, None]:
        """What stands now, then what does after each change; else signs of life. Ends with NotFound
        once the account is gone; ClaimNotAllowed once it is not at home with who acts for it.
        Raises Exhausted, DataLoss, Unavailable."""
        told, behind = b"", True
        async with self._homes.watch(tenant, account, known_epoch=0, revision=0) as watch:
            with self._changes.follow(tenant, account, watch.touch) as followed:
                while True:
                    event = await watch.next()
                    silent = event.kind is WatchEventKind.KEEPALIVE
                    if silent and not behind and self._changes.hears_records:
                        yield pb.WatchAccountResponse()
                        continue
                    try:
                        found = await self._read(tenant, account, acting, followed)
                        behind = False
                    except Unavailable:
                        if not told:
                            raise
                        behind = True  # what was told stands, until the store is back
                        yield pb.WatchAccountResponse()
                        continue
                    response = pb.WatchAccountResponse(
                        account=account_to_proto(found, self._endpoint_of)
                    )
                    said = response.SerializeToString(deterministic=True)
                    if said != told:
                        told = said
                        yield response
                    elif silent:
                        yield pb.WatchAccountResponse()
                    await asyncio.sleep(self._pause_s)

    async def _read(
        self, tenant: str, account: str, acting: ActingUnit | None, followed: FollowedAccount
    ) -> AccountHoldings:
        while True:
            found = await self._holdings.of(tenant, account, acting)
            if not followed.has(claim_key(tenant, one.listed) for one in found.held):
                return found

"""Session: proof that this provisioner is alive, kept under a lease in the store.

Every write of the ledger compares it, so a provisioner that lost its lease cannot write any
more, however late it learns of it. An id is never used twice: after a loss a new session
begins under a new id, and what the old one held is reclaimed like any expired session's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from control_plane import faultpoints, keys
from control_plane.errors import Refused, Unavailable
from control_plane.store.port import (
    Compare,
    Get,
    LeaseLost,
    OutcomeUnknown,
    Put,
    Store,
    StoreUnavailable,
    Txn,
    absent,
)
from provisioner.ledger.transactions import session_compare

log = logging.getLogger(__name__)

RETRY_S = 0.5


class Session:
    """One provisioner's. `new_id` gives ids that were never used before.

    `open` begins the first session, `keep_alive` (a task of the owner's) renews it for as long as
    it runs and begins a new one after a loss, or the first where the store was away until
    now, calling `on_renewed(old_id)`. alone: all assignments are in this store; no session
    begins once there is a shard map, so none that does not know it is missed by a mover.
    """

    def __init__(
        self,
        store: Store,
        *,
        ttl_s: int,
        new_id: Callable[[], str],
        on_renewed: Callable[[str], None] = lambda old: None,
        alone: bool = False,
    ) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._new_id = new_id
        self._alone = alone
        self.on_renewed = on_renewed
        self._lease = 0
        self._lost = asyncio.Event()
        self.stands = asyncio.Event()
        self.id = ""
        self.key = b""
        self.revision = 0  # create_revision of the session's key
        self.begun = 0  # sessions so far; each after the first because one was lost
        self.compare: Compare = session_compare(self.key, self.revision)  # holds while it stands

    async def open(self) -> None:
        """Begins a session under a new id. Raises Unavailable when the store is away, or a backup
        is being put into it; Refused where it must be alone and is not."""
        name = self._new_id()
        lease = await self._store.lease_grant(self._ttl_s)
        key = keys.session(name)
        try:
            result = await self._store.commit(
                Txn(
                    compares=[
                        absent(key),
                        absent(keys.RESTORING),
                        *((absent(keys.SHARD_MAP),) if self._alone else ()),
                    ],
                    then=[Put(key, b"", lease)],
                    otherwise=[Get(keys.SHARD_MAP), Get(keys.RESTORING)],
                )
            )
        except LeaseLost as gone:
            raise Unavailable("the session's lease ran out before it could be used") from gone
        if not result.succeeded and self._alone and result.results[0]:
            raise Refused(
                "assignments of this store are spread over several clusters; give their "
                "addresses with --assignment-stores"
            )
        if not result.succeeded and result.results[1]:
            raise Unavailable(
                "a backup is being put into this store; wait until `homeport restore` has ended, "
                "and run it again into an empty store where it was interrupted"
            )
        if not result.succeeded:
            raise Unavailable(f"another provisioner is called {name}")
        faultpoints.passing("session.opened")
        self.id, self.key, self.revision, self._lease = name, key, result.revision, lease
        self.compare = session_compare(key, result.revision)
        self.begun += 1
        self._lost.clear()
        self.stands.set()

    def report_lost(self) -> None:
        """A transaction was refused because the session is gone."""
        self.stands.clear()
        self._lost.set()

    async def keep_alive(self) -> None:
        """Renews the lease at once and three times per TTL, for ever."""
        if not self.stands.is_set():
            await self._begin_again()
        pause_s = 0.0  # it may have been opened a while ago: what else starts takes its time
        while True:
            try:
                async with asyncio.timeout(pause_s):
                    await self._lost.wait()
            except TimeoutError:
                pause_s = self._ttl_s / 3
                try:
                    await self._store.lease_keep_alive(self._lease)
                    continue
                except StoreUnavailable:
                    continue  # the lease may well live on; only the store can say
                except LeaseLost:
                    self.report_lost()
            await self._begin_again()

    async def _begin_again(self) -> None:
        old = self.id
        if old:
            log.warning("session %s is lost; beginning a new one", old)
        while True:
            try:
                await self.open()
                break
            except (StoreUnavailable, OutcomeUnknown, Unavailable):
                await asyncio.sleep(RETRY_S)
        self.on_renewed(old)

    async def close(self) -> None:
        """Ends the session, when the store is there to hear it; else its lease runs out."""
        self.stands.clear()
        if not self._lease:
            return
        try:
            await self._store.lease_revoke(self._lease)
        except (StoreUnavailable, OutcomeUnknown):
            log.info("session %s could not be ended; its lease runs out by itself", self.id)

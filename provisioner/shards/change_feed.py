"""ChangeFeed: what changed at a cluster since a revision, for as long as a move copies from it.

Watches everything below the root, because the epoch that ends the writing must come in the
same stream as the writes it ends: when it has come, so have they.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.store.port import Compacted, Store

ROOT = keys.ROOT.encode()


class ChangeFeed:
    """`run` is a task of the owner's; `concerns` says which keys to keep."""

    def __init__(
        self, store: Store, after_revision: int, concerns: Callable[[bytes], bool]
    ) -> None:
        self._store = store
        self._from = after_revision + 1
        self._concerns = concerns
        self._changed: dict[bytes, None] = {}
        self._advanced = asyncio.Event()
        self._lost = False
        self.revision = after_revision

    async def run(self) -> None:
        """Follows until cancelled, or until the history is gone."""
        try:
            async for batch in self._store.watch(ROOT, from_revision=self._from):
                for event in batch.events:
                    if self._concerns(event.kv.key):
                        self._changed[event.kv.key] = None
                self.revision = max(self.revision, batch.revision)
                self._advanced.set()
        except Compacted:
            pass
        self._lost = True
        self._advanced.set()

    def drain(self) -> list[bytes]:
        """Keys that changed since the last call. Raises Unavailable where some may be missing."""
        if self._lost:
            raise Unavailable("the history of the source is compacted; it is copied again")
        changed, self._changed = list(self._changed), {}
        return changed

    async def wait_for(self, revision: int, *, timeout_s: float) -> None:
        """Returns when everything up to `revision` has come. Raises Unavailable."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.revision < revision and not self._lost:
                    self._advanced.clear()
                    await self._advanced.wait()
        except TimeoutError as error:
            raise Unavailable("the source's changes do not arrive; trying again") from error

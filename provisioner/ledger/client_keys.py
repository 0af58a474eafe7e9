"""ClientKeys: what of a store is asked by those who read clients' keys, wherever they are.

For those who go through all clients, page by page, or look at one key. A Store is one where
everything is in one store, `ledger.sharded.client_keys` has the one over several clusters.
"""

from __future__ import annotations

from typing import Protocol

from control_plane.store.port import KeyValue, Page


class ClientKeys(Protocol):
    """Reads clients' keys."""

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None: ...

    async def range(
        self,
        prefix: bytes,
        *,
        start_after: bytes | None = None,
        limit: int = 0,
        at_revision: int = 0,
        keys_only: bool = False,
        timeout_s: float | None = None,
    ) -> Page: ...

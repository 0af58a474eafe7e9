"""Takes a backup: every key that does not end with its holder, all as of one revision.

Nothing is written to the store, and servers go on. What hangs on a lease stays out: sessions,
heartbeats, departures and bootstrap tokens mean nothing, or harm, once their holders are others.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from control_plane import keys
from control_plane.errors import Refused, StoreUnavailable
from control_plane.store.port import Compacted, Page
from provisioner.backup.backup_file import About, BackupWriter

PAGE = 1_000  # keys
ATTEMPTS = 5  # where the store is compacted faster than it is read
_OF_SEVERAL = (keys.SHARD_MAP, keys.CLUSTER_NAME, keys.SHARD_EPOCH)


class Readable(Protocol):
    """What is asked of a store, or of its file."""

    async def range(
        self,
        prefix: bytes,
        *,
        start_after: bytes | None = None,
        limit: int = 0,
        at_revision: int = 0,
    ) -> Page:
        """See control_plane.store.port.Store."""
        ...


async def take_backup(
    store: Readable, path: Path, *, kind: str, cluster: str, taken_ms: int
) -> About:
    """kind: embedded or etcd; cluster: which one, in etcd's words. Raises Refused where there is
    such a file, nothing in the store, a backup being put into it, or one of several clusters;
    StoreUnavailable; OSError."""
    for _ in range(ATTEMPTS):
        writer = await asyncio.to_thread(BackupWriter, path)
        try:
            return await _copied(store, writer, kind, cluster, taken_ms)
        except Compacted:
            continue
        finally:
            writer.discard()
    raise StoreUnavailable(
        "the store is compacted faster than it can be read; have it keep its history longer "
        "(etcd: --auto-compaction-retention)"
    )


async def _copied(
    store: Readable, writer: BackupWriter, kind: str, cluster: str, taken_ms: int
) -> About:
    page = await store.range(keys.ROOT.encode(), limit=PAGE)
    left_out = found = 0
    while True:
        for pair in page.items:
            if pair.key in _OF_SEVERAL:
                raise Refused(
                    "assignments are spread over several clusters, which one backup cannot hold "
                    "as of one moment; take snapshots of all of them with etcdctl"
                )
            if pair.key == keys.RESTORING:
                raise Refused("a backup is being put into this store; wait until that is done")
        kept = [(pair.key, pair.value) for pair in page.items if not pair.lease]
        writer.add(kept)
        found += len(kept)
        left_out += len(page.items) - len(kept)
        if not page.more:
            break
        page = await store.range(
            keys.ROOT.encode(),
            start_after=page.items[-1].key,
            limit=PAGE,
            at_revision=page.revision,
        )
    if not found:
        raise Refused("there is nothing of Homeport in this store; name that of the servers")
    return writer.finish(
        store=kind,
        cluster=cluster,
        revision=page.revision,
        taken_ms=taken_ms,
        left_out=left_out,
    )

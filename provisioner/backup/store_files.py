"""Backups of the store that a URL names, and stores from them: etcd through its client, the
embedded store through its file.

An embedded store is restored beside its place and put there whole, under the lock that servers
take; its revisions begin above all that can have been before, so that no watch of an older one
goes on in it. An etcd has revisions of its own, and servers tell by its cluster id that it is
another one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from control_plane.errors import Refused
from control_plane.files import sync_folder
from control_plane.identity.key_wrapping import Wrapping
from control_plane.sqlite.connection import FileLock
from control_plane.store.embedded.offline import StoreFile, make_store_file
from control_plane.store.embedded.store import EmbeddedStore
from control_plane.store.opening import EtcdAccess, StoreUrl, open_store
from control_plane.store.port import Store
from provisioner.backup.backup_file import About, BackupFile
from provisioner.backup.restoring import Restored, restore
from provisioner.backup.taking import take_backup

CALL_S = 30.0  # deadline of one call to etcd
REVISIONS_PER_S = 100_000  # no store commits so many for long


async def backup_store(
    url: str, path: Path, *, access: EtcdAccess, wall: Callable[[], float]
) -> About:
    """While servers go on. Raises as `take_backup`, and what opening the store raises."""
    parsed, taken_ms = StoreUrl.parse(url), int(wall() * 1_000)
    if parsed.path is not None:
        with StoreFile(parsed.path) as file:
            return await take_backup(file, path, kind="embedded", cluster="", taken_ms=taken_ms)
    store = await open_store(url, access=access, timeout_s=CALL_S)
    try:
        return await take_backup(
            store, path, kind="etcd", cluster=store.health.cluster, taken_ms=taken_ms
        )
    finally:
        await store.close()


async def restore_store(
    path: Path,
    url: str,
    *,
    access: EtcdAccess,
    operator: str,
    wrapping: Wrapping,
    wall: Callable[[], float],
    random: Callable[[int], bytes],
    new_id: Callable[[], str],
) -> tuple[About, Restored]:
    """Into a file that is not there, or an etcd without anything of Homeport. Raises FaultyFile
    for the backup, and as `restore`."""
    parsed = StoreUrl.parse(url)
    with BackupFile(path) as backup:

        async def fill(store: Store) -> Restored:
            return await restore(
                backup, store, operator=operator, wrapping=wrapping, wall=wall, random=random,
                new_id=new_id,
            )  # fmt: skip

        if parsed.path is not None:
            revision = max(backup.about.revision + 1, int(wall() * REVISIONS_PER_S))
            return backup.about, await _into_file(parsed.path, revision, fill)
        store = await open_store(url, access=access, timeout_s=CALL_S)
        try:
            return backup.about, await fill(store)
        finally:
            await store.close()


async def _into_file(
    path: Path, revision: int, fill: Callable[[Store], Awaitable[Restored]]
) -> Restored:
    """Raises Refused where there is a store, or a server that is about to make one."""
    lock = await asyncio.to_thread(FileLock, path, "store")
    scratch = path.with_name(f".{path.name}.restoring")
    try:
        if await asyncio.to_thread(path.exists):
            raise Refused(
                f"there is a store at {path}; move it away first (mv {path}* ELSEWHERE/), and "
                "keep it until all is well"
            )
        _clear(scratch)
        make_store_file(scratch, revision=revision)
        store = await EmbeddedStore.open(scratch, clock=time.monotonic)
        try:
            done = await fill(store)
        finally:
            await store.close()
        await asyncio.to_thread(_put_in_place, scratch, path)
        return done
    finally:
        _clear(scratch)
        lock.release()


def _put_in_place(scratch: Path, path: Path) -> None:
    with scratch.open("rb") as file:
        os.fsync(file.fileno())
    os.link(scratch, path)
    sync_folder(path.parent)


def _clear(scratch: Path) -> None:
    for end in ("", "-wal", "-shm", ".lock"):
        scratch.with_name(scratch.name + end).unlink(missing_ok=True)

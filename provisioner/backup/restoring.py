"""Puts a backup into an empty store, and says so in the audit log.

A marker stands in the store meanwhile, which every transaction here compares, and with which no
server begins a session: so two restores do not mix, and nobody serves from half of one. Each key
is created and none is written over: whatever else writes to the store at the same time makes the
restore fail, and loud. One that was interrupted is begun again in an empty store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from control_plane import keys
from control_plane.audit.entry import AuditCaller, AuditEntry, AuditPhase
from control_plane.audit.store_log import StoreAuditLog
from control_plane.errors import Refused
from control_plane.identity.key_wrapping import Wrapping
from control_plane.identity.keyring import decode_ring, encode_ring
from control_plane.store.damaged import name_in, shown_key
from control_plane.store.port import (
    MAX_OPERATIONS,
    MAX_REQUEST_BYTES,
    Create,
    Delete,
    Put,
    Store,
    Txn,
    absent,
    unchanged,
)
from provisioner.backup.backup_file import BackupFile
from provisioner.backup.restored_records import (
    ClientCount,
    is_left_behind,
    raised_assignment,
    settled_capacity,
    succeeding_ring,
)

AT_ONCE = MAX_OPERATIONS - 8  # keys in one transaction, beside what guards it
BYTES_AT_ONCE = MAX_REQUEST_BYTES // 2
PAIR_BYTES = 64  # what a key costs in a request beside itself
WRITE_S = 30.0  # deadline of one transaction

_NOT_EMPTY = (
    "the store is not empty, or somebody else writes to it: stop every server, and restore into "
    "a new file or an empty cluster (or first: etcdctl del --prefix " + keys.ROOT + ")"
)


@dataclass(slots=True, kw_only=True)
class Restored:
    """What was put into the store. ring: whether it has ticket keys, new ones; if not they come
    from a file, which has to be given a new epoch by hand. damaged: keys of records that cannot be
    read, and stand as they were."""

    keys: int = 0
    clients: int = 0
    ring: bool = False
    revision: int = 0  # of the store, at the end
    damaged: list[str] = field(default_factory=list)


async def restore(
    backup: BackupFile,
    store: Store,
    *,
    operator: str,
    wrapping: Wrapping,
    wall: Callable[[], float],
    random: Callable[[int], bytes],
    new_id: Callable[[], str],
) -> Restored:
    """operator: who does it, for the audit log; wrapping: how ticket keys are kept; wall: Unix
    seconds, not behind when the backup was taken.

    Raises InvalidInput where the ticket keys do not open with this wrapping; Refused where the
    store is not empty, or the clock is behind the backup; what the store raises, and then the
    marker stands.
    """
    now = wall()
    about = backup.about
    if int(now * 1_000) < about.taken_ms:
        raise Refused(
            "the clock of this machine is behind the backup, which was taken at "
            f"{about.taken_ms / 1_000:.0f} s; set it first: epochs of clients come of it"
        )
    done = Restored()
    writes = _written(backup, int(now * 1_000), done)
    ring = next((value for _, value in backup.under(keys.KEY_RING)), None)
    following = b""
    if ring is not None:
        old = await asyncio.to_thread(decode_ring, ring, "the backup's keys/ring", wrapping)
        made = succeeding_ring(old, now=now, random=random)
        following = await asyncio.to_thread(encode_ring, made, wrapping)
        done.ring = True
    mark = await _mark(store, new_id())
    for creates in _groups(writes):
        result = await store.commit(
            Txn(compares=[unchanged(keys.RESTORING, mark)], creates=creates), timeout_s=WRITE_S
        )
        if not result.succeeded:
            raise Refused(_NOT_EMPTY)
        done.keys += len(creates)
    log = StoreAuditLog(store, wall=wall, new_id=new_id, session=lambda: "")
    await log.append(_entry(backup, done, operator, new_id()))
    creates = [(keys.KEY_RING, following)] if done.ring else []
    result = await store.commit(
        Txn(
            compares=[unchanged(keys.RESTORING, mark)],
            creates=creates,
            then=[Delete(keys.RESTORING)],
        ),
        timeout_s=WRITE_S,
    )
    if not result.succeeded:
        raise Refused(_NOT_EMPTY)
    done.revision = result.revision
    return done


async def _mark(store: Store, name: str) -> int:
    """The revision of our marker, beside which nothing stands. Raises Refused."""
    result = await store.commit(
        Txn(
            compares=[absent(keys.RESTORING)],
            then=[Put(keys.RESTORING, name.encode())],
        ),
        timeout_s=WRITE_S,
    )
    if not result.succeeded:
        raise Refused(
            "another restore is under way in this store, or was interrupted. " + _NOT_EMPTY
        )
    page = await store.range(keys.ROOT.encode(), limit=2, keys_only=True)
    if len(page.items) > 1:
        await store.commit(
            Txn(
                compares=[unchanged(keys.RESTORING, result.revision)],
                then=[Delete(keys.RESTORING)],
            )
        )
        raise Refused(_NOT_EMPTY)
    return result.revision


def _written(backup: BackupFile, now_ms: int, done: Restored) -> Iterator[Create]:
    """The pairs as they are to stand; counts them in `done`."""
    count = ClientCount(backup.under(keys.USAGE))
    for key, value in backup.pairs():
        if is_left_behind(key):
            continue
        made: bytes | None = value
        if key.startswith(keys.ASSIGNMENTS):
            made = raised_assignment(value, now_ms=now_ms)
            count.add(key, made)  # assignments come before capacity
            done.clients += 1
        elif key.startswith(keys.CAPACITY):
            unit = name_in(key, keys.CAPACITY)
            made = settled_capacity(value, count.at(unit, value)) if unit is not None else None
        if made is None:
            done.damaged.append(shown_key(key))
        yield key, value if made is None else made


def _groups(pairs: Iterator[Create]) -> Iterator[list[Create]]:
    """As many as one transaction may hold."""
    group, size = list[Create](), 0
    for pair in pairs:
        cost = len(pair[0]) + len(pair[1]) + PAIR_BYTES
        if group and (len(group) == AT_ONCE or size + cost > BYTES_AT_ONCE):
            yield group
            group, size = [], 0
        group.append(pair)
        size += cost
    if group:
        yield group


def _entry(backup: BackupFile, done: Restored, operator: str, entry_id: str) -> AuditEntry:
    about = backup.about
    return AuditEntry(
        id=entry_id,
        phase=AuditPhase.DONE,
        service="homeport.backup",
        method="Restore",
        caller=AuditCaller(name=operator),
        kind="store",
        target=about.store,
        code="OK",
        message=f"restored from a backup of revision {about.revision}; what was written after that "
        "is lost",
        request={
            "revision": about.revision,
            "taken_ms": about.taken_ms,
            "digest": about.digest,
            "clients": done.clients,
        },
    )

"""What a provisioner of an assignment cluster held becomes free again when its session expired.

The counterpart of `provisioner.ledger.reclaim` where capacity records are in another cluster
than the sessions; `cross_cluster_transactions` says why each step waits for the one before.
Anyone alive may do it, any number of times, and stop anywhere: a provisioner is absorbed by
the one write that takes it out of L.
"""

from __future__ import annotations

import logging

from control_plane import faultpoints, keys
from control_plane.fleet.capacity import decode_capacity
from control_plane.store.damaged import UNREADABLE, DamagedKeys, name_in
from control_plane.store.port import Store, range_all
from provisioner.ledger.sharded.cross_cluster_transactions import absorb_expired, delete_usage

log = logging.getLogger(__name__)


async def reclaim_expired_sessions(
    control: Store, here: Store, cluster: str, damaged: DamagedKeys
) -> int:
    """Looks once at every unit for expired sessions of `cluster`; returns how many grants it
    reclaimed. damaged: told of what cannot be read, which keeps nobody else's grants. Raises
    StoreUnavailable, OutcomeUnknown. What changes meanwhile is left to the next time."""
    records = (await range_all(control, keys.CAPACITY)).items
    sessions = (await range_all(here, keys.SESSIONS, keys_only=True)).items
    living = {name for _, name in damaged.names((one.key for one in sessions), keys.SESSIONS)}
    counted: dict[tuple[str, str], tuple[int, int]] = {}
    unreadable: set[str] = set()  # units with a capacity record or somebody's usage that is none
    for pair in (await range_all(here, keys.USAGE)).items:
        for _, name in damaged.names([pair.key], keys.USAGE):
            unit, _, who = name.rpartition("/")
            if keys.cluster_of(who) == cluster and who not in living:
                try:
                    counted[unit, who] = int(pair.value), pair.mod_revision
                except ValueError as error:
                    damaged.pass_over(pair.key, error)
                    unreadable.add(unit)
    reclaimed = 0
    for pair in records:
        unit = name_in(pair.key, keys.CAPACITY) or ""
        try:
            record, revision = decode_capacity(pair.value), pair.mod_revision
        except UNREADABLE as error:
            damaged.pass_over(pair.key, error)
            unreadable.add(unit)
            continue
        if not unit:
            damaged.pass_over(pair.key)
            continue
        for who in sorted(set(record.grants) - living):
            if keys.cluster_of(who) != cluster or unit in unreadable:
                continue
            usage = counted.get((unit, who), (0, 0))[0]
            if usage > record.grants[who]:
                # Never so at one time: others absorbed it, and its U is forgotten by now.
                break
            after, txn = absorb_expired(who, unit, record, revision, usage)
            faultpoints.passing("ledger.reclaim.before")
            result = await control.commit(txn)
            faultpoints.passing("ledger.reclaim.after")
            if not result.succeeded:
                break  # somebody was quicker; the next time sees how it stands then
            record, revision = after, result.revision
            reclaimed += 1
            log.info("reclaimed the grant of %s at %s: %d clients stay", who, unit, usage)
    for (unit, who), (_, revision) in sorted(counted.items()):
        if unit in unreadable:
            continue
        # Only once it stands in L no more, read after its session was seen to be gone.
        stands = await control.get(keys.capacity(unit))
        try:
            held = stands is not None and who in decode_capacity(stands.value).grants
        except UNREADABLE:  # damaged since it was read above
            continue
        if not held:
            await here.commit(delete_usage(who, unit, revision))
    damaged.end_look()
    return reclaimed

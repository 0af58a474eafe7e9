"""What a provisioner of an assignment cluster held becomes free again when its session expired.

The counterpart of `provisioner.ledger.reclaim` where capacity records are in another cluster
than the sessions; `cross_cluster_transactions` says why each step waits for the one before.
Anyone alive may do it, any number of times, and stop anywhere: a provisioner is absorbed by
the one write that takes it out of L.
"""

from __future__ import annotations

import logging

import msgspec

from control_plane import faultpoints, keys
from control_plane.fleet.capacity import decode_capacity
from control_plane.printable import quoted
from control_plane.store.port import Store, range_all
from provisioner.ledger.sharded.cross_cluster_transactions import absorb_expired, delete_usage

log = logging.getLogger(__name__)


async def reclaim_expired_sessions(control: Store, here: Store, cluster: str) -> int:
    """Looks once at every unit for expired sessions of `cluster`; returns how many grants it
    reclaimed. Raises StoreUnavailable, OutcomeUnknown. What changes meanwhile is left to the
    next time."""
    records = (await range_all(control, keys.CAPACITY)).items
    living = {
        pair.key[len(keys.SESSIONS) :].decode()
        for pair in (await range_all(here, keys.SESSIONS, keys_only=True)).items
    }
    counted: dict[tuple[str, str], tuple[int, int]] = {}
    damaged: set[str] = set()  # units where somebody's usage cannot be read
    for pair in (await range_all(here, keys.USAGE)).items:
        unit, _, who = pair.key[len(keys.USAGE) :].decode().rpartition("/")
        if keys.cluster_of(who) == cluster and who not in living:
            try:
                counted[unit, who] = int(pair.value), pair.mod_revision
            except ValueError:
                log.warning(
                    "the usage of %s at unit %s is damaged: %s", who, unit, quoted(pair.value)
                )
                damaged.add(unit)
    reclaimed = 0
    for pair in records:
        unit = pair.key[len(keys.CAPACITY) :].decode()
        try:
            record, revision = decode_capacity(pair.value), pair.mod_revision
        except msgspec.MsgspecError as error:
            log.warning("cannot reclaim at unit %s, its record is damaged: %s", unit, error)
            continue
        for who in sorted(set(record.grants) - living):
            if keys.cluster_of(who) != cluster or unit in damaged:
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
        # Only once it stands in L no more, read after its session was seen to be gone.
        stands = await control.get(keys.capacity(unit))
        if stands is None or who not in decode_capacity(stands.value).grants:
            await here.commit(delete_usage(who, unit, revision))
    return reclaimed

"""Map changes: how the shard map and the epochs of the clusters are read and written.

Compare-and-swap throughout. What only takes a look at the map, and may therefore be done by
anybody, is here as well: opening a target, thawing shards that a mover left frozen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from control_plane import keys
from control_plane.errors import Conflict, NotFound, Refused
from control_plane.printable import quoted
from control_plane.store.port import OutcomeUnknown, Put, Store, Txn, unchanged
from provisioner.shards.shard_map import ShardMap, ShardMoveStage, decode_map, encode_map

ATTEMPTS = 50


async def read_map(control: Store) -> tuple[ShardMap, int]:
    """The map and its mod_revision. Raises NotFound, StoreUnavailable."""
    pair = await control.get(keys.SHARD_MAP)
    if pair is None:
        raise NotFound("there is no shard map; start a server with --assignment-stores first")
    return decode_map(pair), pair.mod_revision


async def change_map(control: Store, transition: Callable[[ShardMap], ShardMap]) -> ShardMap:
    """Compare-and-swaps the map; raises what `transition` does, and Conflict where others
    keep changing it. Where an outcome is unknown the transition is tried on what is read
    then: it must refuse to happen twice, or be one that may."""
    for _ in range(ATTEMPTS):
        before, revision = await read_map(control)
        after = transition(before)
        if after is before:
            return before
        try:
            result = await control.commit(
                Txn(
                    compares=[unchanged(keys.SHARD_MAP, revision)],
                    then=[Put(keys.SHARD_MAP, encode_map(after))],
                )
            )
        except OutcomeUnknown:
            continue
        if result.succeeded:
            return after
    raise Conflict("the shard map keeps changing under this request; try again")


async def raise_epoch(store: Store, version: int) -> int:
    """Sees to it that no map older than `version` is used in this cluster; the revision that
    did. Raises Conflict, StoreUnavailable, OutcomeUnknown."""
    for _ in range(ATTEMPTS):
        pair = await store.get(keys.SHARD_EPOCH)
        if pair is not None and int(pair.value) >= version:
            return pair.mod_revision
        revision = pair.mod_revision if pair else 0
        try:
            result = await store.commit(
                Txn(
                    compares=[unchanged(keys.SHARD_EPOCH, revision)],
                    then=[Put(keys.SHARD_EPOCH, b"%d" % version)],
                )
            )
        except OutcomeUnknown:
            continue
        if result.succeeded:
            return result.revision
    raise Conflict("the epoch of a cluster keeps changing; try again")


async def open_target(
    control: Store,
    source: Store,
    move_id: str,
    *,
    check: Callable[[ShardMap], object] = lambda shard_map: None,
) -> None:
    """From `switched` on: the source answers nobody any more, then the target is opened.
    Anybody may do it, so that a mover that dies here stops nobody."""
    shard_map, _ = await read_map(control)
    check(shard_map)
    if shard_map.move(move_id).stage is not ShardMoveStage.SWITCHED:
        return
    await raise_epoch(source, shard_map.version)

    def opened(before: ShardMap) -> ShardMap:
        check(before)
        if before.move(move_id).stage is not ShardMoveStage.SWITCHED:
            return before
        return before.opened(move_id)

    await change_map(control, opened)


async def thaw(control: Store, move_id: str) -> None:
    """From `frozen` back: the source writes again. Anybody may do it when a mover died or is
    too slow; it then copies again what changed."""

    def thawed(before: ShardMap) -> ShardMap:
        if before.move(move_id).stage is not ShardMoveStage.FROZEN:
            return before
        return before.thawed(move_id)

    await change_map(control, thawed)


def refused_unless_known(shard_map: ShardMap, names: Iterable[str]) -> None:
    """Raises Refused where the map has clusters that nobody gave an address for."""
    missing = [name for name in shard_map.clusters if name not in set(names)]
    if missing:
        raise Refused(
            f"the shard map names the assignment cluster {quoted(missing[0])}, whose address is "
            "not configured; add it to --assignment-stores"
        )

"""FencingToken: what keeps a late write of an earlier mover out of a cluster.

It names the attempt that may write copies, or deletions of them, in one cluster
(`keys.licence`). Every such write compares its revision. It is released before the map says
that the copies count, or that none is left, so nothing sent under it can land later.
"""

from __future__ import annotations

from collections.abc import Sequence

from control_plane import faultpoints, keys
from control_plane.errors import Conflict, NotFound
from control_plane.store.port import (
    Compare,
    Delete,
    Operation,
    OutcomeUnknown,
    Put,
    Store,
    Txn,
    unchanged,
)
from provisioner.shards import map_changes
from provisioner.shards.map_changes import ATTEMPTS
from provisioner.shards.shard_map import ShardMap, ShardMove, ShardMoveStage


class AttemptSuperseded(Conflict):
    """Another mover works on this move now, or it has been ended. Leave it alone."""

    reason = "TAKEN_OVER"


def own_move(shard_map: ShardMap, move_id: str, attempt: int) -> ShardMove:
    """The move, if this attempt is still the one that counts. Raises AttemptSuperseded."""
    try:
        move = shard_map.move(move_id)
    except NotFound:
        raise AttemptSuperseded(f"move {move_id} has ended") from None
    if move.attempt != attempt:
        raise AttemptSuperseded(f"move {move_id} was taken over by another mover")
    return move


class FencingToken:
    """Held for one attempt at a move, in one cluster. Made by `acquire_token`."""

    def __init__(self, store: Store, move_id: str, compare: Compare) -> None:
        self._store = store
        self._move_id = move_id
        self._compare = compare

    async def write(self, writes: Sequence[Operation]) -> None:
        """Writes while the token is held. Raises AttemptSuperseded."""
        if not writes:
            return
        result = await self._store.commit(Txn(compares=[self._compare], then=writes))
        if not result.succeeded:
            raise AttemptSuperseded(f"move {self._move_id} was taken over by another mover")

    async def release(self) -> None:
        """Whatever was sent under it and has not landed never will. Raises Conflict."""
        key = keys.licence(self._move_id)
        try:
            result = await self._store.commit(Txn(compares=[self._compare], then=[Delete(key)]))
            ended = result.succeeded
        except OutcomeUnknown:
            ended = await self._store.get(key) is None
        if not ended:
            raise Conflict(f"the licence of move {self._move_id} is not what it was")


async def acquire_token(
    control: Store,
    store: Store,
    move_id: str,
    attempt: int,
    stages: Sequence[ShardMoveStage],
) -> FencingToken:
    """Ends every earlier mover's token in `store`, then makes sure that the map still asks for
    this attempt, at one of these stages. Raises AttemptSuperseded, Conflict."""
    key = keys.licence(move_id)
    for _ in range(ATTEMPTS):
        pair = await store.get(key)
        if pair is not None and int(pair.value) > attempt:
            raise AttemptSuperseded(f"move {move_id} was taken over by another mover")
        revision = pair.mod_revision if pair else 0
        try:
            result = await store.commit(
                Txn(compares=[unchanged(key, revision)], then=[Put(key, b"%d" % attempt)])
            )
        except OutcomeUnknown:
            continue
        if result.succeeded:
            break
    else:
        raise Conflict(f"the licence of move {move_id} keeps changing; try again")
    shard_map, _ = await map_changes.read_map(control)
    stage = own_move(shard_map, move_id, attempt).stage
    if stage not in stages:
        raise AttemptSuperseded(f"move {move_id} is {stage.value} now")
    faultpoints.passing("shards.licensed")
    return FencingToken(store, move_id, unchanged(key, result.revision))

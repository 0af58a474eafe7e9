"""MoveAttempt: the steps of one move of shards, each safe to be stopped in and taken over.

Three rules carry it (docs/ledger.md argues them):

- The map names the mover's attempt. Whoever takes a move over, or goes on after an error,
  raises the attempt in the map first, and then acquires the fencing token in the cluster it
  writes to. So nothing a mover sent earlier can land later.
- Before the copies are final the map says `frozen` and then the epoch at the source is
  raised. Every write there compares the epoch, so none that was decided by an older map lands.
- The map says who owns a shard. It changes by compare-and-swap from `frozen`, so a shard that
  was thawed meanwhile is not switched.

Only awaits stores, so that tests can put any order and delay between any two steps.
"""

from __future__ import annotations

from control_plane import faultpoints, keys
from control_plane.errors import NotFound
from control_plane.store.port import Delete, Store
from provisioner.shards import map_changes
from provisioner.shards.client_keys import ShardKeys
from provisioner.shards.fencing_token import acquire_token, own_move
from provisioner.shards.shard_copy import ShardCopy
from provisioner.shards.shard_map import ShardMap, ShardMove, ShardMoveStage

DELETES = 120  # in one transaction
# What a shard consists of.
_COPIED = (keys.ASSIGNMENTS, keys.HOLDS, keys.MOVES, keys.DIRECTORY_ACCOUNTS)


class MoveAttempt:
    """One mover's work on one move. `lease`: in the target, for departures. A move's id is
    never used again: attempts begin anew with each move, and so would fencing tokens."""

    def __init__(
        self,
        control: Store,
        source: Store,
        target: Store,
        move: ShardMove,
        *,
        lease: int = 0,
    ) -> None:
        self._control = control
        self._source = source
        self._target = target
        self._lease = lease
        self.id = move.id
        self.keys = ShardKeys(move.shards)
        self.attempt = 0

    async def take_over(self) -> ShardMoveStage:
        """Raises the attempt; from here on every other mover's end is in sight. Raises
        NotFound when the move has ended."""
        wanted = 0

        def next_attempt(before: ShardMap) -> ShardMap:
            nonlocal wanted
            after = before.taken_over(self.id)
            wanted = after.move(self.id).attempt
            return after

        after = await map_changes.change_map(self._control, next_attempt)
        self.attempt = wanted
        faultpoints.passing("shards.taken_over")
        return after.move(self.id).stage

    async def stage(self) -> ShardMoveStage:
        """How far the move is. Raises AttemptSuperseded."""
        shard_map, _ = await map_changes.read_map(self._control)
        return self._own(shard_map).stage

    async def begin_copying(self) -> ShardCopy:
        """Acquires the token at the target. Raises AttemptSuperseded."""
        token = await acquire_token(
            self._control,
            self._target,
            self.id,
            self.attempt,
            (ShardMoveStage.COPYING, ShardMoveStage.FROZEN),
        )
        return ShardCopy(self._source, self._target, self.keys, token, lease=self._lease)

    async def freeze(self) -> int:
        """Nobody writes these shards' clients any more; the source's revision by which the
        last write has happened. Raises AttemptSuperseded."""

        def frozen(before: ShardMap) -> ShardMap:
            if self._own(before).stage is ShardMoveStage.FROZEN:
                return before
            return before.frozen(self.id)

        after = await map_changes.change_map(self._control, frozen)
        faultpoints.passing("shards.frozen")
        revision = await map_changes.raise_epoch(self._source, after.version)
        faultpoints.passing("shards.fenced")
        return revision

    async def switch(self, copy: ShardCopy) -> None:
        """The target owns the shards. Every copy has been made. Raises AttemptSuperseded;
        Conflict when the shards were thawed meanwhile, and then changes must be copied again."""
        await copy.token.release()
        faultpoints.passing("shards.closed")

        def switched(before: ShardMap) -> ShardMap:
            if self._own(before).stage is ShardMoveStage.SWITCHED:
                return before
            return before.switched(self.id)

        await map_changes.change_map(self._control, switched)
        faultpoints.passing("shards.switched")

    async def open(self) -> None:
        """The target is written to. Raises AttemptSuperseded."""
        await map_changes.open_target(self._control, self._source, self.id, check=self._own)
        faultpoints.passing("shards.opened")

    async def clear(self) -> None:
        """Deletes what is left at the source. Raises AttemptSuperseded."""
        token = await acquire_token(
            self._control, self._source, self.id, self.attempt, (ShardMoveStage.CLEARING,)
        )
        for prefix in _COPIED:
            async for found in self.keys.pages(self._source, prefix):
                for start in range(0, len(found), DELETES):
                    await token.write([Delete(key) for key in found[start : start + DELETES]])
        faultpoints.passing("shards.cleared")
        await token.release()

        def finished(before: ShardMap) -> ShardMap:
            self._own(before)
            return before.finished(self.id)

        try:
            await map_changes.change_map(self._control, finished)
        except NotFound:
            return  # ours, of an unknown outcome, or somebody else found nothing left either
        faultpoints.passing("shards.finished")

    def _own(self, shard_map: ShardMap) -> ShardMove:
        return own_move(shard_map, self.id, self.attempt)

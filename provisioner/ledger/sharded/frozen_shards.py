"""FrozenShards: thaws shards that a mover left frozen, so that their clients can be written."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from control_plane.errors import NotFound
from control_plane.store.port import Store
from provisioner.shards import map_changes
from provisioner.shards.shard_map import ShardMap, ShardMoveStage

log = logging.getLogger(__name__)

FROZEN_TOO_LONG_S = 5.0


class FrozenShards:
    """Since when this server has seen each move frozen, or switched and not opened."""

    def __init__(self, control: Store, clusters: Mapping[str, Store]) -> None:
        self._control = control
        self._clusters = clusters
        self._since: dict[str, tuple[ShardMoveStage, float]] = {}

    async def thaw(self, shard_map: ShardMap, now: float) -> None:
        """Sees to moves that stood still for too long. now: monotonic seconds. Raises
        ServiceError."""
        frozen = {
            move.id: move
            for move in shard_map.moves
            if move.stage in (ShardMoveStage.FROZEN, ShardMoveStage.SWITCHED)
        }
        for move_id in self._since.keys() - frozen.keys():
            del self._since[move_id]
        for move in frozen.values():
            stage, since = self._since.setdefault(move.id, (move.stage, now))
            if stage is not move.stage:
                self._since[move.id] = move.stage, now
            elif now - since > FROZEN_TOO_LONG_S and move.source in self._clusters:
                log.warning("shards of move %s are %s for too long", move.id, move.stage.value)
                try:
                    await map_changes.thaw(self._control, move.id)
                    await map_changes.open_target(
                        self._control, self._clusters[move.source], move.id
                    )
                except NotFound:
                    continue  # it has ended meanwhile

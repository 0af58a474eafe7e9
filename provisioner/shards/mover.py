"""ShardMover: takes moves of shards to their end, whoever began them.

Copies while the shards are written to, then stops the writing for the moment in which the
last changes are copied and the map is switched, then clears the source. May be killed
anywhere: whoever runs next takes over where the map says the move is. A move that fails is
tried again from there; its shards are thawed first, so that no client waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from control_plane import keys
from control_plane.errors import NotFound, Refused, ServiceError, Unavailable
from control_plane.printable import quoted
from control_plane.store.damaged import name_in
from control_plane.store.port import LeaseLost, Store, range_all
from provisioner.shards import map_changes
from provisioner.shards.change_feed import ChangeFeed
from provisioner.shards.fencing_token import AttemptSuperseded
from provisioner.shards.move_attempt import MoveAttempt
from provisioner.shards.shard_map import ShardMap, ShardMove, ShardMoveStage

log = logging.getLogger(__name__)

FEW = 200  # changes left that may be copied while nobody writes
ROUNDS = 20  # of copying what changed meanwhile, before it is tried with more than a few
DRAIN_S = 2.0  # for the last changes to arrive; frozen for no longer
ATTEMPTS = 8
RETRY_S = 0.5


class ShardMover:
    """clusters: stores by name. departure_lease_s: how long departures that are copied live.
    on_progress(move, stage): for people. clock: monotonic seconds."""

    def __init__(
        self,
        control: Store,
        clusters: Mapping[str, Store],
        *,
        new_id: Callable[[], str],
        departure_lease_s: int,
        clock: Callable[[], float],
        on_progress: Callable[[ShardMove, str], None] = lambda move, what: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._control = control
        self._clusters = clusters
        self._new_id = new_id
        self._lease_s = departure_lease_s
        self._clock = clock
        self._on_progress = on_progress
        self._sleep = sleep
        self.copied = 0
        self.frozen_s = 0.0  # how long the move that took longest kept its shards frozen

    async def begin(self, shards: tuple[int, ...], source: str, target: str) -> str:
        """Puts a move on the map; its id. Raises NotFound, Refused, Conflict."""
        for name in (source, target):
            if name not in self._clusters:
                raise NotFound(f"there is no assignment cluster {quoted(name)}")
        await self._check_sessions(source, target)
        move_id = self._new_id()

        def begun(before: ShardMap) -> ShardMap:
            if any(move.id == move_id for move in before.moves):
                return before  # ours, of an unknown outcome
            return before.begin(move_id, shards, source, target)

        await map_changes.change_map(self._control, begun)
        return move_id

    async def finish_all(self) -> int:
        """Takes every move on the map to its end; how many. Raises Unavailable when one
        cannot be, for now."""
        finished = 0
        while True:
            shard_map, _ = await map_changes.read_map(self._control)
            if not shard_map.moves:
                return finished
            await self.finish(shard_map.moves[0].id)
            finished += 1

    async def finish(self, move_id: str) -> None:
        """Takes one move to its end. Raises Unavailable when that fails again and again;
        AttemptSuperseded when somebody else works on it now."""
        failure: ServiceError | None = None
        for attempt in range(ATTEMPTS):
            shard_map, _ = await map_changes.read_map(self._control)
            try:
                move = shard_map.move(move_id)
            except NotFound:
                return
            map_changes.refused_unless_known(shard_map, self._clusters)
            try:
                await self._run(move)
                return
            except AttemptSuperseded:
                raise
            except (ServiceError, LeaseLost) as error:
                failure = error if isinstance(error, ServiceError) else None
                log.info("move %s has to be taken up again: %s", move_id, error)
                await self._thaw(move_id)
            await self._sleep(RETRY_S * (attempt + 1))
        raise Unavailable(
            f"move {move_id} cannot be finished now ({failure}); "
            "`homeport store move-shards --resume` takes it up again"
        )

    async def _thaw(self, move_id: str) -> None:
        """Nobody waits for a move that failed; where this fails too, servers do it."""
        try:
            await map_changes.thaw(self._control, move_id)
        except ServiceError as error:
            log.info("cannot thaw move %s: %s", move_id, error)

    async def _run(self, move: ShardMove) -> None:
        source, target = self._clusters[move.source], self._clusters[move.target]
        lease = await target.lease_grant(self._lease_s)
        attempt = MoveAttempt(self._control, source, target, move, lease=lease)
        stage = await attempt.take_over()
        self._on_progress(move, stage.value)
        if stage in (ShardMoveStage.COPYING, ShardMoveStage.FROZEN):
            if stage is ShardMoveStage.FROZEN:
                await map_changes.thaw(self._control, move.id)
            await self._copy_and_switch(attempt, source, move)
        else:
            await attempt.open()
        self._on_progress(move, ShardMoveStage.CLEARING.value)
        await attempt.clear()
        self._on_progress(move, "done")

    async def _copy_and_switch(self, attempt: MoveAttempt, source: Store, move: ShardMove) -> None:
        copy = await attempt.begin_copying()
        now = await source.range(keys.SHARD_EPOCH, limit=1)
        feed = ChangeFeed(source, now.revision, attempt.keys.concerns)
        following = asyncio.create_task(feed.run(), name="change feed of a shard move")
        try:
            await copy.copy_everything()
            for _ in range(ROUNDS):
                changed = feed.drain()
                await copy.copy(changed)
                if len(changed) <= FEW:
                    break
            self._on_progress(move, ShardMoveStage.FROZEN.value)
            began = self._clock()
            last = await attempt.freeze()
            await feed.wait_for(last, timeout_s=DRAIN_S)
            await copy.copy(feed.drain())
            await attempt.switch(copy)
            await attempt.open()
            self.frozen_s = max(self.frozen_s, self._clock() - began)
        finally:
            self.copied += copy.copied
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _check_sessions(self, source: str, target: str) -> None:
        """Raises Refused where a server that serves the source does not know the target, or
        where one still keeps everything in one store."""
        control = (await range_all(self._control, keys.SESSIONS, keys_only=True)).items
        for pair in control:
            who = name_in(pair.key, keys.SESSIONS)
            if who is not None and not keys.cluster_of(who):
                raise Refused(
                    f"server {who} keeps all assignments in one store; stop it, and start it "
                    "with --assignment-stores"
                )
        at_source, at_target = [
            {
                who.partition(".")[0]
                for pair in (
                    await range_all(self._clusters[name], keys.SESSIONS, keys_only=True)
                ).items
                if (who := name_in(pair.key, keys.SESSIONS)) and keys.cluster_of(who) == name
            }
            for name in (source, target)
        ]
        unknown = sorted(at_source - at_target)
        if unknown:
            raise Refused(
                f"server {unknown[0]} has no session in cluster {target}; name it in every "
                "server's --assignment-stores first"
            )

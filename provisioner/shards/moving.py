"""MoveRun: the steps of one move of shards, each safe to be stopped in and taken over.

Three rules carry it (docs/ledger.md argues them):

- The map names the mover's attempt. Whoever takes a move over, or goes on after an error,
  raises the attempt in the map first, and then takes the licence in the cluster it writes
  to. Every copy, and every deletion of one, compares that licence; it is ended before the
  map says that the copies count, or that none is left. So nothing a mover sent earlier can
  land later.
- Before the copies are final the map says `frozen` and then the epoch at the source is
  raised. Every write there compares the epoch, so none that was decided by an older map lands.
- The map says who owns a shard. It changes by compare-and-swap from `frozen`, so a shard that
  was thawed meanwhile is not switched.

Only awaits stores, so that tests can put any order and delay between any two steps.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Sequence

from control_plane import faultpoints, keys
from control_plane.errors import Conflict, NotFound
from control_plane.store.port import (
    Compare,
    Delete,
    Get,
    KeyValue,
    Operation,
    OutcomeUnknown,
    Put,
    Store,
    Txn,
    TxnResult,
    unchanged,
)
from provisioner.shards import map_changes
from provisioner.shards.client_keys import client_of, hold_of
from provisioner.shards.map_changes import ATTEMPTS
from provisioner.shards.shard_map import (
    ShardMap,
    ShardMove,
    ShardMoveStage,
    shard_of,
)

log = logging.getLogger(__name__)

CLIENTS = 60  # copied in one transaction: two keys each
PAGE = 1000
_KEPT = (keys.ASSIGNMENTS, keys.HOLDS, keys.MOVES)  # what a shard consists of


class TakenOver(Conflict):
    """Another mover works on this move now, or it has been ended. Leave it alone."""

    reason = "TAKEN_OVER"


class MoveRun:
    """One mover's work on one move. `lease`: in the target, for departures. A move's id is
    never used again: attempts begin anew with each move, and so would licences."""

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
        self._licence: Compare | None = None
        self.id = move.id
        self.shards = frozenset(move.shards)
        self.attempt = 0
        self.copied = 0
        self.cleared = 0

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
        """How far the move is. Raises TakenOver."""
        shard_map, _ = await map_changes.read_map(self._control)
        return self._mine(shard_map).stage

    # -- copies ------------------------------------------------------------------------

    async def begin_copying(self) -> None:
        """Takes the licence at the target. Raises TakenOver."""
        await self._take_licence(self._target, (ShardMoveStage.COPYING, ShardMoveStage.FROZEN))

    async def copy_everything(self) -> None:
        """Every client of the shards as it stands at the source, somewhat later or earlier."""
        seen: set[bytes] = set()
        async for keys_found in self._of_shards(self._source, keys.ASSIGNMENTS):
            seen.update(keys_found)
            await self.copy(keys_found)
        async for keys_found in self._of_shards(self._target, keys.ASSIGNMENTS):
            await self.copy([key for key in keys_found if key not in seen])
        async for keys_found in self._of_shards(self._source, keys.MOVES):
            await self.copy(keys_found)
        faultpoints.passing("shards.copied")

    async def copy(self, changed: Iterable[bytes]) -> None:
        """Makes clients (by any key of theirs) at the target what they are at the source."""
        clients: dict[bytes, None] = {}
        departures: list[bytes] = []
        for key in changed:
            if key.startswith(keys.MOVES):
                departures.append(key)
            else:
                clients[client_of(key) or key] = None
        ordered = list(clients)
        for start in range(0, len(ordered), CLIENTS):
            await self._copy_clients(ordered[start : start + CLIENTS])
        for start in range(0, len(departures), CLIENTS):
            await self._copy_departures(departures[start : start + CLIENTS])

    async def _copy_clients(self, clients: Sequence[bytes]) -> None:
        read = Txn(then=[Get(key) for client in clients for key in (client, hold_of(client))])
        at_source = (await self._source.commit(read)).results
        at_target = (await self._target.commit(read)).results
        writes: list[Operation] = []
        for place, client in enumerate(clients):
            home, hold = _state(at_source[2 * place], at_source[2 * place + 1])
            if (home, hold) == _state(at_target[2 * place], at_target[2 * place + 1]):
                continue
            self.copied += 1
            # Both in one transaction: a hold belongs to the assignment written with it.
            writes.append(Put(client, home) if home is not None else Delete(client))
            held = hold_of(client)
            writes.append(Put(held, hold) if hold is not None else Delete(held))
        await self._write(self._target, writes)

    async def _copy_departures(self, departures: Sequence[bytes]) -> None:
        read = Txn(then=[Get(key) for key in departures])
        found = (await self._source.commit(read)).results
        await self._write(
            self._target,
            [
                Put(key, pair[0].value, self._lease) if pair else Delete(key)
                for key, pair in zip(departures, found, strict=True)
            ],
        )

    # -- the turn ----------------------------------------------------------------------

    async def freeze(self) -> int:
        """Nobody writes these shards' clients any more; the source's revision by which the
        last write has happened. Raises TakenOver."""

        def frozen(before: ShardMap) -> ShardMap:
            if self._mine(before).stage is ShardMoveStage.FROZEN:
                return before
            return before.frozen(self.id)

        after = await map_changes.change_map(self._control, frozen)
        faultpoints.passing("shards.frozen")
        revision = await map_changes.raise_epoch(self._source, after.version)
        faultpoints.passing("shards.fenced")
        return revision

    async def switch(self) -> None:
        """The target owns the shards. Every copy has been made. Raises TakenOver; Conflict
        when the shards were thawed meanwhile, and then changes must be copied again."""
        await self._end_licence(self._target)
        faultpoints.passing("shards.closed")

        def switched(before: ShardMap) -> ShardMap:
            if self._mine(before).stage is ShardMoveStage.SWITCHED:
                return before
            return before.switched(self.id)

        await map_changes.change_map(self._control, switched)
        faultpoints.passing("shards.switched")

    async def open(self) -> None:
        """The target is written to. Raises TakenOver."""
        await map_changes.open_target(self._control, self._source, self.id, check=self._mine)
        faultpoints.passing("shards.opened")

    async def clear(self) -> None:
        """Deletes what is left at the source. Raises TakenOver."""
        await self._take_licence(self._source, (ShardMoveStage.CLEARING,))
        for prefix in _KEPT:
            async for keys_found in self._of_shards(self._source, prefix):
                self.cleared += len(keys_found)
                for start in range(0, len(keys_found), 2 * CLIENTS):
                    gone = keys_found[start : start + 2 * CLIENTS]
                    await self._write(self._source, [Delete(key) for key in gone])
        faultpoints.passing("shards.cleared")
        await self._end_licence(self._source)

        def finished(before: ShardMap) -> ShardMap:
            self._mine(before)
            return before.finished(self.id)

        try:
            await map_changes.change_map(self._control, finished)
        except NotFound:
            return  # ours, of an unknown outcome, or somebody else found nothing left either
        faultpoints.passing("shards.finished")

    # -- licences ----------------------------------------------------------------------

    async def _take_licence(self, store: Store, stages: Sequence[ShardMoveStage]) -> None:
        """Ends every earlier mover's, and makes sure that the map still asks for ours."""
        key = keys.licence(self.id)
        for _ in range(ATTEMPTS):
            pair = await store.get(key)
            if pair is not None and int(pair.value) > self.attempt:
                raise TakenOver(f"move {self.id} was taken over by another mover")
            revision = pair.mod_revision if pair else 0
            try:
                result = await store.commit(
                    Txn(
                        compares=[unchanged(key, revision)],
                        then=[Put(key, b"%d" % self.attempt)],
                    )
                )
            except OutcomeUnknown:
                continue
            if result.succeeded:
                break
        else:
            raise Conflict(f"the licence of move {self.id} keeps changing; try again")
        stage = await self.stage()
        if stage not in stages:
            raise TakenOver(f"move {self.id} is {stage.value} now")
        self._licence = unchanged(key, result.revision)
        faultpoints.passing("shards.licensed")

    async def _end_licence(self, store: Store) -> None:
        """Whatever was sent under it and has not landed never will."""
        assert self._licence is not None
        key = keys.licence(self.id)
        try:
            result = await store.commit(Txn(compares=[self._licence], then=[Delete(key)]))
            ended = result.succeeded
        except OutcomeUnknown:
            ended = await store.get(key) is None
        if not ended:
            raise Conflict(f"the licence of move {self.id} is not what it was")

    async def _write(self, store: Store, writes: Sequence[Operation]) -> None:
        if not writes:
            return
        assert self._licence is not None
        result: TxnResult = await store.commit(Txn(compares=[self._licence], then=writes))
        if not result.succeeded:
            raise TakenOver(f"move {self.id} was taken over by another mover")

    def _mine(self, shard_map: ShardMap) -> ShardMove:
        """The move, if this attempt is still the one that counts."""
        try:
            move = shard_map.move(self.id)
        except NotFound:
            raise TakenOver(f"move {self.id} has ended") from None
        if move.attempt != self.attempt:
            raise TakenOver(f"move {self.id} was taken over by another mover")
        return move

    async def _of_shards(self, store: Store, prefix: bytes) -> AsyncIterator[list[bytes]]:
        """Keys below `prefix` whose client is in these shards, page by page."""
        after: bytes | None = None
        while True:
            page = await store.range(prefix, start_after=after, limit=PAGE, keys_only=True)
            found = [pair.key for pair in page.items if self.concerns(pair.key)]
            if found:
                yield found
            if not page.more:
                return
            after = page.items[-1].key

    def concerns(self, key: bytes) -> bool:
        """Whether a key belongs to a client of these shards."""
        client = client_of(key)
        return client is not None and shard_of(client) in self.shards


def _state(
    homes: Sequence[KeyValue], holds: Sequence[KeyValue]
) -> tuple[bytes | None, bytes | None]:
    """A client's assignment, and its hold if it belongs to that assignment: one transaction
    wrote both. Any other hold is void."""
    if not homes:
        return None, None
    held = holds and holds[0].mod_revision == homes[0].mod_revision
    return homes[0].value, holds[0].value if held else None

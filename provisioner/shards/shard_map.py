"""ShardMap: which assignment cluster owns which of 1,024 shards, and which are on their way.

Pure values and transitions; each transition gives a map whose version is one higher, or
raises. The map is one key with the control data, written by compare-and-swap alone. A client
belongs to a shard for ever (a hash of tenant and client); a shard belongs to one cluster and
moves as a whole:

    copying    source owns, reads and writes
    frozen     source owns; nobody writes
    switched   target owns; nobody writes, until nobody can read at the source any more
    clearing   target owns, reads and writes; copies at the source are being deleted

The shards go to clusters by rendezvous hashing (Thaler and Ravishankar, 1998), with no
cluster taking more than its even share, so a cluster that is added gets its share and nobody
else's shards move.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from hashlib import blake2b

import msgspec

from control_plane import keys
from control_plane.errors import Conflict, InvalidInput, NotFound, Refused
from control_plane.printable import number_of, quoted
from control_plane.store.port import KeyValue

SHARDS = 1024
NOBODY = ""
_CLIENT_AT = len(keys.ASSIGNMENTS)


def shard_of(assignment_key: bytes) -> int:
    """The shard of the client whose assignment this key is; never changes."""
    digest = blake2b(assignment_key[_CLIENT_AT:], digest_size=2).digest()
    return (digest[0] << 8 | digest[1]) % SHARDS


class ShardMoveStage(Enum):
    """How far a move has come; see the module."""

    COPYING = "copying"
    FROZEN = "frozen"
    SWITCHED = "switched"
    CLEARING = "clearing"


_WRITABLE = (ShardMoveStage.COPYING, ShardMoveStage.CLEARING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardMove:
    """Shards that go from one cluster to another together."""

    id: str
    shards: tuple[int, ...]
    source: str
    target: str
    stage: ShardMoveStage = ShardMoveStage.COPYING
    attempt: int = 0  # grows with every mover that takes it over


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardMap:
    """Owners by shard, as places in `clusters`, and the moves under way."""

    version: int
    clusters: tuple[str, ...]  # a cluster keeps its place for ever
    owners: tuple[int, ...]
    moves: tuple[ShardMove, ...] = field(default=())

    def owner(self, shard: int) -> str:
        """The cluster where its clients are read."""
        return self.clusters[self.owners[shard]]

    def writers(self) -> tuple[str, ...]:
        """By shard: the cluster where its clients are written, or NOBODY for now."""
        frozen = {s for m in self.moves if m.stage not in _WRITABLE for s in m.shards}
        return tuple(NOBODY if s in frozen else self.owner(s) for s in range(SHARDS))

    def readers(self) -> tuple[str, ...]:
        """By shard: the cluster where its clients are read."""
        return tuple(self.clusters[owner] for owner in self.owners)

    def shards_of(self, cluster: str) -> tuple[int, ...]:
        """What a cluster owns."""
        place = self.place(cluster)
        return tuple(shard for shard in range(SHARDS) if self.owners[shard] == place)

    def place(self, cluster: str) -> int:
        """A cluster's place. Raises NotFound."""
        if cluster not in self.clusters:
            raise NotFound(
                f"there is no assignment cluster {quoted(cluster)}; there are "
                f"{', '.join(self.clusters)}"
            )
        return self.clusters.index(cluster)

    def move(self, move_id: str) -> ShardMove:
        """A move under way. Raises NotFound."""
        for move in self.moves:
            if move.id == move_id:
                return move
        raise NotFound(f"there is no move {move_id} of shards under way")

    # -- transitions -------------------------------------------------------------------

    def with_clusters(self, names: Iterable[str]) -> ShardMap:
        """Clusters that were added own nothing yet."""
        new = tuple(name for name in names if name not in self.clusters)
        return replace(self, version=self.version + 1, clusters=(*self.clusters, *new))

    def begin(self, move_id: str, shards: Sequence[int], source: str, target: str) -> ShardMap:
        """Shards begin to move. Raises NotFound, Refused."""
        here, there = self.place(source), self.place(target)
        if here == there:
            raise Refused(f"{source} has these shards already")
        moving = {shard for move in self.moves for shard in move.shards}
        for shard in shards:
            if self.owners[shard] != here:
                raise Refused(f"shard {shard} is not at {source} but at {self.owner(shard)}")
            if shard in moving:
                raise Refused(f"shard {shard} is being moved already")
        if not shards:
            raise Refused("no shards to move")
        move = ShardMove(id=move_id, shards=tuple(shards), source=source, target=target)
        return replace(self, version=self.version + 1, moves=(*self.moves, move))

    def taken_over(self, move_id: str) -> ShardMap:
        """Another mover, or the first, works on it from now on; any before must not."""
        move = self.move(move_id)
        return self._with(replace(move, attempt=move.attempt + 1))

    def frozen(self, move_id: str) -> ShardMap:
        """Nobody writes the shards' clients any more."""
        return self._staged(move_id, ShardMoveStage.COPYING, ShardMoveStage.FROZEN)

    def thawed(self, move_id: str) -> ShardMap:
        """The source writes again: the move did not come to its end in time."""
        return self._staged(move_id, ShardMoveStage.FROZEN, ShardMoveStage.COPYING)

    def switched(self, move_id: str) -> ShardMap:
        """The target owns the shards."""
        after = self._staged(move_id, ShardMoveStage.FROZEN, ShardMoveStage.SWITCHED)
        move = after.move(move_id)
        there, owners = self.place(move.target), list(self.owners)
        for shard in move.shards:
            owners[shard] = there
        return replace(after, owners=tuple(owners))

    def opened(self, move_id: str) -> ShardMap:
        """The target writes: nobody can read at the source any more."""
        return self._staged(move_id, ShardMoveStage.SWITCHED, ShardMoveStage.CLEARING)

    def finished(self, move_id: str) -> ShardMap:
        """The source holds no copies any more."""
        move = self.move(move_id)
        if move.stage is not ShardMoveStage.CLEARING:
            raise Conflict(f"move {move_id} is {move.stage.value}, so it is not finished")
        return replace(
            self,
            version=self.version + 1,
            moves=tuple(one for one in self.moves if one.id != move_id),
        )

    def _staged(self, move_id: str, expected: ShardMoveStage, stage: ShardMoveStage) -> ShardMap:
        move = self.move(move_id)
        if move.stage is not expected:
            raise Conflict(f"move {move_id} is {move.stage.value}, not {expected.value}")
        return self._with(replace(move, stage=stage))

    def _with(self, move: ShardMove) -> ShardMap:
        moves = tuple(move if one.id == move.id else one for one in self.moves)
        return replace(self, version=self.version + 1, moves=moves)


def _rank(shard: int, cluster: str) -> bytes:
    return blake2b(b"%d/%b" % (shard, cluster.encode()), digest_size=8).digest()


def first_map(clusters: Sequence[str], *, all_at: str = "") -> ShardMap:
    """The map a deployment begins with: shards spread evenly, or all at one cluster."""
    if not clusters:
        raise InvalidInput("assignment_stores", "name at least one assignment store")
    if all_at:
        owners = [clusters.index(all_at)] * SHARDS
    else:
        left = [len(range(place, SHARDS, len(clusters))) for place in range(len(clusters))]
        owners = []
        for shard in range(SHARDS):
            open_to = [place for place in range(len(clusters)) if left[place]]
            best = max(open_to, key=lambda place: _rank(shard, clusters[place]))
            left[best] -= 1
            owners.append(best)
    return ShardMap(version=1, clusters=tuple(clusters), owners=tuple(owners))


def plan_moves(
    shard_map: ShardMap, target: str, *, source: str = "", count: int = 0
) -> dict[str, tuple[int, ...]]:
    """By source: the shards that should go to `target`, those first that rendezvous hashing
    would put there. count 0: as many as give it an even share. source: only from there;
    otherwise from whoever has most. Raises NotFound, Refused."""
    shard_map.place(target)
    moving = {shard for move in shard_map.moves for shard in move.shards}
    sources = [source] if source else [name for name in shard_map.clusters if name != target]
    if source == target:
        raise Refused(f"{target} cannot move shards to itself; name another cluster")
    offers = {
        name: sorted(
            (shard for shard in shard_map.shards_of(name) if shard not in moving),
            key=lambda shard: _rank(shard, target),
        )
        for name in sources
    }
    coming = sum(len(move.shards) for move in shard_map.moves if move.target == target
                 and move.stage in (ShardMoveStage.COPYING, ShardMoveStage.FROZEN))  # fmt: skip
    has = len(shard_map.shards_of(target)) + coming
    even = SHARDS // len(shard_map.clusters)
    wanted = count or max(0, even - has)
    there = sum(len(offered) for offered in offers.values())
    if count > there:
        raise Refused(f"only {number_of(there, 'shard')} can be moved to {target}, not {count:,}")
    chosen: dict[str, list[int]] = {name: [] for name in sources}
    for _ in range(min(wanted, there)):
        fullest = max(sources, key=lambda name: len(offers[name]))
        chosen[fullest].append(offers[fullest].pop())
    return {name: tuple(shards) for name, shards in chosen.items() if shards}


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ShardMap)
encode_map = _encoder.encode


def decode_map(pair: KeyValue) -> ShardMap:
    """Raises ValueError on a damaged record."""
    shard_map = _decoder.decode(pair.value)
    owners = shard_map.owners
    if len(owners) != SHARDS or min(owners) < 0 or max(owners) >= len(shard_map.clusters):
        raise ValueError(f"the shard map at revision {pair.mod_revision} is damaged")
    return shard_map

"""A simulated fleet of several clusters: a ledger in one, clients in two others, and nothing
that happens in two of them at once.

Everybody is a coroutine that awaits stores: provisioners (commit queue and reserver), an
operator who changes capacity, reclaimers, movers of shards that die and are followed by others,
and those who thaw what a dead mover left frozen. The transactions, the reclaiming and the move
are the real ones; only time and the network are made up. A request may take any time, its
answer may get lost, its sender may be killed or be a zombie, and what it sent may still arrive.

After every transaction the judge looks at all clusters at once, which nobody in the fleet can.
`bug` names a mistake to make everywhere, to see that the judge notices. An `eventful` fleet
has many movers in a hurry, whose messages get lost and turn up again; in a `short_lived` one
provisioners do not live long.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Coroutine
from typing import Any

from control_plane import keys
from control_plane.errors import ServiceError
from control_plane.fleet.capacity import CapacityRecord, encode_capacity
from control_plane.store.damaged import DamagedKeys
from control_plane.store.port import (
    Delete,
    KeyValue,
    OutcomeUnknown,
    Put,
    StoreUnavailable,
    Txn,
)
from provisioner.ledger.sharded.reclaim import reclaim_expired_sessions
from provisioner.shards.shard_map import (
    ShardMap,
    ShardMoveStage,
    decode_map,
    encode_map,
    first_map,
    shard_of,
)
from tests.provisioner.ledger.sharded.invariants import clients_at, judge, truth
from tests.provisioner.ledger.sharded.movers_and_operators import (
    mover,
    open_or_thaw,
    operate,
    reclaim_wrongly,
)
from tests.provisioner.ledger.sharded.scenario import CLIENTS, CLUSTERS, GROUPS, UNITS
from tests.provisioner.ledger.sharded.simulated_cluster import (
    Actor,
    RemoteCluster,
    Request,
    SimulatedCluster,
)
from tests.provisioner.ledger.sharded.simulated_provisioner import SessionLost, SimulatedProvisioner

log = logging.getLogger("tests.simulated_fleet")


class SimulatedFleet:
    """Steps at random; raises Violation when a promise breaks."""

    def __init__(
        self, seed: int, *, bug: str = "", eventful: bool = False, short_lived: bool = False
    ) -> None:
        self.rng = random.Random(seed)
        self.bug = ""
        self.control = SimulatedCluster("control", self)
        self.clusters = {name: SimulatedCluster(name, self) for name in CLUSTERS}
        self.pause = Request(self.control, lambda: None, False)
        self.done: dict[str, int] = dict.fromkeys(
            ("assigned", "released", "refused", "read", "absorbed", "moved", "thawed", "taken"), 0
        )
        self._map_read = first_map(CLUSTERS)
        self._pair_read: KeyValue | None = None
        self.control.apply(Txn(then=[Put(keys.SHARD_MAP, encode_map(self._map_read))]))
        self.limits: dict[str, list[int]] = {}
        for unit in UNITS:
            record = CapacityRecord(capacity=self.rng.randint(2, 9))
            self.limits[unit] = [record.capacity]
            self.control.apply(Txn(then=[Put(keys.capacity(unit), encode_capacity(record))]))
        self.bug = bug
        self.started = 0
        self.begun = 0  # moves
        self.provisioners: list[SimulatedProvisioner] = []
        self.actors: list[Actor] = []
        self.delayed: list[Request] = []
        self.late_moves: list[Request] = []  # delayed of movers, in an eventful fleet
        self.eventful = eventful
        self.short_lived = short_lived
        self.stalled: dict[Actor, int] = {}  # what they wait for is answered so much later
        for cluster in CLUSTERS:
            for _ in range(2):
                self.start_provisioner(cluster)
        self.changing: set[str] = set()
        usual = {
            self.advance: 40.0,
            self.arrive: 2.0,
            self.deliver_map: 3.0,
            self.expire_session: 0.15,
            self.reclaim: 0.4,
            self.change_capacity: 0.2,
            self.move_shards: 0.25,
            self.kill_mover: 0.06,
            self.thaw: 0.12,
        }
        # No two fleets are alike, so that what is rare in one is common in another (swarm
        # testing: Groce and others, 2012).
        self.actions = list(usual)
        self.weights = [weight * self.rng.choice((0.2, 1.0, 3.0)) for weight in usual.values()]
        self.weights[0] = usual[self.advance]
        self.loss = self.rng.choice((0.02, 0.05, 0.15))
        self.haste = self.rng.choice((1, 1, 4))  # of movers, among all
        if eventful:
            self.loss, self.haste = 0.06, 2
            for action, weight in (
                (self.move_shards, 0.1),
                (self.arrive, 6.0),
                (self.expire_session, 0.0),
            ):
                self.weights[self.actions.index(action)] = weight
        if short_lived:
            self.loss = 0.15
            for action, weight in (
                (self.expire_session, 1.0),
                (self.reclaim, 3.0),
                (self.move_shards, 0.05),
            ):
                self.weights[self.actions.index(action)] = weight

    # -- stepping ----------------------------------------------------------------------

    def step(self) -> None:
        action = self.rng.choices(self.actions, self.weights)[0]
        action()

    def advance(self) -> None:
        """One request is answered, or its answer lost."""
        if not self.actors:
            return
        actor = self.rng.choice(self.actors)
        for _ in range(self.haste - 1):
            if not actor.name.startswith("mover"):
                actor = self.rng.choice(self.actors)
        if self.short_lived and self.is_stalled(actor):
            return
        request, chance = actor.request, self.rng.random()
        if request is None or request is self.pause:
            self.resume(actor, None)
        elif chance < self.loss:
            if request.writes:
                self.delay(actor, request)
                self.resume(actor, OutcomeUnknown("lost"))
            else:
                self.resume(actor, StoreUnavailable("lost"))
        elif chance < 2 * self.loss and request.writes:
            self.perform(request)
            self.resume(actor, OutcomeUnknown("applied, and lost"))
        else:
            self.resume(actor, self.perform(request))

    def is_stalled(self, actor: Actor) -> bool:
        """Whether an actor is passed over: now and then one is, until its session expires."""
        often = 0.2 if actor.name == "reclaimer" else 0.04
        if actor not in self.stalled and self.rng.random() < often:
            self.stalled[actor] = self.rng.randint(5, 60)
        left = self.stalled.get(actor, 0)
        if left > 1:
            self.stalled[actor] = left - 1
        else:
            self.stalled.pop(actor, None)
        return left > 0

    def resume(self, actor: Actor, answer: Any) -> None:
        try:
            if isinstance(answer, Exception):
                actor.request = actor.work.throw(answer)
            else:
                actor.request = actor.work.send(answer)
        except (StopIteration, SessionLost, ServiceError):
            self.actors.remove(actor)

    def spawn(self, name: str, work: Coroutine[Request, Any, None]) -> Actor:
        actor = Actor(name, work)
        self.actors.append(actor)
        self.resume(actor, None)
        return actor

    def perform(self, request: Request) -> Any:
        before, counts = truth(self), clients_at(self)
        answer = request.call()
        if request.check is not None:
            request.check(answer)
        judge(self, request, before, counts)
        return answer

    def delay(self, actor: Actor, request: Request) -> None:
        """It may arrive yet. What a mover sent is told apart where there are many of them,
        because it does most harm when it is late by a whole move."""
        of_mover = self.eventful and actor.name.startswith("mover")
        (self.late_moves if of_mover else self.delayed).append(request)

    def arrive(self) -> None:
        """Something given up long ago arrives; what movers sent, when a shard has just changed
        hands and its clients are written where it lands."""
        if self.late_moves and any(one.stage is ShardMoveStage.SWITCHED for one in self.map.moves):
            self.perform(self.late_moves.pop(self.rng.randrange(len(self.late_moves))))
        elif self.delayed:
            latest = min(len(self.delayed), 4)
            self.perform(self.delayed.pop(-self.rng.randint(1, latest)))

    # -- the judge ---------------------------------------------------------------------

    @property
    def map(self) -> ShardMap:
        """As it stands; read anew when it was written."""
        pair = self.control.pairs[keys.SHARD_MAP]
        if pair is not self._pair_read:
            self._pair_read, self._map_read = pair, decode_map(pair)
        return self._map_read

    # -- what happens ------------------------------------------------------------------

    def start_provisioner(self, cluster: str) -> None:
        self.started += 1
        name = f"p{self.started}@{cluster}"
        result = self.clusters[cluster].apply(Txn(then=[Put(keys.session(name), b"")]))
        provisioner = SimulatedProvisioner(self, name, cluster, result.revision)
        self.provisioners.append(provisioner)
        self.spawn(name, provisioner.commit_queue())
        self.spawn(name, provisioner.reserver())

    def expire_session(self) -> None:
        """A lease runs out; its owner goes on for as long as it does not know."""
        provisioner = self.provisioners.pop(self.rng.randrange(len(self.provisioners)))
        provisioner.here.cluster.apply(Txn(then=[Delete(provisioner.session_key)]))
        self.start_provisioner(provisioner.cluster)

    def deliver_map(self) -> None:
        self.rng.choice(self.provisioners).accept_map(self.map)

    def reclaim(self) -> None:
        cluster = self.rng.choice(CLUSTERS)
        here = RemoteCluster(self.clusters[cluster])

        async def reclaiming() -> None:
            control = RemoteCluster(self.control)
            if self.bug == "absorbed-twice":
                await reclaim_wrongly(control, here, cluster)
            else:
                self.done["absorbed"] += await reclaim_expired_sessions(
                    control, here, cluster, DamagedKeys(log)
                )

        self.spawn("reclaimer", reclaiming())

    def change_capacity(self) -> None:
        unit = self.rng.choice(UNITS)
        if unit not in self.changing:
            self.changing.add(unit)
            self.spawn("operator", operate(self, unit))

    def move_shards(self) -> None:
        """Begins a move, or takes one over whether or not somebody still works on it."""
        self.move_group(self.rng.randrange(GROUPS))

    def move_group(self, group: int) -> None:
        """The same, of these shards."""
        under_way = [one.id for one in self.map.moves if one.id.startswith(f"m{group}.")]
        if under_way:
            move_id = under_way[0]
        else:
            self.begun += 1
            move_id = f"m{group}.{self.begun}"  # never used before, as the real mover's
            shard_map = self.map
            shards = sorted({shard_of(client) for client in CLIENTS})[group::GROUPS]
            owners = {shard_map.owner(shard) for shard in shards}
            source = sorted(owners)[0] if len(owners) > 1 else owners.pop()
            target = next(name for name in CLUSTERS if name != source)
            shards = [shard for shard in shards if shard_map.owner(shard) == source]

            def begin() -> Any:
                begun = self.map.begin(move_id, shards, source, target)
                return self.control.apply(Txn(then=[Put(keys.SHARD_MAP, encode_map(begun))]))

            self.perform(Request(self.control, begin, True))
        if sum(actor.name == f"mover {move_id}" for actor in self.actors) < 3:
            self.spawn(f"mover {move_id}", mover(self, move_id))

    def kill_mover(self) -> None:
        """What it sent last may still arrive."""
        movers = [actor for actor in self.actors if actor.name.startswith("mover")]
        if movers:
            victim = self.rng.choice(movers)
            self.actors.remove(victim)
            if victim.request is not None and victim.request.writes:
                self.delay(victim, victim.request)
            victim.work.close()

    def thaw(self) -> None:
        """Somebody finds shards that nobody could write for too long."""
        self.spawn("thawing", open_or_thaw(self))

    def close(self) -> None:
        """Ends every coroutine."""
        for actor in self.actors:
            actor.work.close()

"""A simulated world of several clusters: a ledger in one, clients in two others, and nothing
that happens in two of them at once.

Everybody is a coroutine that awaits stores: provisioners (lane and granter), an operator who
changes capacity, undertakers, movers of shards that die and are followed by others, and those
who thaw what a dead mover left frozen. The transactions, the burial and the move are the real
ones; only time and the network are made up. A request may take any time, its answer may get
lost, its sender may be killed or be a zombie, and what it sent may still arrive.

After every transaction the judge looks at all clusters at once, which nobody in the world can.
`bug` names a mistake to make everywhere, to see that the judge notices. An `eventful` world
has many movers in a hurry, whose messages get lost and turn up again; in a `deadly` one
provisioners do not live long.
"""

from __future__ import annotations

import random
import types
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass, replace
from typing import Any

from control_plane import keys
from control_plane.errors import Conflict, HomeportError, NotFound
from control_plane.store.port import (
    Compare,
    Delete,
    Get,
    KeyValue,
    OutcomeUnknown,
    Page,
    Put,
    StoreUnavailable,
    Target,
    Txn,
    TxnResult,
    unchanged,
)
from deployment_units.fleet.capacity import CapacityRecord, decode_capacity, encode_capacity
from provisioner.ledger import protocol, spanning
from provisioner.ledger.account import Account, block_size
from provisioner.ledger.burial import bury_the_dead
from provisioner.ledger.holds import hold
from provisioner.shards import moving
from provisioner.shards.moving import MoveRun, TakenOver
from provisioner.shards.shard_map import ShardMap, Stage, decode_map, first_map, shard_of
from provisioner.shards.shard_map import encode_map as encoded

UNITS = ("near", "far")
CLUSTERS = ("east", "west")
CLIENTS = [keys.assignment("t", f"c{n}") for n in range(20)]
GROUPS = 3  # of shards that move together

BUGS = {
    "session": "batches do not compare their session",
    "gate": "batches do not compare the gate",
    "epoch": "batches do not compare the epoch of the map",
    "usage": "nobody compares usage",
    "licence": "copies do not compare their mover's licence",
    "uncertain": "capacity is given back while a batch may still arrive",
    "absorbed-twice": "the dead are absorbed without looking whether they stand in the ledger",
    "older-ledger": "a gate is adopted with a ledger read earlier, whatever it says",
    "no-freeze": "a shard is switched without anybody being kept from writing to it",
    "no-attempt": "a mover goes on without raising its attempt",
    "cleared-early": "the source is cleared while old maps may still be read by",
}


class Violation(AssertionError):
    """A promise was broken."""


class TinyCluster:
    """One store's meaning, applied one transaction at a time."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.revision = 1
        self.pairs: dict[bytes, KeyValue] = {}
        self.log: list[tuple[int, bytes]] = []
        self._world = world

    def apply(self, asked: Txn) -> TxnResult:
        txn = asked.spelled_out()
        held = all(self._holds(one) for one in txn.compares)
        operations = txn.then if held else txn.otherwise
        if any(not isinstance(one, Get) for one in operations):
            self.revision += 1
        results = []
        for operation in operations:
            found: tuple[KeyValue, ...] = ()
            if isinstance(operation, Get):
                pair = self.pairs.get(operation.key)
                found = (pair,) if pair else ()
            elif isinstance(operation, Put):
                old = self.pairs.get(operation.key)
                self.pairs[operation.key] = KeyValue(
                    operation.key,
                    operation.value,
                    old.create_revision if old else self.revision,
                    self.revision,
                    old.version + 1 if old else 1,
                )
                self.log.append((self.revision, operation.key))
            elif self.pairs.pop(operation.key, None):
                self.log.append((self.revision, operation.key))
            results.append(found)
        return TxnResult(succeeded=held, revision=self.revision, results=results)

    def range(self, prefix: bytes, start_after: bytes | None, limit: int) -> Page:
        found = sorted(key for key in self.pairs if key.startswith(prefix))
        found = [key for key in found if start_after is None or key > start_after]
        cut = found[:limit] if limit else found
        return Page(
            items=[self.pairs[key] for key in cut],
            revision=self.revision,
            more=len(cut) < len(found),
        )

    def _holds(self, one: Compare) -> bool:
        bug = self._world.bug
        if bug == "session" and one.key.startswith(keys.SESSIONS) and one.operand:
            return True
        if bug == "gate" and one.key.startswith(keys.GATES):
            return True
        if bug == "epoch" and one.key == keys.SHARD_EPOCH:
            return True
        if bug == "usage" and one.key.startswith(keys.USAGE):
            return True
        if bug == "licence" and one.key.startswith(keys.LICENCES):
            return True
        pair = self.pairs.get(one.key)
        if one.target is Target.VALUE:
            return pair is not None and pair.value == one.operand
        return (getattr(pair, one.target.value) if pair else 0) == one.operand


@dataclass
class Request:
    """Something asked of a cluster. `check` sees the answer when it comes about, which its
    sender may never hear."""

    cluster: TinyCluster
    call: Callable[[], Any]
    writes: bool
    check: Callable[[Any], None] | None = None


@types.coroutine
def _ask(request: Request) -> Generator[Request, Any, Any]:
    return (yield request)


class Remote:
    """A cluster as its users see it: the store port, as much as they need of it."""

    def __init__(self, cluster: TinyCluster) -> None:
        self.cluster = cluster

    async def commit(
        self, txn: Txn, *, timeout_s: float | None = None, check: Any = None
    ) -> TxnResult:
        writes = bool(txn.creates) or any(not isinstance(one, Get) for one in txn.then)
        return await _ask(Request(self.cluster, lambda: self.cluster.apply(txn), writes, check))

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        return await _ask(Request(self.cluster, lambda: self.cluster.pairs.get(key), False))

    async def range(self, prefix: bytes, *, start_after=None, limit=0, **more: Any) -> Page:
        return await _ask(
            Request(self.cluster, lambda: self.cluster.range(prefix, start_after, limit), False)
        )


@dataclass(eq=False)
class Actor:
    """A coroutine and what it waits for."""

    name: str
    work: Coroutine[Request, Any, None]
    request: Request | None = None


@dataclass(frozen=True)
class Asked:
    """A claim or a release, as much as a transaction needs of it."""

    key: bytes
    value: bytes = b""
    revision: int = 0
    guards: tuple = ()
    writes: tuple = ()

    def record(self) -> bytes:
        return self.value


class Gone(Exception):
    """A provisioner learned that its session is lost."""


class Mind:
    """One provisioner, of one cluster: what it believes, and how it goes about things."""

    def __init__(self, world: World, name: str, cluster: str, session_revision: int) -> None:
        self.world = world
        self.name = name
        self.here = Remote(world.clusters[cluster])
        self.control = Remote(world.control)
        self.cluster = cluster
        self.session_key = keys.session(name)
        self.session = protocol.stands(self.session_key, session_revision)
        self.accounts = {unit: Account(unit=unit) for unit in UNITS}
        self.map = world.map
        self.epoch = 0  # revision of E as adopted
        self.busy = False
        self.old_ledger: TxnResult | None = None

    async def lane(self) -> None:
        rng = self.world.rng
        await self.patiently(self.refresh)
        while True:
            self.busy = True
            doing = rng.choices(
                [
                    self.assign,
                    self.release,
                    self.look_up,
                    self.refresh,
                    self.give_back,
                    self.enlist,
                ],
                [8, 5, 3, 2, 3, 2],
            )[0]
            await self.patiently(doing)
            self.busy = False
            await _ask(self.world.pause)

    async def granter(self) -> None:
        """Takes slots while the lane is at work, as the real one does."""
        while True:
            await _ask(self.world.pause)
            account = self.accounts[self.world.rng.choice(UNITS)]
            slots = block_size(account.record.free, self.world.rng.randint(1, 3))
            if account.adopted and slots and spanning.registered(self.name, account):
                await self.patiently(lambda a=account, n=slots: self.take(a, n))

    async def patiently(self, doing: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await doing()
                return
            except StoreUnavailable:
                continue

    async def take(self, account: Account, slots: int) -> None:
        await self.write(account, *spanning.take_grant(self.name, account, slots))

    async def write(self, account: Account, record: CapacityRecord, txn: Txn) -> None:
        try:
            result = await self.control.commit(txn)
        except OutcomeUnknown:
            return
        if result.succeeded:
            account.see(record, result.revision, self.name)
        elif result.results and result.results[0]:
            found = result.results[0][0]
            account.see(decode_capacity(found.value), found.mod_revision, self.name)

    async def register(self, account: Account) -> bool:
        if spanning.registered(self.name, account):
            return True
        await self.patiently(self.refresh)
        if spanning.registered(self.name, account) or account.usage or not account.record_revision:
            return spanning.registered(self.name, account)
        await self.write(account, *spanning.register(self.name, account))
        return spanning.registered(self.name, account)

    async def enlist(self) -> None:
        await self.register(self.accounts[self.world.rng.choice(UNITS)])

    async def refresh(self) -> None:
        accounts = [self.accounts[unit] for unit in UNITS]
        if self.world.bug == "older-ledger" and self.old_ledger is None:
            self.old_ledger = await self.control.commit(spanning.look_at_control(UNITS))
        here = await self.here.commit(spanning.look_here(self.session_key, self.name, UNITS))
        if not protocol.session_stands(here, self.session.operand):
            raise Gone
        await self.adopt_epoch(spanning.epoch_seen(here))
        control, self.old_ledger = self.old_ledger, None
        if control is None:
            control = await self.control.commit(spanning.look_at_control(UNITS))
        stale = spanning.adopt(self.name, accounts, here, control)
        if self.world.bug == "older-ledger":
            for account in accounts:
                account.adopted = account.record.open and account.record.consistent
            self.old_ledger = await self.control.commit(spanning.look_at_control(UNITS))
        for gate in stale:
            try:
                await self.here.commit(spanning.mend_gate(gate))
            except OutcomeUnknown:
                continue
        for account in accounts:
            if not account.record.consistent and account.idle and account.record.open:
                await self.give_back_at(account, 0)

    async def adopt_epoch(self, epoch: KeyValue | None) -> None:
        wanted = int(epoch.value) if epoch else 0
        if wanted > self.map.version:
            self.see_map(decode_map(await self.control.get(keys.SHARD_MAP)))
        self.epoch = epoch.mod_revision if epoch else 0

    def see_map(self, shard_map: ShardMap) -> None:
        if shard_map.version > self.map.version:
            self.map = shard_map

    @property
    def also(self) -> list[Compare]:
        return [unchanged(keys.SHARD_EPOCH, self.epoch)]

    async def assign(self) -> None:
        rng, writers = self.world.rng, self.map.writers()
        units = [u for u in UNITS if self.accounts[u].room > 0]
        claims: list[Asked] = []
        net = dict.fromkeys(units, 0)
        for client in rng.sample(CLIENTS, 5):
            if not units or writers[shard_of(client)] != self.cluster:
                continue
            unit = rng.choice(units)
            if self.accounts[unit].room - net[unit] > 0:
                net[unit] += 1
                tenant, name = client[len(keys.ASSIGNMENTS) :].decode().split("/")
                held = hold(tenant, name, unit, until_ms=0)
                writes = (held,) if rng.random() < 0.5 else ()
                value = f"{unit} {self.name} {rng.random()}".encode()
                claims.append(Asked(key=client, value=value, writes=writes))
        net = {unit: count for unit, count in net.items() if count}
        if claims:
            await self.send(claims, [], net)

    async def release(self) -> None:
        writers = self.map.writers()
        homes = [
            pair
            for key, pair in self.here.cluster.pairs.items()
            if key.startswith(keys.ASSIGNMENTS) and writers[shard_of(key)] == self.cluster
        ]
        if not homes:
            return
        home = self.world.rng.choice(homes)
        unit = home.value.decode().split()[0]
        if await self.register(self.accounts[unit]):
            if self.map.writers()[shard_of(home.key)] != self.cluster:
                return
            leaving = Asked(key=home.key, revision=home.mod_revision)
            await self.send([], [leaving], {unit: -1})

    async def send(self, claims: list[Asked], releases: list[Asked], net: dict[str, int]) -> None:
        taken = len(claims) > 0
        changes = [
            (
                self.accounts[u],
                keys.usage(u, self.name),
                keys.gate(u),
                net[u],
                taken,
            )
            for u in net
        ]
        for unit in net if taken else ():
            self.accounts[unit].in_flight = net[unit]
        txn = protocol.assign(self.session, claims, releases, changes, self.also)
        try:
            result = await self.here.commit(txn)
        except OutcomeUnknown:
            result = None
        for unit in net:
            self.accounts[unit].in_flight = 0
        if result is not None and result.succeeded:
            for unit in net:
                self.accounts[unit].usage += net[unit]
                self.accounts[unit].usage_revision = result.revision
                self.world.done["assigned" if taken else "released"] += abs(net[unit])
            return
        self.world.done["refused"] += 1
        await self.patiently(self.refresh)

    async def look_up(self) -> None:
        client = self.world.rng.choice(CLIENTS)
        if self.map.readers()[shard_of(client)] != self.cluster:
            return

        def truly(result: TxnResult) -> None:
            if result.succeeded:
                self.world.done["read"] += 1
                found = result.results[0][0].value if result.results[0] else None
                truth = self.world.truth().get(client, (None, None))[0]
                if found != truth:
                    raise Violation(f"{client!r} is {truth!r} and was read as {found!r}")

        txn = Txn(compares=self.also, then=[Get(client)], otherwise=[Get(keys.SHARD_EPOCH)])
        result = await self.here.commit(txn, check=truly)
        if not result.succeeded:
            await self.patiently(self.refresh)

    async def give_back(self) -> None:
        account = self.accounts[self.world.rng.choice(UNITS)]
        await self.give_back_at(account, self.world.rng.randint(0, 1))

    async def give_back_at(self, account: Account, keep: int) -> None:
        if not spanning.registered(self.name, account) or account.idle <= keep:
            return
        if self.world.bug != "uncertain":
            try:
                result = await self.here.commit(
                    spanning.make_certain(self.session, self.name, account)
                )
            except OutcomeUnknown:
                result = None
            if result is None or not result.succeeded:
                account.adopted = False
                return
            account.usage_revision = result.revision
        if account.idle <= keep:
            return
        record, txn = spanning.give_back(self.name, account, keep)
        account.grant = account.usage + keep
        try:
            result = await self.control.commit(txn)
        except StoreUnavailable:
            account.grant = account.record.grants.get(self.name, 0)
            return
        except OutcomeUnknown:
            return
        if result.succeeded:
            account.see(record, result.revision, self.name)
        elif result.results[0]:
            found = result.results[0][0]
            account.see(decode_capacity(found.value), found.mod_revision, self.name)


@dataclass
class Feed:
    """What changed at a cluster since a revision; the watch of the real mover."""

    cluster: TinyCluster
    at: int
    concerns: Callable[[bytes], bool]

    def take(self) -> list[bytes]:
        found = [key for revision, key in self.cluster.log if revision > self.at]
        self.at = self.cluster.revision
        return [key for key in found if self.concerns(key)]


class World:
    """Steps at random; raises Violation when a promise breaks."""

    def __init__(
        self, seed: int, *, bug: str = "", eventful: bool = False, deadly: bool = False
    ) -> None:
        self.rng = random.Random(seed)
        self.bug = ""
        self.control = TinyCluster("control", self)
        self.clusters = {name: TinyCluster(name, self) for name in CLUSTERS}
        self.pause = Request(self.control, lambda: None, False)
        self.done: dict[str, int] = dict.fromkeys(
            ("assigned", "released", "refused", "read", "absorbed", "moved", "thawed", "taken"), 0
        )
        self.control.apply(Txn(then=[Put(keys.SHARD_MAP, encoded(first_map(CLUSTERS)))]))
        self.limits: dict[str, list[int]] = {}
        for unit in UNITS:
            record = CapacityRecord(capacity=self.rng.randint(2, 9))
            self.limits[unit] = [record.capacity]
            self.control.apply(Txn(then=[Put(keys.capacity(unit), encode_capacity(record))]))
        self.bug = bug
        self.born = 0
        self.begun = 0  # moves
        self.minds: list[Mind] = []
        self.actors: list[Actor] = []
        self.strays: list[Request] = []
        self.late_moves: list[Request] = []  # strays of movers, in an eventful world
        self.eventful = eventful
        self.deadly = deadly
        self.stalled: dict[Actor, int] = {}  # what they wait for is answered so much later
        for cluster in CLUSTERS:
            for _ in range(2):
                self.bear(cluster)
        self.changing: set[str] = set()
        usual = {
            self.advance: 40.0,
            self.arrive: 2.0,
            self.spread_map: 3.0,
            self.die: 0.15,
            self.bury: 0.4,
            self.change_capacity: 0.2,
            self.move_shards: 0.25,
            self.kill_mover: 0.06,
            self.thaw: 0.12,
        }
        # No two worlds are alike, so that what is rare in one is common in another (swarm
        # testing: Groce and others, 2012).
        self.actions = list(usual)
        self.weights = [weight * self.rng.choice((0.2, 1.0, 3.0)) for weight in usual.values()]
        self.weights[0] = usual[self.advance]
        self.loss = self.rng.choice((0.02, 0.05, 0.15))
        self.haste = self.rng.choice((1, 1, 4))  # of movers, among all
        if eventful:
            self.loss, self.haste = 0.06, 2
            for action, weight in ((self.move_shards, 0.1), (self.arrive, 6.0), (self.die, 0.0)):
                self.weights[self.actions.index(action)] = weight
        if deadly:
            self.loss = 0.15
            for action, weight in ((self.die, 1.0), (self.bury, 3.0), (self.move_shards, 0.05)):
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
        if self.deadly and self.stalls(actor):
            return
        request, chance = actor.request, self.rng.random()
        if request is None or request is self.pause:
            self.resume(actor, None)
        elif chance < self.loss:
            if request.writes:
                self.go_astray(actor, request)
                self.resume(actor, OutcomeUnknown("lost"))
            else:
                self.resume(actor, StoreUnavailable("lost"))
        elif chance < 2 * self.loss and request.writes:
            self.perform(request)
            self.resume(actor, OutcomeUnknown("applied, and lost"))
        else:
            self.resume(actor, self.perform(request))

    def stalls(self, actor: Actor) -> bool:
        """Whether an actor is passed over: now and then one is, for long enough to be buried."""
        often = 0.2 if actor.name == "undertaker" else 0.04
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
        except (StopIteration, Gone, HomeportError):
            self.actors.remove(actor)

    def spawn(self, name: str, work: Coroutine[Request, Any, None]) -> Actor:
        actor = Actor(name, work)
        self.actors.append(actor)
        self.resume(actor, None)
        return actor

    def perform(self, request: Request) -> Any:
        before, counts = self.truth(), self.clients_at()
        answer = request.call()
        if request.check is not None:
            request.check(answer)
        self.judge(request, before, counts)
        return answer

    def go_astray(self, actor: Actor, request: Request) -> None:
        """It may arrive yet. What a mover sent is told apart where there are many of them,
        because it does most harm when it is late by a whole move."""
        of_mover = self.eventful and actor.name.startswith("mover")
        (self.late_moves if of_mover else self.strays).append(request)

    def arrive(self) -> None:
        """Something given up long ago arrives; what movers sent, when a shard has just changed
        hands and its clients are written where it lands."""
        if self.late_moves and any(one.stage is Stage.SWITCHED for one in self.map.moves):
            self.perform(self.late_moves.pop(self.rng.randrange(len(self.late_moves))))
        elif self.strays:
            latest = min(len(self.strays), 4)
            self.perform(self.strays.pop(-self.rng.randint(1, latest)))

    # -- the judge ---------------------------------------------------------------------

    @property
    def map(self) -> ShardMap:
        return decode_map(self.control.pairs[keys.SHARD_MAP])

    def truth(self) -> dict[bytes, tuple[bytes, bytes | None]]:
        """Each client's assignment and hold, where its shard's owner has them."""
        shard_map, found = self.map, {}
        for client in CLIENTS:
            pairs = self.clusters[shard_map.owner(shard_of(client))].pairs
            home = pairs.get(client)
            if home is not None:
                held = pairs.get(moving.hold_of(client))
                belongs = held is not None and held.mod_revision == home.mod_revision
                found[client] = home.value, held.value if held is not None and belongs else None
        return found

    def clients_at(self) -> dict[str, int]:
        counts = dict.fromkeys(UNITS, 0)
        for home, _ in self.truth().values():
            counts[home.decode().split()[0]] += 1
        return counts

    def judge(self, request: Request, before: dict, counts: dict[str, int]) -> None:
        after, now = self.truth(), self.clients_at()
        if request.cluster is self.control and after != before:
            lost = {c for c in set(before) | set(after) if before.get(c) != after.get(c)}
            raise Violation(f"a shard changed hands and {lost} with it")
        for unit in UNITS:
            record = decode_capacity(self.control.pairs[keys.capacity(unit)].value)
            used = 0
            for name, allowed in record.grants.items():
                cluster = self.clusters[keys.cluster_of(name)]
                pair = cluster.pairs.get(keys.usage(unit, name))
                usage = int(pair.value) if pair else 0
                used += usage
                if usage > allowed:
                    raise Violation(f"{unit}: {name} used {usage} of {allowed}")
            if record.settled + used != now[unit]:
                raise Violation(f"{unit}: ledger says {record.settled}+{used}, not {now[unit]}")
            if now[unit] > counts[unit] and now[unit] > max(self.limits[unit]):
                raise Violation(f"{unit}: {now[unit]} clients of {self.limits[unit]}")

    # -- what happens ------------------------------------------------------------------

    def bear(self, cluster: str) -> None:
        self.born += 1
        name = f"p{self.born}@{cluster}"
        result = self.clusters[cluster].apply(Txn(then=[Put(keys.session(name), b"")]))
        mind = Mind(self, name, cluster, result.revision)
        self.minds.append(mind)
        self.spawn(name, mind.lane())
        self.spawn(name, mind.granter())

    def die(self) -> None:
        """A lease runs out; its owner goes on for as long as it does not know."""
        mind = self.minds.pop(self.rng.randrange(len(self.minds)))
        mind.here.cluster.apply(Txn(then=[Delete(mind.session_key)]))
        self.bear(mind.cluster)

    def spread_map(self) -> None:
        self.rng.choice(self.minds).see_map(self.map)

    def bury(self) -> None:
        cluster = self.rng.choice(CLUSTERS)
        here = Remote(self.clusters[cluster])
        work = self.bury_wrongly if self.bug == "absorbed-twice" else bury_the_dead

        async def burial() -> None:
            self.done["absorbed"] += await work(Remote(self.control), here, cluster)

        self.spawn("undertaker", burial())

    async def bury_wrongly(self, control: Remote, here: Remote, cluster: str) -> int:
        """Takes a U without session for one that nobody absorbed."""
        for unit in UNITS:
            pair = await control.get(keys.capacity(unit))
            record = decode_capacity(pair.value)
            for usage in (await here.range(keys.usage(unit, ""))).items:
                who = usage.key.rpartition(b"/")[2].decode()
                if await here.get(keys.session(who)) is not None:
                    continue
                whole = record.with_allowance(who, record.grants.get(who, int(usage.value)))
                after = whole.absorb(who, usage=int(usage.value))
                await control.commit(spanning.write_ledger(unit, after, pair.mod_revision))
                await here.commit(spanning.forget(who, unit, usage.mod_revision))
                break
        return 0

    def change_capacity(self) -> None:
        unit = self.rng.choice(UNITS)
        if unit not in self.changing:
            self.changing.add(unit)
            self.spawn("operator", self.operate(unit))

    async def operate(self, unit: str) -> None:
        """One change of capacity, until it is acknowledged."""
        control, limits = Remote(self.control), self.limits[unit]
        pair = await self.patient(lambda: control.get(keys.capacity(unit)))
        before = decode_capacity(pair.value)
        after = replace(before, capacity=self.rng.randint(1, 9), open=self.rng.random() < 0.85)
        limits.append(after.capacity if after.open else 0)
        writes = [Put(keys.capacity(unit), encode_capacity(after)), Put(keys.fence(unit), b"")]
        txn = Txn(compares=[unchanged(keys.capacity(unit), pair.mod_revision)], then=writes)
        try:
            result = await control.commit(txn)
        except HomeportError:
            return  # never acknowledged: it may be so or not, from now on
        if not result.succeeded:
            limits.pop()
            self.changing.discard(unit)
            return
        for cluster in CLUSTERS:
            here = Remote(self.clusters[cluster])
            while True:
                gate = await self.patient(lambda h=here: h.get(keys.gate(unit)))
                if spanning.gate_says(gate) >= result.revision:
                    break
                revision = gate.mod_revision if gate else 0
                stale = spanning.StaleGate(unit=unit, revision=revision, fence=result.revision)
                try:
                    await here.commit(spanning.mend_gate(stale))
                except HomeportError:
                    continue
        limits[:] = limits[-1:]
        self.changing.discard(unit)

    async def patient(self, read: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        while True:
            try:
                return await read()
            except StoreUnavailable:
                continue

    def move_shards(self) -> None:
        """Begins a move, or takes one over whether or not somebody still works on it."""
        group = self.rng.randrange(GROUPS)
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
                return self.control.apply(Txn(then=[Put(keys.SHARD_MAP, encoded(begun))]))

            self.perform(Request(self.control, begin, True))
        if sum(actor.name == f"mover {move_id}" for actor in self.actors) < 3:
            self.spawn(f"mover {move_id}", self.mover(move_id))

    async def mover(self, move_id: str) -> None:
        """The order of provisioner.shards.mover, with what goes wrong in between."""
        move = self.map.move(move_id)
        source, target = self.clusters[move.source], self.clusters[move.target]
        run = MoveRun(Remote(self.control), Remote(source), Remote(target), move)
        first = True
        while True:
            try:
                if first or self.bug != "no-attempt":
                    stage = await run.take_over()
                    self.done["taken"] += 1
                else:
                    stage = await run.stage()
                first = False
                if stage in (Stage.COPYING, Stage.FROZEN):
                    await self.carry_over(run, source)
                    stage = Stage.SWITCHED
                if stage is Stage.SWITCHED:
                    if self.bug == "cleared-early":
                        await moving.change_map(
                            Remote(self.control), lambda before: before.opened(move_id)
                        )
                    else:
                        await run.open()
                await run.clear()
                self.done["moved"] += 1
                return
            except (TakenOver, NotFound):
                return
            except HomeportError:
                continue

    async def carry_over(self, run: MoveRun, source: TinyCluster) -> None:
        await run.begin_copying()
        feed = Feed(source, source.revision, run.concerns)
        await run.copy_everything()
        await run.copy(feed.take())
        if self.bug == "no-freeze":
            await moving.change_map(Remote(self.control), lambda before: before.frozen(run.id))
        else:
            revision = await run.freeze()
            assert source.revision >= revision
        await run.copy(feed.take())
        await run.switch()

    def kill_mover(self) -> None:
        """What it sent last may still arrive."""
        movers = [actor for actor in self.actors if actor.name.startswith("mover")]
        if movers:
            victim = self.rng.choice(movers)
            self.actors.remove(victim)
            if victim.request is not None and victim.request.writes:
                self.go_astray(victim, victim.request)
            victim.work.close()

    def thaw(self) -> None:
        """Somebody finds shards that nobody could write for too long."""

        async def help_along() -> None:
            control = Remote(self.control)
            shard_map, _ = await moving.read_map(control)
            for move in shard_map.moves:
                try:
                    if move.stage is Stage.FROZEN:
                        await moving.thaw(control, move.id)
                        self.done["thawed"] += 1
                    source = Remote(self.clusters[move.source])
                    await moving.open_target(control, source, move.id)
                except (NotFound, Conflict):
                    continue

        self.spawn("caretaker", help_along())

    def close(self) -> None:
        """Ends every coroutine."""
        for actor in self.actors:
            actor.work.close()

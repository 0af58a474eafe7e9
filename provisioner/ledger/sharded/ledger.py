"""ShardedLedger: one Ledger over several assignment clusters, with a cluster ledger for each.

Passes what is asked to the cluster that the shard map names, and defers for a moment what
no cluster may write while its shard changes hands. Everything else is the cluster ledgers'
business. The accounts it shows are names only: each of them has its own account at a unit.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from control_plane.errors import Refused, ServiceError, Unavailable
from control_plane.fleet.capacity import CapacityRecord
from control_plane.store.port import Store
from control_plane.store.replica import Replica
from control_plane.supervision import Supervisor
from control_plane.tracing.tracer import Tracer
from provisioner.geo.location import Location
from provisioner.ledger.account import Account
from provisioner.ledger.fences import Fences
from provisioner.ledger.operations import Claim, Lookup, Move, Operation, Release
from provisioner.ledger.port import LedgerCounts
from provisioner.ledger.reclaim import Reclaimer, reclaim_expired_sessions
from provisioner.ledger.session import Session
from provisioner.ledger.sharded.cluster_ledger import cluster_ledger
from provisioner.ledger.sharded.deferred_operations import DeferredOperations
from provisioner.ledger.sharded.frozen_shards import FrozenShards
from provisioner.ledger.sharded.shard_routes import ShardMapCache
from provisioner.ledger.store_ledger import COMMIT_QUEUES, StoreLedger
from provisioner.placement.choice import Choice, NoChoice
from provisioner.placement.filters import PolicySource
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.occupancy import Occupancy
from provisioner.placement.policy_chooser import PolicyChooser

log = logging.getLogger(__name__)

SWEEP_S = 0.25


class ShardedChooser:
    """Chooses among the units that have room for the cluster a client belongs to."""

    def __init__(
        self, choosers: Mapping[str, PolicyChooser], shard_map_cache: ShardMapCache
    ) -> None:
        self._choosers = choosers
        self._shard_map_cache = shard_map_cache

    def choose(
        self, location: Location, tenant: str, client_key: bytes, waited_s: float
    ) -> Choice | NoChoice:
        chooser = self._choosers[self._shard_map_cache.reading_cluster(client_key)]
        return chooser.choose(location, tenant, client_key, waited_s)

    def is_alike(self, location: Location, tenant: str, client_key: bytes) -> bool:
        """Never: room differs by the cluster, and so by the client."""
        return False


class ShardedLedger:
    """A Ledger. clusters: stores by name, every cluster of the map among them, their revisions
    told apart (ClusterTaggedStore). shard_map_cache: of this ledger alone. The rest as
    StoreLedger."""

    def __init__(
        self,
        control: Store,
        clusters: Mapping[str, Store],
        shard_map_cache: ShardMapCache,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        new_id: Callable[[], str],
        supervisor: Supervisor,
        session_ttl_s: int = 5,
        queues: int = COMMIT_QUEUES,
        new_fences: Callable[[], Fences] = Fences,
    ) -> None:
        self._clock = clock
        self._supervisor = supervisor
        self._shard_map_cache = shard_map_cache
        shard_map_cache.on_change = self._map_changed
        self._accounts: dict[str, Account] = {}
        self.occupancy = Occupancy(0)
        self._deferred = DeferredOperations()
        self._frozen = FrozenShards(control, clusters)
        self.cluster_ledgers = {
            name: cluster_ledger(
                store,
                control,
                shard_map_cache.route(name),
                forward=self._forward,
                forward_lookup=self.look_up,
                resubmit=self.submit,
                touched=self._touch,
                clock=clock,
                jitter=jitter,
                new_id=new_id,
                supervisor=supervisor,
                session_ttl_s=session_ttl_s,
                queues=queues,
                fences=new_fences(),
            )
            for name, store in clusters.items()
        }
        # With the control data, for what is written there; cluster ledgers have their own.
        self.session = Session(control, ttl_s=session_ttl_s, new_id=lambda: f"{new_id()}@-")
        # Of servers that ran before there were several clusters.
        self._reclaimer = Reclaimer(
            lambda damaged: reclaim_expired_sessions(control, damaged), jitter=jitter
        )

    # -- what is asked of it -----------------------------------------------------------

    def submit(self, claim: Claim) -> None:
        ledger = self._writer(claim.key)
        if ledger is None:
            self._deferred.defer(claim)
            return
        claim.account = ledger.account(claim.account.unit)
        if isinstance(claim, Move) and claim.source is not None:
            claim.source = ledger.account(claim.source.unit)
        ledger.submit(claim)

    def release(self, release: Release) -> None:
        ledger = self._writer(release.key)
        if ledger is None:
            self._deferred.defer(release)
            return
        release.account = ledger.account(release.account.unit)
        ledger.release(release)

    def why_no_place(self, assignment_key: bytes) -> ServiceError | None:
        return None  # no tenant has a quota of clients here

    def look_up(self, lookup: Lookup) -> None:
        ledger = self._reader(lookup.key)
        if ledger is None:
            lookup.failed(Unavailable("this server does not know the client's assignment cluster"))
            return
        ledger.look_up(lookup)

    def request_slots(self, unit_ids: Sequence[str]) -> None:
        for ledger in self.cluster_ledgers.values():
            ledger.request_slots(unit_ids)

    # -- units -------------------------------------------------------------------------

    def follow(self, unit_ids: Sequence[str]) -> None:
        for account in self._accounts.values():
            account.index = -1
        self.occupancy = Occupancy(len(unit_ids))
        for index, unit in enumerate(unit_ids):
            self.account(unit).index = index
        for ledger in self.cluster_ledgers.values():
            ledger.follow(unit_ids)

    def account(self, unit: str) -> Account:
        """The name of a unit as an account; which cluster's it will be, its client decides."""
        found = self._accounts.get(unit)
        if found is None:
            found = self._accounts[unit] = Account(unit=unit)
        return found

    def chooser(self, fleet: PlacementFleet, policies: PolicySource) -> ShardedChooser:
        choosers = {
            name: ledger.chooser(fleet, policies) for name, ledger in self.cluster_ledgers.items()
        }
        return ShardedChooser(choosers, self._shard_map_cache)

    def occupancy_for(self, assignment_key: bytes) -> Occupancy:
        ledger = self._reader(assignment_key)
        return self.occupancy if ledger is None else ledger.occupancy

    @property
    def capacity(self) -> Replica[tuple[CapacityRecord, int]]:
        """As one of the cluster ledgers follows them."""
        return next(iter(self.cluster_ledgers.values())).capacity

    # -- its life ----------------------------------------------------------------------

    def use_tracer(self, tracer: Tracer) -> None:
        for ledger in self.cluster_ledgers.values():
            ledger.use_tracer(tracer)

    async def start(self) -> None:
        await self._shard_map_cache.replica.start()
        for ledger in self.cluster_ledgers.values():
            await ledger.start()
        await self.session.open()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            keep = self._supervisor.keep
            group.create_task(keep("ledger session", self.session.keep_alive, ends_on=(Refused,)))
            group.create_task(keep("shard map", self._shard_map_cache.replica.run))
            group.create_task(keep("ledger reclaimer", self._reclaimer.run))
            group.create_task(keep("shards on their way", self._sweep))
            for ledger in self.cluster_ledgers.values():
                group.create_task(keep("cluster ledger", ledger.run))

    async def return_idle_slots(self, *, timeout_s: float) -> None:
        async with asyncio.TaskGroup() as group:
            for ledger in self.cluster_ledgers.values():
                group.create_task(ledger.return_idle_slots(timeout_s=timeout_s))

    async def close(self) -> None:
        for ledger in self.cluster_ledgers.values():
            await ledger.close()
        await self.session.close()

    # -- how it is ---------------------------------------------------------------------

    @property
    def may_write(self) -> bool:
        """In any cluster."""
        return any(ledger.may_write for ledger in self.cluster_ledgers.values())

    @property
    def connected(self) -> bool:
        """Whether any cluster answers, as far as is known."""
        return any(ledger.connected for ledger in self.cluster_ledgers.values())

    @property
    def lookups_waiting(self) -> int:
        return sum(ledger.lookups_waiting for ledger in self.cluster_ledgers.values())

    def counts(self) -> LedgerCounts:
        """Of all clusters together."""
        counts = [ledger.counts() for ledger in self.cluster_ledgers.values()]
        idle: Counter[str] = Counter()
        for one in counts:
            idle.update(one.idle)
        return LedgerCounts(
            waiting=len(self._deferred) + sum(one.waiting for one in counts),
            transactions=sum(one.transactions for one in counts),
            conflicts=sum(one.conflicts for one in counts),
            reclaimed=self._reclaimer.reclaimed + sum(one.reclaimed for one in counts),
            under_way=sum(one.under_way for one in counts),
            sessions=sum(one.sessions for one in counts),
            requests=sum(one.requests for one in counts),
            without_slot=sum(one.without_slot for one in counts),
            idle=idle,
            sizes=[sizes for one in counts for sizes in one.sizes],
            seconds=[seconds for one in counts for seconds in one.seconds],
            damaged=(
                *self._shard_map_cache.replica.damaged_keys(),
                *self._reclaimer.damaged,
                *(key for one in counts for key in one.damaged),
            ),
        )

    # -- inside ------------------------------------------------------------------------

    def _writer(self, assignment_key: bytes) -> StoreLedger | None:
        return self.cluster_ledgers.get(self._shard_map_cache.writing_cluster(assignment_key))

    def _reader(self, assignment_key: bytes) -> StoreLedger | None:
        return self.cluster_ledgers.get(self._shard_map_cache.reading_cluster(assignment_key))

    def _forward(self, operation: Operation) -> None:
        if isinstance(operation, Claim):
            self.submit(operation)
        elif isinstance(operation, Release):
            self.release(operation)

    def _map_changed(self) -> None:
        """A new map: what was deferred may go, what waits in a wrong place must."""
        deferred = self._deferred.take_all()
        for ledger in self.cluster_ledgers.values():
            ledger.forward_misplaced()
        for operation in deferred:
            self._forward(operation)

    def _touch(self, account: Account) -> None:
        """Room at a unit, for those who do not know which client it is for: what every
        cluster could take."""
        shown = self._accounts.get(account.unit)
        if shown is None or shown.index < 0:
            return
        accounts = [ledger.account(account.unit) for ledger in self.cluster_ledgers.values()]
        self.occupancy.update(
            shown.index, min(one.reachable for one in accounts), max(one.load for one in accounts)
        )

    async def _sweep(self) -> None:
        """Answers those deferred for too long; thaws shards that a mover left frozen."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = self._clock()
            self._deferred.drop_expired(now)
            try:
                await self._frozen.thaw(self._shard_map_cache.map, now)
            except ServiceError as error:
                log.info("cannot thaw shards now: %s", error)

"""ShardedLedger: one ledger to whoever asks, a branch for each assignment cluster behind it.

Routes what is asked to the branch that the shard map names, and keeps back for a moment what
no branch may write while its shard changes hands. Everything else is the branches' business.
The accounts it shows are names only: each branch has its own account at every unit.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from control_plane.errors import NotFound, ServiceError, Unavailable
from control_plane.fleet.capacity import CapacityRecord
from control_plane.store.port import Store
from control_plane.store.replica import Replica
from provisioner.geo.location import Location
from provisioner.ledger.account import Account
from provisioner.ledger.commit_queue import CommitQueue
from provisioner.ledger.ledger import LANES
from provisioner.ledger.operations import Claim, Lookup, Move, Operation, Release
from provisioner.ledger.reclaim import Reclaimer
from provisioner.ledger.session import Session
from provisioner.ledger.sharded.cluster_ledger import ClusterLedger
from provisioner.ledger.sharded.shard_routes import ShardMapCache, ShardRoute
from provisioner.placement.choice import Choice, NoChoice
from provisioner.placement.chooser import Chooser
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.occupancy import Occupancy
from provisioner.shards import map_changes
from provisioner.shards.shard_map import ShardMap, Stage

log = logging.getLogger(__name__)

LOOK_S = 0.25
FROZEN_TOO_LONG_S = 5.0  # a shard that nobody may write for so long is thawed


class RoutedChooser:
    """Chooses among the units that have room for the cluster a client belongs to."""

    def __init__(self, choosers: Mapping[str, Chooser], charts: ShardMapCache) -> None:
        self._choosers = choosers
        self._charts = charts

    def choose(self, location: Location, tenant: str, client_key: bytes) -> Choice | NoChoice:
        chooser = self._choosers[self._charts.reader(client_key)]
        return chooser.choose(location, tenant, client_key)


class ShardedLedger:
    """In place of a Ledger; use from one event loop. clusters: stores by name, every cluster
    of the map among them, their revisions numbered apart (NumberedStore)."""

    def __init__(
        self,
        control: Store,
        clusters: Mapping[str, Store],
        shard_map: ShardMap,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        new_id: Callable[[], str],
        session_ttl_s: int = 5,
        lanes: int = LANES,
    ) -> None:
        self._control = control
        self._clusters = clusters
        self._clock = clock
        self.charts = ShardMapCache(control, shard_map)
        self.charts.on_change = self._redrawn
        self.accounts: dict[str, Account] = {}
        self.occupancy = Occupancy(0)
        self._kept_back: deque[Operation] = deque()
        self._frozen_since: dict[str, tuple[Stage, float]] = {}
        self.branches = {
            name: ClusterLedger(
                store,
                control,
                ShardRoute(name, self.charts),
                reroute=self._reroute,
                look_elsewhere=self.look_up,
                resubmit=self.submit,
                touched=self._touched,
                clock=clock,
                jitter=jitter,
                new_id=new_id,
                session_ttl_s=session_ttl_s,
                lanes=lanes,
            )
            for name, store in clusters.items()
        }
        # With the control data, for what is written there; the branches have their own.
        self.session = Session(control, ttl_s=session_ttl_s, new_id=lambda: f"{new_id()}@-")
        # Of servers that ran before there were several clusters.
        self._undertaker = Reclaimer(control, jitter=jitter)

    # -- what the API asks -------------------------------------------------------------

    def submit(self, claim: Claim) -> None:
        """`claim.account` names a unit; exactly one of its outcomes will be called."""
        branch = self._branch(self.charts.writer(claim.key))
        if branch is None:
            self._keep_back(claim)
            return
        claim.account = branch.account(claim.account.unit)
        if isinstance(claim, Move):
            claim.source = branch.account(claim.source.unit)
        branch.submit(claim)

    def release(self, release: Release) -> None:
        """Exactly one of its outcomes will be called."""
        branch = self._branch(self.charts.writer(release.key))
        if branch is None:
            self._keep_back(release)
            return
        release.account = branch.account(release.account.unit)
        branch.release(release)

    def look_up(self, lookup: Lookup) -> None:
        """Exactly one of its outcomes will be called."""
        branch = self._branch(self.charts.reader(lookup.key))
        if branch is None:
            lookup.failed(Unavailable("this server does not know the client's assignment cluster"))
            return
        branch.look_up(lookup)

    def cry(self, unit_ids: Sequence[str]) -> None:
        """A client was turned away by all of these units: others may have slots to spare."""
        for branch in self.branches.values():
            branch.cry(unit_ids)

    def account(self, unit: str) -> Account:
        """The name of a unit as an account; which branch's it will be, its client decides."""
        found = self.accounts.get(unit)
        if found is None:
            found = self.accounts[unit] = Account(unit=unit)
        return found

    def chooser(self, fleet: PlacementFleet, policy: PlacementPolicy) -> RoutedChooser:
        """Chooses units that have room as things stand."""
        choosers = {
            name: Chooser(fleet, policy, branch.occupancy) for name, branch in self.branches.items()
        }
        return RoutedChooser(choosers, self.charts)

    def occupancy_for(self, assignment_key: bytes) -> Occupancy:
        """Where there is room for this client."""
        branch = self._branch(self.charts.reader(assignment_key))
        return self.occupancy if branch is None else branch.occupancy

    def follow(self, unit_ids: Sequence[str]) -> None:
        """From now on unit i is `unit_ids[i]`, in a new `occupancy`, here and in each branch."""
        for account in self.accounts.values():
            account.index = -1
        self.occupancy = Occupancy(len(unit_ids))
        for index, unit in enumerate(unit_ids):
            self.account(unit).index = index
        for branch in self.branches.values():
            branch.follow(unit_ids)

    @property
    def lanes(self) -> list[CommitQueue]:
        """Of all branches."""
        return [lane for branch in self.branches.values() for lane in branch.lanes]

    @property
    def undertaker(self) -> ShardedLedger:
        """Who counts the stripes of the dead."""
        return self

    @property
    def settled(self) -> int:
        """Stripes of dead provisioners that this one settled."""
        branches = self.branches.values()
        return self._undertaker.settled + sum(branch.undertaker.settled for branch in branches)

    @property
    def waiting(self) -> int:
        """Operations in queues."""
        kept_back = len(self._kept_back)
        return kept_back + sum(branch.waiting for branch in self.branches.values())

    @property
    def standing(self) -> bool:
        """Whether it may write anything at all."""
        return any(branch.standing for branch in self.branches.values())

    @property
    def connected(self) -> bool:
        """Whether any cluster answers, as far as is known."""
        return any(branch.connected for branch in self.branches.values())

    @property
    def looking(self) -> int:
        """Lookups that wait."""
        return sum(branch.looking for branch in self.branches.values())

    @property
    def capacity(self) -> Replica[tuple[CapacityRecord, int]]:
        """The capacity records, as one of the branches follows them."""
        return next(iter(self.branches.values())).capacity

    @property
    def kept_back(self) -> int:
        """Operations whose shard is changing hands."""
        return len(self._kept_back)

    # -- its own life ------------------------------------------------------------------

    async def start(self) -> None:
        """Begins the sessions and reads the capacity records. Raises Unavailable."""
        await self.session.open()
        await self.charts.replica.start()
        for branch in self.branches.values():
            await branch.start()

    async def run(self) -> None:
        """Works until cancelled; then gives everything back that it can."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.session.keep(), name="ledger session")
            group.create_task(self.charts.replica.run(), name="shard map")
            group.create_task(self._undertaker.run(), name="ledger undertaker")
            group.create_task(self._watch_over(), name="shards on their way")
            for name, branch in self.branches.items():
                group.create_task(branch.run(), name=f"ledger branch {name}")

    async def settle_all(self, *, timeout_s: float) -> None:
        """Before leaving: gives all idle slots back, as far as that works within the time."""
        async with asyncio.TaskGroup() as group:
            for branch in self.branches.values():
                group.create_task(branch.settle_all(timeout_s=timeout_s))

    async def close(self) -> None:
        """Ends the sessions."""
        for branch in self.branches.values():
            await branch.close()
        await self.session.close()

    # -- inside ------------------------------------------------------------------------

    def _branch(self, cluster: str) -> ClusterLedger | None:
        return self.branches.get(cluster)

    def _reroute(self, operation: Operation) -> None:
        if isinstance(operation, Claim):
            self.submit(operation)
        elif isinstance(operation, Release):
            self.release(operation)

    def _keep_back(self, operation: Operation) -> None:
        self._kept_back.append(operation)

    def _redrawn(self) -> None:
        """A new map: what was kept back may go, what waits in a wrong place must."""
        kept_back, self._kept_back = self._kept_back, deque()
        for branch in self.branches.values():
            branch.redrawn()
        for operation in kept_back:
            self._reroute(operation)

    def _touched(self, account: Account) -> None:
        """Room at a unit, for those who do not know which client it is for: what every branch
        could take."""
        face = self.accounts.get(account.unit)
        if face is None or face.index < 0:
            return
        accounts = [branch.account(account.unit) for branch in self.branches.values()]
        self.occupancy.update(
            face.index, min(one.reachable for one in accounts), max(one.load for one in accounts)
        )

    async def _watch_over(self) -> None:
        """Answers those kept back for too long; thaws shards that a mover left frozen."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = self._clock()
            waiting = len(self._kept_back)
            for _ in range(waiting):
                operation = self._kept_back.popleft()
                if operation.expires_at < now:
                    operation.failed(Unavailable("the client's shard is changing hands; try again"))
                else:
                    self._kept_back.append(operation)
            try:
                await self._thaw(now)
            except ServiceError as error:
                log.info("cannot thaw shards now: %s", error)

    async def _thaw(self, now: float) -> None:
        frozen = {
            move.id: move
            for move in self.charts.map.moves
            if move.stage in (Stage.FROZEN, Stage.SWITCHED)
        }
        for move_id in self._frozen_since.keys() - frozen.keys():
            del self._frozen_since[move_id]
        for move in frozen.values():
            stage, since = self._frozen_since.setdefault(move.id, (move.stage, now))
            if stage is not move.stage:
                self._frozen_since[move.id] = move.stage, now
            elif now - since > FROZEN_TOO_LONG_S and move.source in self._clusters:
                log.warning("shards of move %s are %s for too long", move.id, move.stage.value)
                try:
                    await map_changes.thaw(self._control, move.id)
                    await map_changes.open_target(
                        self._control, self._clusters[move.source], move.id
                    )
                except NotFound:
                    continue  # it has ended meanwhile

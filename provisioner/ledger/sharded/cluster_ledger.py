"""ClusterLedger: a ledger whose clients are in one assignment cluster, its capacity with the
control data. `cross_cluster_transactions` has the transactions.

A cluster ledger is a provisioner of its own: its session, its usage, its grants. Every batch and
every lookup compares the cluster's epoch as well, so that it decides by a shard map that is
new enough; whatever turns out not to belong here is handed back by `reroute`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from control_plane import faultpoints, keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.fleet.capacity import CapacityRecord, decode_capacity
from control_plane.store.cluster_tagged import NEVER
from control_plane.store.port import Compare, Get, OutcomeUnknown, Store, Txn, TxnResult
from provisioner.ledger import transactions
from provisioner.ledger.account import Account
from provisioner.ledger.commit_queue import Batch, CommitQueue
from provisioner.ledger.ledger import LANES, Ledger
from provisioner.ledger.operations import Claim, Lookup, Operation, Release
from provisioner.ledger.reader import Reader
from provisioner.ledger.reclaim import Reclaimer
from provisioner.ledger.reservations import Reservations
from provisioner.ledger.sharded import cross_cluster_transactions
from provisioner.ledger.sharded.reclaim import reclaim_expired_session
from provisioner.ledger.sharded.shard_routes import ShardRoute

LOOKS = 3  # at accounts whose gate had to be mended first
REGISTER_ATTEMPTS = 10


class ClusterLedger(Ledger):
    """`store`: the cluster. reroute: takes operations that belong elsewhere, or nowhere for a
    moment; touched: whenever an account's room may have changed."""

    def __init__(
        self,
        store: Store,
        control: Store,
        territory: ShardRoute,
        *,
        reroute: Callable[[Operation], None],
        look_elsewhere: Callable[[Lookup], None],
        resubmit: Callable[[Claim], None],
        touched: Callable[[Account], None],
        clock: Callable[[], float],
        jitter: Callable[[], float],
        new_id: Callable[[], str],
        session_ttl_s: int = 5,
        lanes: int = LANES,
    ) -> None:
        self.territory = territory
        self.store = store
        self._reroute = reroute
        self._look_elsewhere = look_elsewhere
        self._resubmit_anywhere = resubmit
        self._touched_here = touched
        super().__init__(
            store,
            clock=clock,
            jitter=jitter,
            new_id=lambda: f"{new_id()}@{territory.cluster}",
            session_ttl_s=session_ttl_s,
            lanes=lanes,
            ledgers=control,
        )

    def redrawn(self) -> None:
        """The map has changed: operations that do not belong here any more are handed back."""
        for lane in self.lanes:
            assert isinstance(lane, ClusterCommitQueue)
            lane.sweep()

    def _new_lane(self, turns: asyncio.Semaphore) -> CommitQueue:
        lane = ClusterCommitQueue(
            self._store,
            self.session,
            turns=turns,
            clock=self._clock,
            bounce=self._bounce,
            touched=self._touch,
        )
        lane.belong(self._ledgers, self.territory, self._reroute)
        return lane

    def _new_granting(self) -> Reservations:
        return ClusterReservations(
            self._ledgers,
            self.session,
            clock=self._clock,
            lane_of=self._lane_of,
            spawn=self._spawn,
            bounce=self._bounce,
            touched=self._touch,
        )

    def _new_reader(self) -> Reader:
        reader = ClusterReader(self._store, clock=self._clock)
        reader.belong(self.territory, self._look_elsewhere)
        return reader

    def _new_undertaker(self, jitter: Callable[[], float]) -> Reclaimer:
        return ClusterReclaimer(self._ledgers, self._store, self.territory.cluster, jitter=jitter)

    def _resubmit(self, claim: Claim) -> None:
        self._resubmit_anywhere(claim)

    def _capacity_changed(self, unit: str, seen: tuple[CapacityRecord, int] | None) -> None:
        super()._capacity_changed(unit, seen)
        account = self.account(unit)
        if account.usage and not cross_cluster_transactions.registered(self.session.id, account):
            # The unit was removed, and perhaps made anew: what we counted was for the old one.
            # No write holds until the store was asked.
            account.usage, account.usage_revision = 0, NEVER
            account.adopted = False
            self._touch(account)

    def _touch(self, account: Account) -> None:
        super()._touch(account)
        self._touched_here(account)


class ClusterCommitQueue(CommitQueue):
    """A lane that compares the epoch, and keeps only what belongs to its cluster."""

    fixed = 2
    fence_key = staticmethod(keys.gate)

    def belong(
        self, control: Store, territory: ShardRoute, reroute: Callable[[Operation], None]
    ) -> None:
        """Says where it belongs; before anything is submitted."""
        self._control = control
        self._territory = territory
        self._reroute = reroute
        self._compared = territory.epoch

    @property
    def also(self) -> Sequence[Compare]:  # type: ignore[override]
        """Asked for once per batch; kept, to be looked at when the batch is refused."""
        self._compared = self._territory.epoch
        return (self._compared,)

    def submit(self, operation: Operation) -> None:
        if self._territory.writes(operation.key):
            super().submit(operation)
        else:
            self._hand_back(operation)

    def sweep(self) -> None:
        """Hands back what does not belong here any more."""
        waiting = list(self._waiting)
        self._waiting.clear()
        for operation in waiting:
            if self._territory.writes(operation.key):
                self._waiting.append(operation)
            else:
                self._hand_back(operation)

    def _again(self, claims: list[Claim], releases: list[Release]) -> None:
        super()._again(claims, releases)
        self.sweep()

    def _hand_back(self, operation: Operation) -> None:
        if isinstance(operation, Claim) and operation.promised:
            self._unpromise(operation)
        self._reroute(operation)

    async def _commit(self, batch: Batch) -> None:
        me = self._session.id
        strangers = [
            one for one in batch.accounts() if not cross_cluster_transactions.registered(me, one)
        ]
        if not strangers:
            await super()._commit(batch)
            return
        # Nothing may be counted at a unit whose ledger does not know us. This takes a while,
        # in which the map may change: everything goes through the queue again.
        turned_away = {one.unit for one in strangers if not await self.register(one)}
        claims = [one for one in batch.claims if not _concerns(one, turned_away)]
        releases = [one for one in batch.releases if not _concerns(one, turned_away)]
        for operation in (*batch.claims, *batch.releases):
            if _concerns(operation, turned_away):
                self._give_up(operation, Unavailable("the unit's ledger cannot be written"))
        self._again(claims, releases)

    async def register(self, account: Account) -> bool:
        """Sees to it that the unit's ledger knows us; between two batches only."""
        for _ in range(REGISTER_ATTEMPTS):
            me = self._session.id
            await self._refresh([account])
            if not self._session.standing.is_set() or not account.record_revision:
                return False
            if cross_cluster_transactions.registered(me, account):
                return True
            if account.usage_revision and account.usage:
                continue  # counts for a unit of that name that is gone; see `_look`
            record, txn = cross_cluster_transactions.register(me, account)
            try:
                result = await self._control.commit(txn)
            except OutcomeUnknown:
                continue
            except ServiceError:
                return False
            if result.succeeded:
                account.see(record, result.revision, me)
                return True
        return False

    async def _look(self, accounts: Sequence[Account]) -> bool:
        me, session = self._session.id, self._session
        units = [account.unit for account in accounts]
        for _ in range(LOOKS):
            here = await self._store.commit(
                cross_cluster_transactions.look_here(session.key, me, units)
            )
            if not transactions.session_stands(here, session.revision):
                return False
            await self._territory.adopt(cross_cluster_transactions.epoch_seen(here))
            try:
                control = await self._control.commit(
                    cross_cluster_transactions.look_at_control(units)
                )
            except ServiceError:
                # The clients are here, and grants stand: no reason to wait for the ledger.
                cross_cluster_transactions.recount(accounts, here)
                return True
            stale = cross_cluster_transactions.adopt(me, accounts, here, control)
            for gate in stale:
                await self._store.commit(cross_cluster_transactions.mend_gate(gate))
            for account in accounts:
                if account.usage and not cross_cluster_transactions.registered(me, account):
                    counted = cross_cluster_transactions.count_from_zero(
                        session.compare, me, account
                    )
                    result = await self._store.commit(counted)
                    if result.succeeded:
                        account.usage, account.usage_revision = 0, result.revision
            if not stale:
                break
        return True

    async def make_certain(self, account: Account) -> bool:
        """Whether U is what we believe from now on, whatever is still on its way; between two
        batches only. Raises OutcomeUnknown, StoreUnavailable."""
        session = self._session
        txn = cross_cluster_transactions.make_certain(session.compare, session.id, account)
        result = await self._store.commit(txn)
        if result.succeeded:
            account.usage_revision = result.revision
        return result.succeeded

    async def _sort_out(self, batch: Batch, accounts: Sequence[Account], result: TxnResult) -> None:
        epoch = result.results[-1]
        if (epoch[0].mod_revision if epoch else 0) != self._compared.operand:
            # Decided by an old map: what stands at the clients' keys here says nothing.
            await self._refresh(accounts)
            self._again(batch.claims, batch.releases)
            return
        await super()._sort_out(batch, accounts, result)


def _concerns(operation: Operation, units: set[str]) -> bool:
    if operation.account.unit in units:
        return True
    source = operation.source if isinstance(operation, Claim) else None
    return source is not None and source.unit in units


class ClusterReservations(Reservations):
    """Takes and gives back by the allowance that stands in the unit's ledger."""

    def _grant(self, account: Account, slots: int) -> tuple[CapacityRecord, Txn]:
        me = self._session.id
        if not cross_cluster_transactions.registered(me, account):
            # We were buried, or the unit was made anew, since we asked.
            raise Unavailable("the unit's ledger does not know this server any more; try again")
        return cross_cluster_transactions.take_grant(me, account, slots)

    async def _take(self, account: Account) -> None:
        if not cross_cluster_transactions.registered(self._session.id, account):
            await self._register(account)
        await super()._take(account)

    async def _register(self, account: Account) -> None:
        """By the lane, which knows that no batch of ours is on its way."""
        done = asyncio.get_running_loop().create_future()
        lane = self._lane_of(account)
        assert isinstance(lane, ClusterCommitQueue)

        async def chore() -> None:
            known = await lane.register(account)
            if not done.done():
                done.set_result(known)

        lane.between(chore)
        if not await done:
            raise Unavailable("the unit's ledger cannot be written; try again")

    async def _settle(self, account: Account, lane: CommitQueue, keep: int) -> None:
        assert isinstance(lane, ClusterCommitQueue)
        me, session = self._session.id, self._session
        if account.usage > account.grant:
            await lane.refresh(account)  # never so in the store: our sight is behind
            return
        kept = max(keep, account.in_flight)
        if (
            not cross_cluster_transactions.registered(me, account)
            or account.grant - account.usage <= kept
        ):
            return
        faultpoints.passing("ledger.settle.before")
        try:
            certain = await lane.make_certain(account)
        except OutcomeUnknown:
            certain = False
        except ServiceError:
            return
        if me != session.id:
            return
        kept = max(keep, account.in_flight)
        if not certain:
            await lane.refresh(account)
            return
        if account.grant - account.usage <= kept:
            return
        record, txn = cross_cluster_transactions.give_back(me, account, kept)
        account.grant = account.usage + kept  # until a newer record says otherwise
        try:
            result = await self._store.commit(txn)
        except OutcomeUnknown:
            return
        except ServiceError:
            if me == session.id:
                account.grant = account.record.grants.get(me, 0)  # surely not applied
            return
        faultpoints.passing("ledger.settle.after")
        if me != session.id:
            return
        if result.succeeded:
            account.see(record, result.revision, me)
            self._touched(account)
        elif result.results[0]:
            found = result.results[0][0]
            account.see(decode_capacity(found.value), found.mod_revision, me)
            self._touched(account)


class ClusterReader(Reader):
    """Reads only where the map says, and says so in the reading transaction."""

    def belong(self, territory: ShardRoute, elsewhere: Callable[[Lookup], None]) -> None:
        """Says where it belongs; before anything is looked up."""
        self._territory = territory
        self._elsewhere = elsewhere

    async def _read(self, batch: Sequence[Lookup]) -> None:
        ours = [one for one in batch if self._territory.reads(one.key)]
        for one in batch:
            if not self._territory.reads(one.key):
                self._elsewhere(one)
        if not ours:
            return
        read = Txn(
            compares=[self._territory.epoch],
            then=[Get(one.key) for one in ours],
            otherwise=[Get(keys.SHARD_EPOCH)],
        )
        try:
            result = await self._store.commit(read)
            if not result.succeeded:
                found = result.results[0]
                await self._territory.adopt(found[0] if found else None)
        except ServiceError as error:
            for one in ours:
                one.failed(error)
            return
        if not result.succeeded:
            for one in ours:
                self._elsewhere(one)
            return
        for one, found in zip(ours, result.results, strict=True):
            one.found(found[0] if found else None)


class ClusterReclaimer(Reclaimer):
    """Buries the dead of one cluster."""

    def __init__(
        self, control: Store, here: Store, cluster: str, *, jitter: Callable[[], float]
    ) -> None:
        super().__init__(here, jitter=jitter)
        self._control = control
        self._cluster = cluster

    async def _look(self) -> int:
        return await reclaim_expired_session(self._control, self._store, self._cluster)

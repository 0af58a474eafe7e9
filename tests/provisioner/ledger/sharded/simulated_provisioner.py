"""A provisioner of the simulation: the transactions of the real one, and what it believes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from control_plane import keys
from control_plane.fleet.capacity import CapacityRecord, decode_capacity
from control_plane.store.port import (
    Compare,
    Get,
    KeyValue,
    OutcomeUnknown,
    StoreUnavailable,
    Txn,
    TxnResult,
    unchanged,
)
from provisioner.ledger import transactions
from provisioner.ledger.account import Account, block_size
from provisioner.ledger.holds import hold
from provisioner.ledger.sharded import cross_cluster_transactions
from provisioner.shards.shard_map import ShardMap, decode_map, shard_of
from tests.provisioner.ledger.sharded.invariants import truth
from tests.provisioner.ledger.sharded.scenario import CLIENTS, UNITS, Violation
from tests.provisioner.ledger.sharded.simulated_cluster import RemoteCluster, ask
from tests.provisioner.ledger.simulated_operations import SimulatedClaim, SimulatedRelease

if TYPE_CHECKING:
    from tests.provisioner.ledger.sharded.simulated_fleet import SimulatedFleet


class SessionLost(Exception):
    """A provisioner learned that its session is lost."""


class SimulatedProvisioner:
    """One provisioner, of one cluster: what it believes, and how it goes about things."""

    def __init__(
        self, fleet: SimulatedFleet, name: str, cluster: str, session_revision: int
    ) -> None:
        self.fleet = fleet
        self.name = name
        self.here = RemoteCluster(fleet.clusters[cluster])
        self.control = RemoteCluster(fleet.control)
        self.cluster = cluster
        self.session_key = keys.session(name)
        self.session = transactions.session_compare(self.session_key, session_revision)
        self.accounts = {unit: Account(unit=unit) for unit in UNITS}
        self.map = fleet.map
        self.epoch = 0  # revision of E as adopted
        self.busy = False
        self.old_ledger: TxnResult | None = None

    async def commit_queue(self) -> None:
        rng = self.fleet.rng
        await self.retried(self.refresh)
        while True:
            self.busy = True
            doing = rng.choices(
                [
                    self.assign,
                    self.release,
                    self.look_up,
                    self.refresh,
                    self.give_back,
                    self.register_somewhere,
                ],
                [8, 5, 3, 2, 3, 2],
            )[0]
            await self.retried(doing)
            self.busy = False
            await ask(self.fleet.pause)

    async def reserver(self) -> None:
        """Takes slots while the lane is at work, as the real one does."""
        while True:
            await ask(self.fleet.pause)
            account = self.accounts[self.fleet.rng.choice(UNITS)]
            slots = block_size(account.record.free, self.fleet.rng.randint(1, 3))
            if (
                account.adopted
                and slots
                and cross_cluster_transactions.registered(self.name, account)
            ):
                await self.retried(lambda a=account, n=slots: self.take(a, n))

    async def retried(self, doing: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await doing()
                return
            except StoreUnavailable:
                continue

    async def take(self, account: Account, slots: int) -> None:
        await self.write(account, *cross_cluster_transactions.take_grant(self.name, account, slots))

    async def write(self, account: Account, record: CapacityRecord, txn: Txn) -> None:
        try:
            result = await self.control.commit(txn)
        except OutcomeUnknown:
            return
        if result.succeeded:
            account.accept_record(record, result.revision, self.name)
        elif result.results and result.results[0]:
            found = result.results[0][0]
            account.accept_record(decode_capacity(found.value), found.mod_revision, self.name)

    async def register(self, account: Account) -> bool:
        if cross_cluster_transactions.registered(self.name, account):
            return True
        await self.retried(self.refresh)
        if (
            cross_cluster_transactions.registered(self.name, account)
            or account.usage
            or not account.record_revision
        ):
            return cross_cluster_transactions.registered(self.name, account)
        await self.write(account, *cross_cluster_transactions.register(self.name, account))
        return cross_cluster_transactions.registered(self.name, account)

    async def register_somewhere(self) -> None:
        await self.register(self.accounts[self.fleet.rng.choice(UNITS)])

    async def refresh(self) -> None:
        accounts = [self.accounts[unit] for unit in UNITS]
        if self.fleet.bug == "older-ledger" and self.old_ledger is None:
            self.old_ledger = await self.control.commit(
                cross_cluster_transactions.read_control(UNITS)
            )
        here = await self.here.commit(
            cross_cluster_transactions.read_cluster(self.session_key, self.name, UNITS)
        )
        if not transactions.session_stands(here, self.session.operand):
            raise SessionLost
        await self.accept_epoch(cross_cluster_transactions.epoch_read(here))
        control, self.old_ledger = self.old_ledger, None
        if control is None:
            control = await self.control.commit(cross_cluster_transactions.read_control(UNITS))
        stale = cross_cluster_transactions.accept_snapshots(self.name, accounts, here, control)
        if self.fleet.bug == "older-ledger":
            for account in accounts:
                account.adopted = account.record.open and account.record.consistent
            self.old_ledger = await self.control.commit(
                cross_cluster_transactions.read_control(UNITS)
            )
        for gate in stale:
            try:
                await self.here.commit(cross_cluster_transactions.update_gate(gate))
            except OutcomeUnknown:
                continue
        for account in accounts:
            if not account.record.consistent and account.idle and account.record.open:
                await self.give_back_at(account, 0)

    async def accept_epoch(self, epoch: KeyValue | None) -> None:
        wanted = int(epoch.value) if epoch else 0
        if wanted > self.map.version:
            self.accept_map(decode_map(await self.control.get(keys.SHARD_MAP)))
        self.epoch = epoch.mod_revision if epoch else 0

    def accept_map(self, shard_map: ShardMap) -> None:
        if shard_map.version > self.map.version:
            self.map = shard_map

    @property
    def compares(self) -> list[Compare]:
        return [unchanged(keys.SHARD_EPOCH, self.epoch)]

    async def assign(self) -> None:
        rng, writers = self.fleet.rng, self.map.writers()
        units = [u for u in UNITS if self.accounts[u].room > 0]
        claims: list[SimulatedClaim] = []
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
                claims.append(SimulatedClaim(key=client, value=value, writes=writes))
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
        home = self.fleet.rng.choice(homes)
        unit = home.value.decode().split()[0]
        if await self.register(self.accounts[unit]):
            if self.map.writers()[shard_of(home.key)] != self.cluster:
                return
            leaving = SimulatedRelease(key=home.key, revision=home.mod_revision)
            await self.send([], [leaving], {unit: -1})

    async def send(
        self,
        claims: list[SimulatedClaim],
        releases: list[SimulatedRelease],
        net: dict[str, int],
    ) -> None:
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
        txn = transactions.assign(self.session, claims, releases, changes, self.compares)
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
                self.fleet.done["assigned" if taken else "released"] += abs(net[unit])
            return
        self.fleet.done["refused"] += 1
        await self.retried(self.refresh)

    async def look_up(self) -> None:
        client = self.fleet.rng.choice(CLIENTS)
        if self.map.readers()[shard_of(client)] != self.cluster:
            return

        def truly(result: TxnResult) -> None:
            if result.succeeded:
                self.fleet.done["read"] += 1
                found = result.results[0][0].value if result.results[0] else None
                home = truth(self.fleet).get(client, (None, None))[0]
                if found != home:
                    raise Violation(f"{client!r} is {home!r} and was read as {found!r}")

        txn = Txn(compares=self.compares, then=[Get(client)], otherwise=[Get(keys.SHARD_EPOCH)])
        result = await self.here.commit(txn, check=truly)
        if not result.succeeded:
            await self.retried(self.refresh)

    async def give_back(self) -> None:
        account = self.accounts[self.fleet.rng.choice(UNITS)]
        await self.give_back_at(account, self.fleet.rng.randint(0, 1))

    async def give_back_at(self, account: Account, keep: int) -> None:
        if not cross_cluster_transactions.registered(self.name, account) or account.idle <= keep:
            return
        if self.fleet.bug != "uncertain":
            try:
                result = await self.here.commit(
                    cross_cluster_transactions.confirm_usage(self.session, self.name, account)
                )
            except OutcomeUnknown:
                result = None
            if result is None or not result.succeeded:
                account.adopted = False
                return
            account.usage_revision = result.revision
        if account.idle <= keep:
            return
        record, txn = cross_cluster_transactions.lower_allowance(self.name, account, keep)
        account.grant = account.usage + keep
        try:
            result = await self.control.commit(txn)
        except StoreUnavailable:
            account.grant = account.record.grants.get(self.name, 0)
            return
        except OutcomeUnknown:
            return
        if result.succeeded:
            account.accept_record(record, result.revision, self.name)
        elif result.results[0]:
            found = result.results[0][0]
            account.accept_record(decode_capacity(found.value), found.mod_revision, self.name)

"""A simulated fleet for the ledger protocol: provisioners that are slow, die and come back
as zombies, a network that delays transactions and loses answers, an operator who changes
capacity, and a store that applies one transaction at a time and checks every promise.

The transactions are the real ones (provisioner.ledger.transactions); only time and the network
are made up. `without` names a compare to leave out everywhere, to see that the checks bite.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from control_plane import keys
from control_plane.fleet.capacity import CapacityRecord, decode_capacity, encode_capacity
from control_plane.store.port import Delete, KeyValue, Put, Txn, TxnResult
from provisioner.ledger import transactions
from provisioner.ledger.account import Account, block_size
from provisioner.ledger.hold_expiry import HoldRelease
from provisioner.ledger.holds import hold
from tests.provisioner.ledger.checked_store import CLIENTS, UNITS, CheckedStore, Violation
from tests.provisioner.ledger.simulated_operations import SimulatedClaim, SimulatedRelease


def expiry(home: KeyValue, waits: KeyValue, unit: str, client: str) -> SimulatedRelease:
    """The release that HoldRelease makes."""
    departed = Put(keys.move(unit, "t", client), b"")
    guards, writes = HoldRelease.terms(waits, departed)
    return SimulatedRelease(key=home.key, revision=home.mod_revision, guards=guards, writes=writes)


@dataclass
class SimulatedProvisioner:
    """What one simulated provisioner believes, and what it has in flight."""

    name: str
    session_revision: int
    accounts: dict[str, Account] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)  # units with a transaction of its lane under way
    granting: set[str] = field(default_factory=set)

    @property
    def session(self):
        return transactions.session_compare(keys.session(self.name), self.session_revision)


@dataclass
class InFlight:
    """A transaction on its way, and what its sender does with the answer."""

    txn: Txn
    sender: SimulatedProvisioner
    units: tuple[str, ...]
    kind: str
    slots: dict[str, int] = field(default_factory=dict)
    record: CapacityRecord | None = None


class SimulatedFleet:
    """Steps at random; raises Violation when a promise breaks."""

    def __init__(self, seed: int, *, without: str = "") -> None:
        self.rng = random.Random(seed)
        self.store = CheckedStore("")
        for unit in UNITS:
            record = CapacityRecord(capacity=self.rng.randint(1, 9))
            self.store.apply(Txn(then=[Put(keys.capacity(unit), encode_capacity(record))]))
        self.store._without = without
        self.started = 0
        self.alive: list[SimulatedProvisioner] = []
        self.zombies: list[SimulatedProvisioner] = []
        self.in_flight: list[InFlight] = []
        self.assigned = self.refused = self.reclaimed = self.expired = self.moved = 0
        for _ in range(3):
            self.start_provisioner()

    def start_provisioner(self) -> None:
        self.started += 1
        name = f"p{self.started}"
        result = self.store.apply(Txn(then=[Put(keys.session(name), b"")]))
        provisioner = SimulatedProvisioner(name, result.revision)
        provisioner.accounts = {unit: Account(unit=unit) for unit in UNITS}
        self.alive.append(provisioner)

    def step(self) -> None:
        actions = [
            (self.deliver, 16),
            (self.assign, 8),
            (self.grant, 5),
            (self.refresh, 3),
            (self.release, 4),
            (self.move, 3),
            (self.admit, 2),
            (self.expire, 3),
            (self.return_slots, 2),
            (self.change_capacity, 1),
            (self.expire_session, 0.8),
            (self.reclaim_expired, 1),
        ]
        action = self.rng.choices([a for a, _ in actions], [w for _, w in actions])[0]
        action()

    def somebody(self) -> SimulatedProvisioner:
        return self.rng.choice(self.alive + self.zombies)

    # -- what provisioners do ----------------------------------------------------------

    def refresh(self) -> None:
        provisioner, unit = self.somebody(), self.rng.choice(UNITS)
        if unit not in provisioner.busy:
            self.read_truth(provisioner, unit)

    def read_truth(self, provisioner: SimulatedProvisioner, unit: str) -> None:
        account = provisioner.accounts[unit]
        result = self.store.apply(
            transactions.read_accounts(keys.session(provisioner.name), provisioner.name, [account])
        )
        if transactions.session_stands(result, provisioner.session_revision):
            transactions.accept_snapshot(provisioner.name, [account], result)
            if account.record.open and not account.record.consistent and account.idle:
                self.send_return(provisioner, unit, keep=0)
        elif provisioner in self.zombies:
            self.zombies.remove(provisioner)  # learned of its death

    def grant(self) -> None:
        provisioner, unit = self.somebody(), self.rng.choice(UNITS)
        account = provisioner.accounts[unit]
        slots = block_size(account.record.free, self.rng.randint(1, 3))
        if (
            slots
            and account.record.open
            and account.record_revision
            and unit not in provisioner.granting
        ):
            provisioner.granting.add(unit)
            txn = transactions.take_grant(provisioner.session, provisioner.name, account, slots)
            record = account.record.with_grant(provisioner.name, slots)
            self.in_flight.append(InFlight(txn, provisioner, (unit,), "grant", record=record))

    def assign(self) -> None:
        provisioner = self.somebody()
        units = [u for u in UNITS if u not in provisioner.busy and provisioner.accounts[u].room > 0]
        units = units[: self.rng.randint(1, 2)]
        if not units:
            return
        creates, slots = [], dict.fromkeys(units, 0)
        for client in self.rng.sample(CLIENTS, self.rng.randint(1, 4)):
            unit = self.rng.choice(units)
            if provisioner.accounts[unit].room - slots[unit] > 0:
                slots[unit] += 1
                held = self.rng.random() < 0.5
                writes = (hold("t", client, unit, until_ms=0),) if held else ()
                key = keys.assignment("t", client)
                creates.append(SimulatedClaim(key=key, value=unit.encode(), writes=writes))
        self.send_batch(provisioner, creates, [], slots, dict(slots))

    def release(self) -> None:
        provisioner = self.somebody()
        homes = [p for k, p in self.store.pairs.items() if k.startswith(keys.ASSIGNMENTS)]
        if not homes:
            return
        home = self.rng.choice(homes)
        unit = home.value.decode()
        if unit not in provisioner.busy:
            leaving = SimulatedRelease(key=home.key, revision=home.mod_revision)
            self.send_batch(provisioner, [], [leaving], {unit: -1}, {unit: 0})

    def move(self) -> None:
        """A client goes to a unit with room, whatever its own takes or holds by now."""
        provisioner = self.somebody()
        able = [
            (home, target)
            for key, home in self.store.pairs.items()
            if key.startswith(keys.ASSIGNMENTS) and home.value.decode() not in provisioner.busy
            for target in UNITS
            if target not in provisioner.busy and target != home.value.decode()
            if provisioner.accounts[target].room > 0
        ]
        if able:
            home, target = self.rng.choice(able)
            source = home.value.decode()
            moving = SimulatedClaim(key=home.key, value=target.encode(), revision=home.mod_revision)
            self.send_batch(
                provisioner, [moving], [], {source: -1, target: 1}, {source: 0, target: 1}
            )

    def admit(self) -> None:
        """Clients are admitted; their holds go with a transaction that may take its time."""
        holds = [key for key in self.store.pairs if key.startswith(keys.HOLDS)]
        came = self.rng.sample(holds, min(len(holds), self.rng.randint(1, 3)))
        if came:
            txn = Txn(then=[Delete(key) for key in came])
            self.in_flight.append(InFlight(txn, self.alive[0], (), "admission"))

    def expire(self) -> None:
        """Somebody finds that a hold stood too long, and takes the place back."""
        provisioner = self.somebody()
        for key, waits in self.store.pairs.items():
            if not key.startswith(keys.HOLDS):
                continue
            client = key.rpartition(b"/")[2].decode()
            home = self.store.read(keys.assignment("t", client))
            if home is None or home.mod_revision != waits.mod_revision:
                continue
            unit = home.value.decode()
            if unit not in provisioner.busy:
                taken = expiry(home, waits, unit, client)
                self.send_batch(provisioner, [], [taken], {unit: -1}, {unit: 0})
                return

    def send_batch(self, provisioner, creates, releases, net, claims) -> None:
        changes = [
            (
                provisioner.accounts[u],
                keys.usage(u, provisioner.name),
                keys.fence(u),
                net[u],
                claims[u] > 0,
            )
            for u in net
        ]
        txn = transactions.assign(provisioner.session, creates, releases, changes)
        provisioner.busy |= set(net)
        for unit in net:
            provisioner.accounts[unit].in_flight += claims[unit]
        self.in_flight.append(InFlight(txn, provisioner, tuple(net), "batch", slots=dict(net)))

    def return_slots(self) -> None:
        provisioner, unit = self.somebody(), self.rng.choice(UNITS)
        self.send_return(provisioner, unit, keep=self.rng.randint(0, 1))

    def send_return(self, provisioner: SimulatedProvisioner, unit: str, keep: int) -> None:
        account = provisioner.accounts[unit]
        if unit in provisioner.busy or not account.record_revision or account.usage > account.grant:
            return
        keep = min(keep, account.grant - account.usage)
        provisioner.busy.add(unit)
        txn = transactions.return_slots(provisioner.session, provisioner.name, account, keep)
        record = account.record.settle(provisioner.name, usage=account.usage, keep=keep)
        self.in_flight.append(InFlight(txn, provisioner, (unit,), "return", record=record))

    def reclaim_expired(self) -> None:
        for unit in UNITS:
            pair = self.store.read(keys.capacity(unit))
            record = decode_capacity(pair.value)
            prefix = keys.usage(unit, "")
            holders = set(record.grants) | {
                key[len(prefix) :].decode() for key in self.store.pairs if key.startswith(prefix)
            }
            for name in sorted(holders):
                if self.store.read(keys.session(name)) is None:
                    usage = self.store.read(keys.usage(unit, name))
                    if usage and int(usage.value) > record.grants.get(name, 0):
                        raise Violation(f"{unit}: {name} used more than its grant")
                    txn = transactions.reclaim_expired(
                        name,
                        unit,
                        record,
                        pair.mod_revision,
                        int(usage.value) if usage else 0,
                        usage.mod_revision if usage else 0,
                    )
                    self.in_flight.append(InFlight(txn, self.alive[0], (), "reclaim"))
                    return

    # -- what happens to them ----------------------------------------------------------

    def deliver(self) -> None:
        """One transaction arrives, in any order; its answer may get lost."""
        if not self.in_flight:
            return
        one = self.in_flight.pop(self.rng.randrange(len(self.in_flight)))
        if self.rng.random() < 0.1 and one.kind not in ("reclaim", "admission"):
            # Given up by its sender before it arrives, which may be much later.
            self.answered(one)
            for unit in one.units:
                self.read_truth(one.sender, unit)
            self.in_flight.append(replace(one, kind="reclaim", units=(), slots={}))
            return
        result = self.store.apply(one.txn)
        if one.kind == "admission":
            return
        if one.kind == "reclaim":
            self.reclaimed += result.succeeded
            return
        self.answered(one)
        if self.rng.random() < 0.1:
            for unit in one.units:  # the answer was lost: ask for the truth
                self.read_truth(one.sender, unit)
        elif not result.succeeded:
            self.refused += 1
            for unit in one.units:
                self.read_truth(one.sender, unit)
        else:
            self.learn(one, result)

    def answered(self, one: InFlight) -> None:
        provisioner = one.sender
        if one.kind == "grant":
            provisioner.granting -= set(one.units)
            return
        provisioner.busy -= set(one.units)
        for unit in one.units:
            provisioner.accounts[unit].in_flight = 0

    def learn(self, one: InFlight, result: TxnResult) -> None:
        provisioner = one.sender
        for unit in one.units:
            account = provisioner.accounts[unit]
            if one.kind == "batch":
                account.usage += one.slots[unit]
                account.usage_revision = result.revision
                self.assigned += max(0, one.slots[unit])
                self.moved += one.slots[unit] > 0 and min(one.slots.values()) < 0
                self.expired += any(
                    isinstance(write, Put) and write.key.startswith(keys.MOVES)
                    for write in one.txn.then
                )
            else:
                account.accept_record(one.record, result.revision, provisioner.name)
                if one.kind == "return":
                    account.usage, account.usage_revision = 0, result.revision

    def expire_session(self) -> None:
        """A lease runs out; its owner goes on for as long as it does not know."""
        victim = self.rng.choice(self.alive)
        self.alive.remove(victim)
        self.zombies.append(victim)
        self.store.apply(Txn(then=[Delete(keys.session(victim.name))]))
        self.start_provisioner()

    def change_capacity(self) -> None:
        unit = self.rng.choice(UNITS)
        before = self.store.record(unit)
        after = replace(before, capacity=self.rng.randint(1, 9), open=self.rng.random() < 0.8)
        writes = [Put(keys.capacity(unit), encode_capacity(after))]
        if after.capacity < before.capacity or (before.open and not after.open):
            writes.append(Put(keys.fence(unit), b""))
        self.store.apply(Txn(then=writes))

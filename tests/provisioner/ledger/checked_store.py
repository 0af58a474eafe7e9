"""A store that applies one transaction at a time and checks every promise of the ledger."""

from __future__ import annotations

from control_plane import keys
from control_plane.fleet.capacity import CapacityRecord, decode_capacity
from control_plane.store.port import Delete, Get, KeyValue, Put, Target, Txn, TxnResult

UNITS = ("near", "far")
CLIENTS = [f"c{n}" for n in range(24)]


class Violation(AssertionError):
    """A promise was broken."""


class CheckedStore:
    """The store's meaning in forty lines, and the judge of each change."""

    def __init__(self, without: str) -> None:
        self.revision = 1
        self.pairs: dict[bytes, KeyValue] = {}
        self._without = without

    def read(self, key: bytes) -> KeyValue | None:
        return self.pairs.get(key)

    def apply(self, asked: Txn) -> TxnResult:
        txn = asked.expanded()
        held = all(self._holds(c.key, c.target, c.operand) for c in txn.compares)
        before = self.clients_at()
        if held:
            self._judge_departures(txn)
        writes, results = False, []
        for operation in txn.then if held else txn.otherwise:
            found: tuple[KeyValue, ...] = ()
            if isinstance(operation, Get):
                pair = self.pairs.get(operation.key)
                found = (pair,) if pair else ()
            elif isinstance(operation, Put):
                if not writes:
                    self.revision += 1
                writes = True
                old = self.pairs.get(operation.key)
                self.pairs[operation.key] = KeyValue(
                    key=operation.key,
                    value=operation.value,
                    create_revision=old.create_revision if old else self.revision,
                    mod_revision=self.revision,
                    version=old.version + 1 if old else 1,
                )
            elif isinstance(operation, Delete) and operation.key in self.pairs:
                if not writes:
                    self.revision += 1
                writes = True
                del self.pairs[operation.key]
            results.append(found)
        self._judge(before)
        shown = results[len(asked.creates) :] if held else results
        return TxnResult(succeeded=held, revision=self.revision, results=shown)

    def _holds(self, key: bytes, target: Target, operand: int | bytes) -> bool:
        if self._without == "session" and key.startswith(keys.SESSIONS):
            return True
        if self._without == "fence" and key.startswith(keys.FENCE):
            return True
        if self._without == "usage" and key.startswith(keys.USAGE):
            return True
        if self._without == "absence" and key.startswith(keys.ASSIGNMENTS):
            return True
        if self._without == "hold" and key.startswith(keys.HOLDS):
            return True
        pair = self.pairs.get(key)
        if target is Target.VALUE:
            return pair is not None and pair.value == operand
        return (getattr(pair, target.value) if pair else 0) == operand

    def clients_at(self) -> dict[str, int]:
        """How many clients each unit has, counted from the assignments themselves."""
        counts = dict.fromkeys(UNITS, 0)
        for key, pair in self.pairs.items():
            if key.startswith(keys.ASSIGNMENTS):
                counts[pair.value.decode()] += 1
        return counts

    def _judge_departures(self, txn: Txn) -> None:
        """Only a client that nobody has seen may lose its place for not coming."""
        for operation in txn.then:
            if isinstance(operation, Put) and operation.key.startswith(keys.MOVES):
                client = operation.key.rpartition(b"/")[2].decode()
                home = self.pairs.get(keys.assignment("t", client))
                waits = self.pairs.get(keys.hold("t", client))
                if home is None or waits is None or waits.mod_revision != home.mod_revision:
                    raise Violation(f"{client} came, and lost its place for not coming")

    def _judge(self, before: dict[str, int]) -> None:
        after = self.clients_at()
        for unit in UNITS:
            record = self.record(unit)
            used = sum(
                int(pair.value)
                for key, pair in self.pairs.items()
                if key.startswith(keys.usage(unit, ""))
            )
            if record.settled + used != after[unit]:
                raise Violation(f"{unit}: ledger says {record.settled}+{used}, not {after[unit]}")
            if after[unit] > before[unit] and after[unit] > record.capacity:
                raise Violation(f"{unit}: {after[unit]} clients, capacity {record.capacity}")

    def record(self, unit: str) -> CapacityRecord:
        pair = self.pairs.get(keys.capacity(unit))
        return decode_capacity(pair.value) if pair else CapacityRecord(capacity=0)

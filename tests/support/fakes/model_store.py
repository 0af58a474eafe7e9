"""The meaning of the store port in the plainest Python: the model that adapters are held to.

Keeps every revision as a whole dictionary. Leases run by a clock that the test moves. Not
asynchronous, because nothing here ever waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from control_plane.store.port import (
    Compacted,
    Delete,
    Event,
    Get,
    KeyValue,
    LeaseLost,
    Operation,
    Put,
    Target,
    Txn,
    TxnResult,
)


class ModelStore:
    """See control_plane.store.port for what each method means."""

    def __init__(self) -> None:
        self.revision = 1
        self.states: dict[int, dict[bytes, KeyValue]] = {1: {}}
        self.events: list[Event] = []
        self.leases: dict[int, tuple[int, float]] = {}
        self.compacted = 0
        self.now = 0.0

    @property
    def state(self) -> dict[bytes, KeyValue]:
        return self.states[self.revision]

    def under(self, prefix: bytes, state: dict[bytes, KeyValue] | None = None) -> list[KeyValue]:
        found = self.state if state is None else state
        return [found[key] for key in sorted(found) if key.startswith(prefix)]

    def at(self, prefix: bytes, revision: int) -> list[KeyValue]:
        if revision < self.compacted:
            raise Compacted(self.compacted)
        return self.under(prefix, self.states[revision])

    def commit(self, txn: Txn) -> TxnResult:
        whole, created = txn.expanded(), len(txn.creates)
        if not all(self._holds(c.key, c.target, c.operand) for c in whole.compares):
            return self._run(whole.otherwise, holds=False)
        done = self._run(whole.then, holds=True)
        return replace(done, results=done.results[created:])

    def _holds(self, key: bytes, target: Target, operand: int | bytes) -> bool:
        pair = self.state.get(key)
        if target is Target.VALUE:
            return pair is not None and pair.value == operand
        return (getattr(pair, target.value) if pair else 0) == operand

    def _run(self, operations: Sequence[Operation], holds: bool) -> TxnResult:
        state, events = dict(self.state), []
        revision = self.revision + 1
        results: list[Sequence[KeyValue]] = []
        for operation in operations:
            found: list[KeyValue] = []
            if isinstance(operation, Put):
                if operation.lease and operation.lease not in self.leases:
                    raise LeaseLost("gone")
                old = state.get(operation.key)
                pair = KeyValue(
                    key=operation.key,
                    value=operation.value,
                    create_revision=old.create_revision if old else revision,
                    mod_revision=revision,
                    version=old.version + 1 if old else 1,
                    lease=operation.lease,
                )
                state[operation.key] = pair
                events.append(Event(kv=pair))
            elif isinstance(operation, Delete):
                for key in self._meant(operation, state):
                    del state[key]
                    events.append(_gone(key, revision))
            elif isinstance(operation, Get):
                found = [state[key] for key in self._meant(operation, state)]
            results.append(tuple(found))
        self._record(state, events)
        return TxnResult(succeeded=holds, revision=self.revision, results=results)

    def _meant(self, operation: Get | Delete, state: dict[bytes, KeyValue]) -> list[bytes]:
        if operation.prefix:
            return [key for key in sorted(state) if key.startswith(operation.key)]
        return [operation.key] if operation.key in state else []

    def _record(self, state: dict[bytes, KeyValue], events: list[Event]) -> None:
        if events:
            self.revision += 1
            self.states[self.revision] = state
            self.events += events

    def grant(self, lease: int, ttl_s: int) -> None:
        self.leases[lease] = (ttl_s, self.now + ttl_s)

    def end(self, lease: int) -> None:
        """A lease is revoked, or ran out."""
        self.leases.pop(lease, None)
        state = dict(self.state)
        gone = [key for key in sorted(state) if state[key].lease == lease]
        for key in gone:
            del state[key]
        self._record(state, [_gone(key, self.revision + 1) for key in gone])

    def happened(self, prefix: bytes, from_revision: int) -> list[Event]:
        return [
            event
            for event in self.events
            if event.kv.key.startswith(prefix) and event.kv.mod_revision >= from_revision
        ]


def _gone(key: bytes, revision: int) -> Event:
    pair = KeyValue(key=key, value=b"", create_revision=0, mod_revision=revision, version=0)
    return Event(kv=pair, deleted=True)

"""A cluster of the simulation: what a store means, one transaction at a time, and how it looks
to coroutines that ask it."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Protocol

from control_plane import keys
from control_plane.store.port import (
    Compare,
    Get,
    KeyValue,
    Page,
    Put,
    Target,
    Txn,
    TxnResult,
)


class HasBug(Protocol):
    """Whoever says which mistake is made: its name in BUGS, or nothing."""

    bug: str


class SimulatedCluster:
    """One store's meaning, applied one transaction at a time."""

    def __init__(self, name: str, fleet: HasBug) -> None:
        self.name = name
        self.revision = 1
        self.pairs: dict[bytes, KeyValue] = {}
        self.log: list[tuple[int, bytes]] = []
        self._world = fleet

    def apply(self, asked: Txn) -> TxnResult:
        txn = asked.expanded()
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

    cluster: SimulatedCluster
    call: Callable[[], Any]
    writes: bool
    check: Callable[[Any], None] | None = None


@types.coroutine
def ask(request: Request) -> Generator[Request, Any, Any]:
    return (yield request)


class RemoteCluster:
    """A cluster as its users see it: the store port, as much as they need of it."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.cluster = cluster

    async def commit(
        self, txn: Txn, *, timeout_s: float | None = None, check: Any = None
    ) -> TxnResult:
        writes = bool(txn.creates) or any(not isinstance(one, Get) for one in txn.then)
        return await ask(Request(self.cluster, lambda: self.cluster.apply(txn), writes, check))

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        return await ask(Request(self.cluster, lambda: self.cluster.pairs.get(key), False))

    async def range(self, prefix: bytes, *, start_after=None, limit=0, **more: Any) -> Page:
        return await ask(
            Request(self.cluster, lambda: self.cluster.range(prefix, start_after, limit), False)
        )


@dataclass(eq=False)
class Actor:
    """A coroutine and what it waits for."""

    name: str
    work: Coroutine[Request, Any, None]
    request: Request | None = None


@dataclass
class ChangedKeys:
    """What changed at a cluster since a revision; the watch of the real mover."""

    cluster: SimulatedCluster
    at: int
    concerns: Callable[[bytes], bool]

    def drain(self) -> list[bytes]:
        found = [key for revision, key in self.cluster.log if revision > self.at]
        self.at = self.cluster.revision
        return [key for key in found if self.concerns(key)]

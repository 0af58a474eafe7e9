"""Replays an etcd's whole history in revision order and checks the promises at each one.

It shares no code with the ledger but the key names: it counts assignments itself.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from control_plane.store.port import Store, WatchBatch

ROOT = b"/homeport/v1/"


@dataclass
class History:
    """What the history came to, and every broken promise in it."""

    revisions: int = 0
    assigned: dict[str, str] = field(default_factory=dict)  # client -> unit, at the end
    violations: list[str] = field(default_factory=list)
    clients: Counter[str] = field(default_factory=Counter)
    fullest: Counter[str] = field(default_factory=Counter)
    ledgers: dict[str, dict] = field(default_factory=dict)
    usage: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def take(self, batch: WatchBatch) -> None:
        """Applies the events revision by revision."""
        revision = 0
        before: Counter[str] = Counter(self.clients)
        for event in batch.events:
            if event.kv.mod_revision != revision:
                if revision:
                    self._check(revision, before)
                    before = Counter(self.clients)
                revision = event.kv.mod_revision
                self.revisions += 1
            self._apply(event.kv.key[len(ROOT) :].decode(), event.kv.value, event.deleted)
        if revision:
            self._check(revision, before)

    def _apply(self, name: str, value: bytes, deleted: bool) -> None:
        kind, _, rest = name.partition("/")
        if kind == "assignments":
            old = self.assigned.pop(rest, None)
            if old is not None:
                self.clients[old] -= 1
                if not deleted:
                    self.violations.append(f"{rest} was at {old} and got another home")
            if not deleted:
                unit = json.loads(value)["unit"]
                self.assigned[rest] = unit
                self.clients[unit] += 1
        elif kind == "capacity":
            self.ledgers[rest] = {} if deleted else json.loads(value)
        elif kind == "usage":
            unit, _, provisioner = rest.partition("/")
            self.usage[unit][provisioner] = 0 if deleted else int(value)

    def _check(self, revision: int, before: Counter[str]) -> None:
        for unit, ledger in self.ledgers.items():
            count = self.clients[unit]
            self.fullest[unit] = max(self.fullest[unit], count)
            if count > before[unit] and count > ledger["capacity"]:
                self.violations.append(
                    f"revision {revision}: {unit} has {count} of {ledger['capacity']}"
                )
            told = ledger["settled"] + sum(self.usage[unit].values())
            if told != count:
                self.violations.append(f"revision {revision}: {unit} has {count}, ledger {told}")


async def replay(store: Store) -> History:
    """The history from the beginning until now."""
    history = History()
    end = (await store.range(ROOT, limit=1)).revision
    async for batch in store.watch(ROOT, from_revision=1):
        history.take(batch)
        if batch.revision >= end:
            return history
    raise AssertionError("the watch ended")

"""MemoryUses: at how many keys rules and forecasts of tenants remember something, in how many
bytes, and whether there is room for more.

A key counts for the memory that has it, for its tenant, and for the producer whose event made it;
its bytes are those that are stored. What is full takes no new keys, and goes on at those that it
has; where bytes are twice as many as they may be, it takes nothing more anywhere until some are
gone. Keys are exact at any moment, bytes as of the last write. Loading is the caller's; nothing
here reads or writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from data_sharing.rules.cell_id import CellId

COUNTED = frozenset({"rule", "forecast"})  # kinds of cells; of the others a rule has one each
OVERDRAWN = 2  # times as many bytes as may be, and keys that are there do not grow any more
MOST_KNOWN = 100_000  # memories and producers whose counts are kept from one write to the next

MemoryName: TypeAlias = tuple[str, str, str]  # tenant, kind, name of the state
Producer: TypeAlias = tuple[str, str]  # tenant, source


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimits:
    """Of one rule or forecast, at one key of it, of a tenant in all, and what events of one
    producer may make of it."""

    rule_keys: int = 1_000_000
    rule_bytes: int = 1 << 30
    key_bytes: int = 1 << 20
    tenant_keys: int = 4_000_000
    tenant_bytes: int = 4 << 30
    producer_keys: int = 2_000_000


class MemoryUse(NamedTuple):
    """What is kept. bytes: as stored."""

    keys: int = 0
    bytes: int = 0

    def plus(self, other: MemoryUse) -> MemoryUse:
        return MemoryUse(self.keys + other.keys, self.bytes + other.bytes)


NOTHING = MemoryUse()


class MemoryChanges:
    """By how much writes of cells change what is kept."""

    __slots__ = ("memories", "producers", "tenants")

    def __init__(self) -> None:
        self.memories: dict[MemoryName, MemoryUse] = {}
        self.tenants: dict[str, MemoryUse] = {}  # the same of all that a tenant has
        self.producers: Counter[Producer] = Counter()

    def add(self, cell: CellId, keys: int, size: int, producer: str) -> None:
        """keys: 1: the cell is new; -1: it is gone, and then the size is below 0."""
        name, change = (cell.tenant, cell.kind, cell.name), MemoryUse(keys, size)
        self.memories[name] = self.memories.get(name, NOTHING).plus(change)
        self.tenants[cell.tenant] = self.tenants.get(cell.tenant, NOTHING).plus(change)
        if keys and producer:
            self.producers[cell.tenant, producer] += keys


class MemoryUses:
    """load: of a memory as it is stored; of a tenant in all, where kind and name are empty.
    load_producer: keys."""

    def __init__(
        self,
        load: Callable[[MemoryName], MemoryUse],
        load_producer: Callable[[Producer], int],
        limits: MemoryLimits | None = None,
    ) -> None:
        self._load, self._load_producer = load, load_producer
        self.limits = limits or MemoryLimits()
        self._uses: dict[MemoryName, MemoryUse] = {}
        self._producers: dict[Producer, int] = {}
        self._new = MemoryChanges()  # keys that are not written yet

    def why_full(self, cell: CellId, producer: str) -> str:
        """Why nothing is remembered at a key that is new; empty: it may be. producer: whose event
        is to make it; empty: none's."""
        limits, tenant = self.limits, cell.tenant
        use = self._use((tenant, cell.kind, cell.name))
        if use.keys >= limits.rule_keys:
            return f"it remembers {use.keys:,} keys, as many as it may; no key is added"
        if use.bytes >= limits.rule_bytes:
            return f"what it remembers has {use.bytes:,} bytes, as many as it may; no key is added"
        if producer:
            made = self._keys_of((tenant, producer))
            if made >= limits.producer_keys:
                return f"events of this producer have made {made:,} keys, as many as they may"
        use = self._use((tenant, "", ""))
        if use.keys >= limits.tenant_keys:
            return f"rules of the tenant remember {use.keys:,} keys, as many as they may"
        if use.bytes >= limits.tenant_bytes:
            return f"what rules of the tenant remember has {use.bytes:,} bytes, as many as it may"
        return ""

    def why_no_more(self, cell: CellId, size: int) -> str:
        """Why nothing is added at a key that is there; empty: it may be. size: of the cell."""
        limits = self.limits
        if size >= limits.key_bytes:
            return f"it remembers {size:,} bytes at this key, as many as it may at one"
        use = self._use((cell.tenant, cell.kind, cell.name))
        if use.bytes >= OVERDRAWN * limits.rule_bytes:
            return f"what it remembers has {use.bytes:,} bytes, twice as many as it should"
        use = self._use((cell.tenant, "", ""))
        if use.bytes >= OVERDRAWN * limits.tenant_bytes:
            return f"what rules of the tenant remember has {use.bytes:,} bytes, twice its bound"
        return ""

    def added(self, cell: CellId, producer: str) -> None:
        """A key is new, and is written with what changed."""
        if cell.kind in COUNTED:
            self._new.add(cell, 1, 0, producer)

    def written(self, changes: MemoryChanges) -> None:
        """Everything that was new is written, in the running transaction."""
        self._new = MemoryChanges()
        if len(self._uses) + len(self._producers) > MOST_KNOWN:
            self.forget()
            return
        for name, change in changes.memories.items():
            if name in self._uses:
                self._uses[name] = self._uses[name].plus(change)
        for tenant, change in changes.tenants.items():
            if (tenant, "", "") in self._uses:
                self._uses[tenant, "", ""] = self._uses[tenant, "", ""].plus(change)
        for producer, keys in changes.producers.items():
            if producer in self._producers:
                self._producers[producer] += keys

    def forget(self) -> None:
        """What is known may not be so."""
        self._uses.clear()
        self._producers.clear()
        self._new = MemoryChanges()

    def _use(self, name: MemoryName) -> MemoryUse:
        found = self._uses.get(name)
        if found is None:
            found = self._uses[name] = self._load(name)
        if not self._new.memories:
            return found
        new = self._new.memories.get(name) if name[1] else self._new.tenants.get(name[0])
        return found if new is None else found.plus(new)

    def _keys_of(self, producer: Producer) -> int:
        found = self._producers.get(producer)
        if found is None:
            found = self._producers[producer] = self._load_producer(producer)
        return found + self._new.producers[producer]

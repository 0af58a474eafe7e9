"""MemoryUses: at how many keys rules and forecasts of tenants remember something, in how many
bytes, and whether there is room for more.

A key and its bytes count for the memory that has it, for its tenant, and for the producer whose
event made it; bytes are those that are stored. What is full takes no new keys, and goes on at those
that it has; where bytes are twice as many as they may be, it takes nothing more anywhere until some
are gone, nor does it of a producer. Keys are exact at any moment, bytes as of the last write.
Loading is the caller's; nothing here reads or writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from data_sharing.memory_limits import (
    OVERDRAWN,
    MemoryLimits,
    MemorySpec,
    TenantLimits,
)
from data_sharing.rules.cell_id import CellId

COUNTED = frozenset({"rule", "forecast"})  # kinds of cells; of the others a rule has one each
MOST_KNOWN = 100_000  # memories and producers whose counts are kept from one write to the next

MemoryName: TypeAlias = tuple[str, str, str]  # tenant, kind, name of the state
Producer: TypeAlias = tuple[str, str]  # tenant, source


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
        self.producers: dict[Producer, MemoryUse] = {}

    def add(self, cell: CellId, keys: int, size: int, producer: str) -> None:
        """keys: 1: the cell is new; -1: it is gone, and then the size is below 0. producer: who
        made it; empty: nobody."""
        tenant, kind, name, _ = cell
        memory = tenant, kind, name
        had = self.memories.get(memory, NOTHING)
        self.memories[memory] = MemoryUse(had[0] + keys, had[1] + size)
        had = self.tenants.get(tenant, NOTHING)
        self.tenants[tenant] = MemoryUse(had[0] + keys, had[1] + size)
        if producer:
            made = tenant, producer
            had = self.producers.get(made, NOTHING)
            self.producers[made] = MemoryUse(had[0] + keys, had[1] + size)


class MemoryUses:
    """load: of a memory as it is stored; of a tenant in all, where kind and name are empty.
    load_producer: what its events have made. limits: of each tenant."""

    def __init__(
        self,
        load: Callable[[MemoryName], MemoryUse],
        load_producer: Callable[[Producer], MemoryUse],
        limits: TenantLimits | None = None,
    ) -> None:
        self._load, self._load_producer = load, load_producer
        self.limits = limits or TenantLimits(MemoryLimits())
        self._uses: dict[MemoryName, MemoryUse] = {}
        self._producers: dict[Producer, MemoryUse] = {}
        self._new = MemoryChanges()  # keys that are not written yet

    def why_full(self, cell: CellId, producer: str, own: MemorySpec | None = None) -> str:
        """Why nothing is remembered at a key that is new; empty: it may be. producer: whose event
        is to make it; empty: none's. own: what the rule or forecast says itself."""
        limits, tenant = self.limits.of(cell.tenant), cell.tenant
        use = self._use((tenant, cell.kind, cell.name))
        most = limits.rule_keys
        if own is not None and own.keys is not None:
            most = min(most, own.keys)
        if use.keys >= most:
            return (
                f"it remembers {use.keys:,} keys, as many as it may "
                f"({self.limits.shown_of(tenant, own, 'keys')}); no key is added"
            )
        most = limits.rule_bytes
        if own is not None and own.bytes is not None:
            most = min(most, own.bytes)
        if use.bytes >= most:
            return (
                f"what it remembers has {use.bytes:,} bytes, as many as it may "
                f"({self.limits.shown_of(tenant, own, 'bytes')}); no key is added"
            )
        if producer:
            made = self._made_by((tenant, producer))
            if made.keys >= limits.producer_keys:
                return (
                    f"events of this producer have made {made.keys:,} keys, as many as they may "
                    f"({self.limits.shown(tenant, 'producer_keys')})"
                )
            if made.bytes >= limits.producer_bytes:
                return (
                    f"keys that events of this producer have made have {made.bytes:,} bytes, as "
                    f"many as they may ({self.limits.shown(tenant, 'producer_bytes')}); no key "
                    "is added"
                )
        use = self._use((tenant, "", ""))
        if use.keys >= limits.tenant_keys:
            return (
                f"rules of the tenant remember {use.keys:,} keys, as many as they may "
                f"({self.limits.shown(tenant, 'tenant_keys')})"
            )
        if use.bytes >= limits.tenant_bytes:
            return (
                f"what rules of the tenant remember has {use.bytes:,} bytes, as many as it may "
                f"({self.limits.shown(tenant, 'tenant_bytes')})"
            )
        return ""

    def why_no_more(
        self, cell: CellId, size: int, producer: str = "", own: MemorySpec | None = None
    ) -> str:
        """Why nothing is added at a key that is there; empty: it may be. size: of the cell.
        producer: whose event is to add to it; own: as for `why_full`."""
        limits, tenant = self.limits.of(cell.tenant), cell.tenant
        most = limits.key_bytes
        if own is not None and own.key_bytes is not None:
            most = min(most, own.key_bytes)
        if size >= most:
            return (
                f"it remembers {size:,} bytes at this key, as many as it may at one "
                f"({self.limits.shown_of(tenant, own, 'key_bytes')})"
            )
        use = self._use((tenant, cell.kind, cell.name))
        most = limits.rule_bytes
        if own is not None and own.bytes is not None:
            most = min(most, own.bytes)
        if use.bytes >= OVERDRAWN * most:
            return (
                f"what it remembers has {use.bytes:,} bytes, twice as many as it should "
                f"({self.limits.shown_of(tenant, own, 'bytes')})"
            )
        if producer:
            made = self._made_by((tenant, producer))
            if made.bytes >= OVERDRAWN * limits.producer_bytes:
                return (
                    f"keys that events of this producer have made have {made.bytes:,} bytes, twice "
                    f"as many as they should ({self.limits.shown(tenant, 'producer_bytes')})"
                )
        use = self._use((tenant, "", ""))
        if use.bytes >= OVERDRAWN * limits.tenant_bytes:
            return (
                f"what rules of the tenant remember has {use.bytes:,} bytes, twice as many as it "
                f"should ({self.limits.shown(tenant, 'tenant_bytes')})"
            )
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
        for producer, change in changes.producers.items():
            if producer in self._producers:
                self._producers[producer] = self._producers[producer].plus(change)

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

    def _made_by(self, producer: Producer) -> MemoryUse:
        found = self._producers.get(producer)
        if found is None:
            found = self._producers[producer] = self._load_producer(producer)
        new = self._new.producers.get(producer)
        return found if new is None else found.plus(new)

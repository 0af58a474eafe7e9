"""MemoryLimits: how much rules and forecasts may remember, and who says so: the server, a tenant's
record, a rule itself. The least of what is said holds, so a record gives no more than the server,
and a rule no more than its tenant. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import NamedTuple

import msgspec

OVERDRAWN = 2  # times as many bytes as may be, and keys that are there do not grow any more
MOST_BOUND = 1 << 50


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimits:
    """Of one rule or forecast, at one key of it, of a tenant in all, and of what events of one
    producer make of it."""

    rule_keys: int = 1_000_000
    rule_bytes: int = 1 << 30
    key_bytes: int = 1 << 20
    tenant_keys: int = 4_000_000
    tenant_bytes: int = 4 << 30
    producer_keys: int = 2_000_000
    producer_bytes: int = 2 << 30


NAMES = tuple(one.name for one in fields(MemoryLimits))


class MemorySpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a rule or forecast may remember by what it says itself; None: as its tenant's may."""

    keys: int | None = None
    bytes: int | None = None  # as stored
    key_bytes: int | None = None  # at one key

    def bounds(self) -> dict[str, tuple[str, int]]:
        """What is said here, by its name, with the bound of the tenant that it is held under."""
        given = {
            "keys": ("rule_keys", self.keys),
            "bytes": ("rule_bytes", self.bytes),
            "key_bytes": ("key_bytes", self.key_bytes),
        }
        return {name: (of, most) for name, (of, most) in given.items() if most is not None}


class BoundSource(StrEnum):
    """Who says a bound."""

    SERVER = "server"  # its settings, or what is usual
    TENANT = "tenant"  # the tenant's record
    RULE = "rule"  # the rule or forecast itself


class Bound(NamedTuple):
    """What holds. name: of MemoryLimits, or memory.… where the rule says it."""

    most: int
    source: BoundSource
    name: str


class TenantLimits:
    """What holds for each tenant. of_server: the most that any of them may have."""

    def __init__(self, of_server: MemoryLimits) -> None:
        self.of_server = of_server
        self._of_tenant: dict[str, MemoryLimits] = {}

    def follow(self, tenant: str, own: Mapping[str, int]) -> None:
        """A tenant's record says this from now on, by the names of MemoryLimits; what is not there
        or 0 is the server's to say."""
        least = {
            name: min(getattr(self.of_server, name), own.get(name) or MOST_BOUND) for name in NAMES
        }
        limits = MemoryLimits(**least)
        if limits == self.of_server:
            self._of_tenant.pop(tenant, None)
        else:
            self._of_tenant[tenant] = limits

    def of(self, tenant: str) -> MemoryLimits:
        """What holds for it."""
        return self._of_tenant.get(tenant, self.of_server)

    def source(self, tenant: str, name: str) -> BoundSource:
        """Who says a bound of that name for it."""
        same = getattr(self.of(tenant), name) == getattr(self.of_server, name)
        return BoundSource.SERVER if same else BoundSource.TENANT

    def held(self, tenant: str, own: MemorySpec | None, name: str) -> Bound:
        """What holds of a rule or forecast that says this itself. name: keys, bytes, key_bytes."""
        asked: int | None = None if own is None else getattr(own, name)
        bound = name if name == "key_bytes" else f"rule_{name}"
        most: int = getattr(self.of(tenant), bound)
        if asked is not None and asked <= most:
            return Bound(asked, BoundSource.RULE, f"memory.{name}")
        return Bound(most, self.source(tenant, bound), bound)

    def shown(self, tenant: str, name: str) -> str:
        """Which bound it is, of MemoryLimits, and whose, as people are told."""
        by_tenant = self.source(tenant, name) is BoundSource.TENANT
        return f"{name} of the tenant's record" if by_tenant else f"{name} of the server"

    def shown_of(self, tenant: str, own: MemorySpec | None, name: str) -> str:
        """The same of what holds of a rule or forecast; name: as for `held`."""
        held = self.held(tenant, own, name)
        if held.source is BoundSource.RULE:
            return f"{held.name} of its own"
        return self.shown(tenant, held.name)

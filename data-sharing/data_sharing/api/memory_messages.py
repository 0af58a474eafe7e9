"""How what rules and forecasts remember looks on the wire: uses, bounds, and who says them."""

from __future__ import annotations

from collections.abc import Mapping

from data_sharing.memory_limits import NAMES, BoundSource, MemorySpec, TenantLimits
from data_sharing.rules.memory_uses import MemoryUse
from homeport.api.datasharing.v1 import rule_pb2 as pb

_SOURCES = {
    BoundSource.SERVER: pb.MEMORY_SOURCE_SERVER,
    BoundSource.TENANT: pb.MEMORY_SOURCE_TENANT,
    BoundSource.RULE: pb.MEMORY_SOURCE_RULE,
}


def memory_to_proto(
    limits: TenantLimits,
    tenant: str,
    own: MemorySpec | None,
    use: MemoryUse,
    full: str,
    full_events: int,
) -> pb.RuleMemory:
    """Of one rule or forecast. own: what it says itself; full: why no keys are added."""
    keys = limits.held(tenant, own, "keys")
    size = limits.held(tenant, own, "bytes")
    return pb.RuleMemory(
        keys=use.keys, bytes=use.bytes, full=full, full_events=full_events,
        most_keys=keys.most, keys_source=_SOURCES[keys.source],
        most_bytes=size.most, bytes_source=_SOURCES[size.source],
    )  # fmt: skip


def bounds_to_proto(
    limits: TenantLimits, tenant: str, used: Mapping[str, int]
) -> list[pb.MemoryBound]:
    """All of a tenant. used: what is, by the bound's name, as far as that is asked for."""
    return [
        pb.MemoryBound(
            name=name,
            most=getattr(limits.of(tenant), name),
            source=_SOURCES[limits.source(tenant, name)],
            used=used.get(name),
        )
        for name in NAMES
    ]

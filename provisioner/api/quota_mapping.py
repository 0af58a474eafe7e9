"""How the quotas of a tenant, and its bounds of memory, look on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields

from control_plane.fleet.unit import TenantMemory, TenantQuota
from control_plane.quotas.limits import Counted
from control_plane.quotas.tenant_limits import InForce, Source
from homeport.api.tenancy.v1 import tenancy_pb2 as pb

_SOURCES = {
    Source.DEFAULT: pb.QUOTA_SOURCE_DEFAULT,
    Source.SETTINGS: pb.QUOTA_SOURCE_SETTINGS,
    Source.TENANT: pb.QUOTA_SOURCE_TENANT,
}


def quotas_from_proto(messages: Iterable[pb.Quota]) -> tuple[TenantQuota, ...]:
    """Unchecked."""
    return tuple(
        TenantQuota(
            quota=one.quota,
            counted_by=one.counted_by or Counted.TENANT.value,
            per_s=one.per_s,
            burst=one.burst,
        )
        for one in messages
    )


def quotas_to_proto(quotas: Iterable[TenantQuota]) -> list[pb.Quota]:
    """For the wire."""
    return [
        pb.Quota(quota=one.quota, counted_by=one.counted_by, per_s=one.per_s, burst=one.burst)
        for one in quotas
    ]


def in_force_to_proto(held: Iterable[InForce]) -> list[pb.QuotaInForce]:
    """For the wire."""
    return [
        pb.QuotaInForce(
            quota=one.quota.value,
            counted_by=one.counted.value,
            per_s=one.rate.per_s if one.rate is not None else 0.0,
            burst=one.rate.burst if one.rate is not None else 0.0,
            source=_SOURCES[one.source],
        )
        for one in held
    ]


def memory_from_proto(message: pb.MemoryBounds) -> TenantMemory:
    """Unchecked."""
    return TenantMemory(**{one.name: getattr(message, one.name) for one in fields(TenantMemory)})


def memory_to_proto(memory: TenantMemory) -> pb.MemoryBounds | None:
    """For the wire; None: nothing is said."""
    return None if memory == TenantMemory() else pb.MemoryBounds(**asdict(memory))

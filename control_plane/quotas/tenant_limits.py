"""What tenants have of quotas by their records: checked, and held under what the server allows.

A record never gives a tenant more than the settings of a server do, or what is usual where those
say nothing. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from control_plane.errors import InvalidInput, PermissionDenied
from control_plane.fleet.unit import TenantQuota
from control_plane.printable import quoted
from control_plane.quotas.limits import BURST_S, MOST_PER_S, USUAL, Counted, Limits, Quota
from control_plane.quotas.token_buckets import Rate


class Source(StrEnum):
    """Who says it."""

    DEFAULT = "default"  # what is usual
    SETTINGS = "settings"  # the server's settings
    TENANT = "tenant"  # the tenant's record


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What holds of one quota for one tenant at one server. rate None: no limit."""

    quota: Quota
    counted: Counted
    rate: Rate | None
    source: Source


def check_quotas(quotas: Collection[TenantQuota]) -> None:
    """Whether a record may have these, whichever servers count them. Raises InvalidInput for the
    first that it may not."""
    seen: set[tuple[str, str]] = set()
    for place, one in enumerate(quotas):
        where = f"tenant.quotas[{place}]"
        if one.quota not in {quota.value for quota in Quota}:
            words = ", ".join(sorted(quota.value for quota in Quota))
            raise InvalidInput(
                f"{where}.quota", f"{where}: {quoted(one.quota)} is none of the quotas {words}"
            )
        counts = [counted.value for counted in USUAL[Quota(one.quota)]]
        if one.counted_by not in counts:
            raise InvalidInput(
                f"{where}.counted_by",
                f"{where}: {one.quota} is counted by {', '.join(counts)}, and not by "
                f"{quoted(one.counted_by)}",
            )
        if not 0 < one.per_s <= MOST_PER_S:  # nor is it, where it is no number
            raise InvalidInput(
                f"{where}.per_s", f"{where}: {one.per_s:g} is no rate per second above 0"
            )
        if one.burst and not 1 <= one.burst <= MOST_PER_S:
            raise InvalidInput(
                f"{where}.burst", f"{where}: a burst is at least 1, and not {one.burst:g}"
            )
        if (one.quota, one.counted_by) in seen:
            raise InvalidInput(
                where, f"{where}: {one.quota} by {one.counted_by} stands there twice; keep one"
            )
        seen.add((one.quota, one.counted_by))


def in_force(
    tenant: str, quotas: Iterable[TenantQuota], limits: Mapping[Quota, Limits]
) -> Iterator[InForce]:
    """What holds for a tenant whose record has these quotas; those that no server of this kind
    counts are passed over."""
    wanted = {(one.quota, one.counted_by): one for one in quotas}
    for quota, limit in limits.items():
        for counted in USUAL[quota]:
            most, said = limit.of_tenant(counted, tenant)
            asked = wanted.get((quota.value, counted.value))
            rate = most if asked is None else _at_most(asked, most)
            source = Source.SETTINGS if said else Source.DEFAULT
            if asked is not None and rate != most:
                source = Source.TENANT
            yield InForce(quota=quota, counted=counted, rate=rate, source=source)


def _at_most(asked: TenantQuota, most: Rate | None) -> Rate:
    burst = asked.burst or max(1.0, asked.per_s * BURST_S)
    if most is None:
        return Rate(per_s=asked.per_s, burst=burst)
    return Rate(per_s=min(asked.per_s, most.per_s), burst=min(burst, most.burst))


def check_raises_none(before: Iterable[InForce], after: Iterable[InForce]) -> None:
    """Of the same tenant at the same server. Raises PermissionDenied for the first quota of which
    the tenant would have more."""
    had = {(one.quota, one.counted): one.rate for one in before}
    for one in after:
        was, now = _numbers(had[one.quota, one.counted]), _numbers(one.rate)
        if now[0] > was[0] or now[1] > was[1]:
            raise PermissionDenied(
                f"who is of one tenant may not raise its quotas ({one.quota} by {one.counted}); "
                "ask an operator of all tenants"
            )


def _numbers(rate: Rate | None) -> tuple[float, float]:
    return (math.inf, math.inf) if rate is None else (rate.per_s, rate.burst)

"""Quotas: whether a caller may ask now, by its client, its address and its tenant.

In this order, so that one client in a loop takes nothing of its tenant's. What the record of a
tenant says holds in place of what holds for all, and its addresses count for both. Each server
counts for itself. The hot path is three lookups and a few additions. A client's bucket is found by
the hash of its names, a number that stays small whatever they are: Python's, whose secret changes
with each process (PEP 456), so that nobody can ask for two that have the same.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache

from control_plane.errors import Exhausted
from control_plane.fleet.unit import TenantQuota, TenantSpec
from control_plane.native_classes import mypyc_attr
from control_plane.quotas.limits import Counted, Limits, Quota
from control_plane.quotas.tenant_limits import InForce, Source, in_force
from control_plane.quotas.token_buckets import MOST_KEYS, Rate, TokenBuckets

MOST_TENANTS_TOLD = 100  # in metrics; the rest is "other"
MOST_KEYS_OF_ONE = 10_000  # clients, and addresses, of a tenant with quotas of its own
MOST_NAME = 256  # characters
LEAST_RETRY_S = 0.001
_NO_LIMIT = Rate(per_s=1e15, burst=1e15)


@mypyc_attr(native_class=False)
class QuotaExceeded(Exhausted):
    """More was asked for than a tenant, a client or an address may; it is there after
    retry_after_s."""

    reason = "QUOTA"

    def __init__(self, quota: Quota, counted: Counted, wait_s: float) -> None:
        super().__init__(
            f"too many {quota} for one {counted}; try again in {wait_s:.3g} s",
            retry_after_s=max(LEAST_RETRY_S, wait_s),
        )
        self.quota = quota
        self.counted = counted
        self.metadata = {"quota": quota.value, "counted_by": counted.value}


class Quotas:
    """One per server. clock: monotonic seconds. refused: by quota, by what and tenant."""

    def __init__(
        self,
        limits: Mapping[Quota, Limits],
        *,
        clock: Callable[[], float],
        most_keys: int = MOST_KEYS,
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._most_keys = most_keys
        self._records: dict[str, tuple[TenantQuota, ...]] = {}
        self._own: dict[tuple[str, Quota], dict[Counted, TokenBuckets]] = {}
        self._buckets = {quota: _buckets(one, most_keys) for quota, one in limits.items()}
        self.refused: dict[tuple[str, str, str], int] = {}
        self._tenants_told: set[str] = set()

    def in_force(self, tenant: str, quotas: Iterable[TenantQuota]) -> list[InForce]:
        """What a tenant has here whose record has these."""
        return list(in_force(tenant, quotas, self._limits))

    def in_force_anywhere(self, tenant: str, quotas: Collection[TenantQuota]) -> list[InForce]:
        """The same, and what the record says of quotas that other servers count: as it stands
        there, for what those allow is not known here."""
        elsewhere = {quota: Limits() for quota in Quota if quota not in self._limits}
        return [*self.in_force(tenant, quotas), *in_force(tenant, quotas, elsewhere)]

    def follow(self, tenants: Mapping[str, TenantSpec]) -> None:
        """The records of tenants are these from now on. What a tenant has used stays counted
        while its quotas stay as they are."""
        for tenant in [name for name in self._records if name not in tenants]:
            self.follow_tenant(tenant, ())
        for tenant, record in tenants.items():
            self.follow_tenant(tenant, record.quotas)

    def follow_tenant(self, tenant: str, quotas: Collection[TenantQuota]) -> None:
        """The record of one tenant has these from now on; none: it says nothing of them, or there
        is no record."""
        if tuple(quotas) == self._records.get(tenant, ()):
            return
        if quotas:
            self._records[tenant] = tuple(quotas)
        else:
            del self._records[tenant]
        self._follow_tenant(tenant, quotas)

    def _follow_tenant(self, tenant: str, quotas: Collection[TenantQuota]) -> None:
        for quota in self._limits:
            self._own.pop((tenant, quota), None)
        for one in self.in_force(tenant, quotas):
            if one.source is Source.TENANT and one.rate is not None:
                keys = min(self._most_keys, MOST_KEYS_OF_ONE)
                buckets = TokenBuckets(one.rate, most_keys=keys)
                self._own.setdefault((tenant, one.quota), {})[one.counted] = buckets

    def take(
        self,
        quota: Quota,
        tenant: str,
        *,
        client: str = "",
        asker: str = "",
        address: str | None = None,
        cost: float = 1.0,
    ) -> None:
        """Counts what is asked for. client: its id, empty: of none alone; asker: who asks for it,
        who has a bucket of its own for each client, empty: it does not matter; address: the
        caller's, None: not known. Raises QuotaExceeded."""
        if len(tenant) > MOST_NAME:  # no such name; keys are bounded
            tenant = tenant[:MOST_NAME]
        clients, addresses, tenants = self._buckets[quota]
        of_its_own = None
        if self._own:
            own = self._own.get((tenant, quota))
            if own is not None:
                clients = own.get(Counted.CLIENT, clients)
                tenants = own.get(Counted.TENANT, tenants)
                of_its_own = own.get(Counted.ADDRESS)
        now = self._clock()
        if client and clients is not None:
            wait_s = clients.take(hash((tenant, client, asker)), now, cost)
            if wait_s:
                raise self._refusal(quota, Counted.CLIENT, tenant, wait_s)
        if address is not None and of_its_own is not None:
            wait_s = of_its_own.take(address_key(address), now, cost)
            if wait_s:
                raise self._refusal(quota, Counted.ADDRESS, tenant, wait_s)
        if address is not None and addresses is not None:
            wait_s = addresses.take(address_key(address), now, cost)
            if wait_s:
                raise self._refusal(quota, Counted.ADDRESS, tenant, wait_s)
        if tenants is not None:
            wait_s = tenants.take(tenant, now, cost)
            if wait_s:
                raise self._refusal(quota, Counted.TENANT, tenant, wait_s)

    def _refusal(self, quota: Quota, counted: Counted, tenant: str, wait_s: float) -> QuotaExceeded:
        self.count_refusal(quota.value, counted.value, tenant)
        return QuotaExceeded(quota, counted, wait_s)

    def count_refusal(self, quota: str, counted: str, tenant: str) -> None:
        """Somebody was refused by a quota, this one's or one that another part holds."""
        told = tenant
        if tenant not in self._tenants_told:
            if len(self._tenants_told) < MOST_TENANTS_TOLD:
                self._tenants_told.add(tenant)
            else:
                told = "other"
        key = (quota, counted, told)
        self.refused[key] = self.refused.get(key, 0) + 1

    @property
    def tenants(self) -> int:
        """How many have quotas of their own in their records, as this server has heard."""
        return len(self._records)


def _buckets(
    limits: Limits, most_keys: int
) -> tuple[TokenBuckets | None, TokenBuckets | None, TokenBuckets | None]:
    """Those of clients, addresses and tenants; None: no limit."""

    def made(counted: Counted) -> TokenBuckets | None:
        rate = limits.rates.get(counted)
        return TokenBuckets(rate, most_keys=most_keys) if rate is not None else None

    own = {tenant: rate or _NO_LIMIT for tenant, rate in limits.own.items()}
    common = limits.rates.get(Counted.TENANT)
    tenants = None
    if common is not None or own:
        tenants = TokenBuckets(common or _NO_LIMIT, own=own, most_keys=most_keys)
    return made(Counted.CLIENT), made(Counted.ADDRESS), tenants


@lru_cache(maxsize=65_536)
def address_key(address: str) -> str:
    """What an address counts as: itself, an IPv6 address its /64, which one host may have all
    of (RFC 6177, RFC 4291 section 2.5.1).

    >>> address_key("2001:db8:1:2:3:4:5:6"), address_key("192.0.2.7")
    ('2001:db8:1:2::/64', '192.0.2.7')
    """
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, 64), strict=False))

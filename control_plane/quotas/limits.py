"""Limits: what each tenant, client and address may ask for, in a second, and what is usual.

The usual limits are far above what anybody needs in normal use: they are there so that one caller
in a loop cannot take a server from all others. docs/reference/quotas.md has the table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from control_plane.errors import InvalidInput
from control_plane.identity.names import check_slug
from control_plane.printable import quoted
from control_plane.quotas.token_buckets import Rate

MOST_PER_S = 1e12
BURST_S = 5.0  # a full bucket has what comes in so long, or one
TENANT_PREFIX = "tenant:"


class Quota(StrEnum):
    """What is counted. Values are the words of settings, statuses and metrics."""

    PROVISIONS = "provisions"
    BATCHED_CLIENTS = "batched-clients"  # of ProvisionMany
    LOOKUPS = "lookups"
    WATCHES = "watches"  # begun
    EXPLANATIONS = "explanations"
    EVENTS = "events"
    EVENT_BYTES = "event-bytes"
    SUBMISSIONS = "submissions"
    RULE_TESTS = "rule-tests"  # and applied rules, which cost the same
    PLAN_WRITES = "plan-writes"
    OWN_CONSENTS = "own-consents"  # what users ask of their consents, changes or not
    TAILS = "tails"  # begun


class Service(StrEnum):
    """Who counts it: the command that serves it."""

    SERVE = "serve"
    SHARE = "share"


class Counted(StrEnum):
    """By what."""

    TENANT = "tenant"
    CLIENT = "client"
    ADDRESS = "address"


Settings: TypeAlias = Mapping[str, Mapping[str, float]]
"""A quota to `tenant`, `client`, `address` or `tenant:NAME` to a rate per second; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one quota. rates: those that there are; own: of tenants that have one of their own,
    None: no limit; said: those that are not the usual ones."""

    rates: Mapping[Counted, Rate] = field(default_factory=dict)
    own: Mapping[str, Rate | None] = field(default_factory=dict)
    said: frozenset[Counted] = frozenset()

    def of_tenant(self, counted: Counted, tenant: str) -> tuple[Rate | None, bool]:
        """What the server has for a tenant, None: no limit; and whether its settings say so."""
        if counted is Counted.TENANT and tenant in self.own:
            return self.own[tenant], True
        return self.rates.get(counted), counted in self.said


USUAL: Mapping[Quota, Mapping[Counted, float]] = {
    Quota.PROVISIONS: {Counted.TENANT: 100_000, Counted.CLIENT: 100, Counted.ADDRESS: 100_000},
    Quota.BATCHED_CLIENTS: {Counted.TENANT: 500_000, Counted.ADDRESS: 500_000},
    Quota.LOOKUPS: {Counted.TENANT: 50_000, Counted.CLIENT: 100, Counted.ADDRESS: 50_000},
    Quota.WATCHES: {Counted.TENANT: 1_000, Counted.CLIENT: 50, Counted.ADDRESS: 1_000},
    Quota.EXPLANATIONS: {Counted.TENANT: 200, Counted.CLIENT: 50, Counted.ADDRESS: 200},
    Quota.EVENTS: {Counted.TENANT: 100_000, Counted.ADDRESS: 200_000},
    Quota.EVENT_BYTES: {Counted.TENANT: 200e6, Counted.ADDRESS: 400e6},
    Quota.SUBMISSIONS: {Counted.TENANT: 10, Counted.ADDRESS: 20},
    Quota.RULE_TESTS: {Counted.TENANT: 50, Counted.ADDRESS: 100},
    Quota.PLAN_WRITES: {Counted.TENANT: 2_000, Counted.ADDRESS: 4_000},
    Quota.OWN_CONSENTS: {Counted.TENANT: 500, Counted.CLIENT: 5, Counted.ADDRESS: 500},
    Quota.TAILS: {Counted.TENANT: 500, Counted.ADDRESS: 1_000},
}


SHARED = frozenset({
    Quota.EVENTS, Quota.EVENT_BYTES, Quota.SUBMISSIONS, Quota.RULE_TESTS, Quota.PLAN_WRITES,
    Quota.OWN_CONSENTS, Quota.TAILS,
})  # fmt: skip


def counted_at(quota: Quota) -> Service:
    """Where a quota holds."""
    return Service.SHARE if quota in SHARED else Service.SERVE


def read_limits(settings: Settings, quotas: Iterable[Quota]) -> dict[Quota, Limits]:
    """Those of these quotas, with what settings say in place of the usual. Raises InvalidInput
    for words that mean nothing, and rates that are none."""
    known = {quota.value: quota for quota in quotas}
    for name in settings:
        if name not in known:
            raise InvalidInput(
                "quotas", f"{quoted(name)} is none of the quotas {', '.join(sorted(known))}"
            )
    return {quota: _limits(quota, settings.get(name, {})) for name, quota in known.items()}


def _limits(quota: Quota, said: Mapping[str, float]) -> Limits:
    wanted: dict[Counted, float] = dict(USUAL[quota])
    own: dict[str, Rate | None] = {}
    for whose, per_s in said.items():
        if not (math.isfinite(per_s) and 0 <= per_s <= MOST_PER_S):
            raise InvalidInput(
                "quotas", f"{quota}, {whose}: {per_s:g} is no rate per second; 0 is no limit"
            )
        if whose.startswith(TENANT_PREFIX):
            tenant = check_slug(whose.removeprefix(TENANT_PREFIX), "quotas")
            own[tenant] = rate_of(per_s) if per_s else None
        elif whose in USUAL[quota]:
            wanted[Counted(whose)] = per_s
        else:
            words = ", ".join((*USUAL[quota], f"{TENANT_PREFIX}NAME"))
            raise InvalidInput("quotas", f"{quota}: {quoted(whose)} is none of {words}")
    return Limits(
        rates={counted: rate_of(per_s) for counted, per_s in wanted.items() if per_s},
        own=own,
        said=frozenset(counted for counted in wanted if counted.value in said),
    )


def rate_of(per_s: float) -> Rate:
    """With the burst that goes with it."""
    return Rate(per_s=per_s, burst=max(1.0, per_s * BURST_S))

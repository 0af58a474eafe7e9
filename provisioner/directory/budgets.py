"""Lookup budgets: how much may be looked up, so that nobody walks the directory.

Each viewer, each network that viewers of a tenant ask from (/24, /48), and each tenant has a bucket
that fills at a rate; of those who walk in one tenant, the users of another feel nothing. A lookup
that finds nobody costs a viewer and a network twice what the one before it did, up to a bound; for
each minute without one it costs half again. What is hidden and what is absent cost the same. The
cost of a miss is taken before anybody knows what comes of the lookup, and given back where it was
none, so that lookups at once are counted like others. Pure; times are seconds.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from control_plane.errors import Exhausted

MOST_COST = 256.0
HALVES_S = 60.0  # a miss is forgotten in so long
MOST_BUCKETS = 100_000  # that are remembered; the one that was used longest ago goes


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupLimit:
    """doubles: whether misses in a row cost more and more."""

    per_s: float
    burst: float
    doubles: bool = True


VIEWER = LookupLimit(per_s=2.0, burst=300.0)
NETWORK = LookupLimit(per_s=20.0, burst=3_000.0)
TENANT = LookupLimit(per_s=20_000.0, burst=100_000.0, doubles=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupBudget:
    """What one of them has left. misses: in a row, less what was forgotten."""

    left: float
    misses: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """after: the budget, with the cost of a miss taken. wait_s: until it could be; 0: it was."""

    after: LookupBudget
    cost: float
    wait_s: float = 0.0


def charged(budget: LookupBudget | None, limit: LookupLimit, now_s: float) -> Charge:
    """A lookup is asked for. None: the first one."""
    if budget is None:
        budget = LookupBudget(left=limit.burst, misses=0.0, at_s=now_s)
    passed_s = max(0.0, now_s - budget.at_s)
    left = min(limit.burst, budget.left + passed_s * limit.per_s)
    misses = max(0.0, budget.misses - passed_s / HALVES_S)
    cost = min(MOST_COST, 2.0**misses) if limit.doubles else 1.0
    if left < cost:
        kept = LookupBudget(left=left, misses=misses, at_s=now_s)
        return Charge(after=kept, cost=cost, wait_s=(cost - left) / limit.per_s)
    misses = min(math.log2(MOST_COST), misses + 1.0)
    return Charge(after=LookupBudget(left=left - cost, misses=misses, at_s=now_s), cost=cost)


def given_back(budget: LookupBudget, limit: LookupLimit, cost: float) -> LookupBudget:
    """The lookup found somebody: it costs 1, and was no miss."""
    return replace(
        budget,
        left=min(limit.burst, budget.left + cost - 1.0),
        misses=max(0.0, budget.misses - 1.0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who looks up. viewer, network: empty: nobody in particular, and not counted. unit_id: that
    asks for the viewer, who is at home there; empty: an operator asks. stranger: whoever comes over
    HTTP, for the viewer or for nobody: never an operator."""

    tenant: str
    viewer: str = ""
    network: str = ""
    unit_id: str = ""
    stranger: bool = False


class LookupBudgets:
    """Those of one server. clock: monotonic seconds."""

    def __init__(self, *, clock: Callable[[], float], most: int = MOST_BUCKETS) -> None:
        self._clock = clock
        self._most = most
        self._budgets: OrderedDict[Hashable, LookupBudget] = OrderedDict()
        self.refused = 0

    def take(self, asker: Asker) -> LookupCharge:
        """Raises Exhausted where one of them has not enough left; then none is charged."""
        now_s, taken = self._clock(), []
        for name, limit in _counted(asker):
            charge = charged(self._budgets.get(name), limit, now_s)
            if charge.wait_s:
                self.refused += 1
                raise Exhausted(
                    "too much was looked up, and too little of it found; wait",
                    retry_after_s=charge.wait_s,
                )
            taken.append((name, limit, charge))
        for name, _, charge in taken:
            self._budgets[name] = charge.after
            self._budgets.move_to_end(name)
        while len(self._budgets) > self._most:
            self._budgets.popitem(last=False)
        return LookupCharge(self._budgets, [(name, limit, one.cost) for name, limit, one in taken])


class LookupCharge:
    """What one lookup was charged."""

    __slots__ = ("_budgets", "_taken")

    def __init__(
        self,
        budgets: OrderedDict[Hashable, LookupBudget],
        taken: list[tuple[Hashable, LookupLimit, float]],
    ) -> None:
        self._budgets = budgets
        self._taken = taken

    def found(self) -> None:
        """It found somebody."""
        for name, limit, cost in self._taken:
            budget = self._budgets.get(name)
            if budget is not None:
                self._budgets[name] = given_back(budget, limit, cost)
        self._taken = []


def _counted(asker: Asker) -> list[tuple[Hashable, LookupLimit]]:
    found: list[tuple[Hashable, LookupLimit]] = []
    if asker.viewer:
        found.append((("viewer", asker.tenant, asker.viewer), VIEWER))
    if asker.network:
        found.append((("network", asker.tenant, asker.network), NETWORK))
    found.append((("tenant", asker.tenant), TENANT))
    return found


def network_of(address: str) -> str:
    """The block that an address is counted in: /24 of IPv4, /48 of IPv6. Raises ValueError for
    what is no address."""
    bare = ip_address(address)
    mapped = getattr(bare, "ipv4_mapped", None)
    if mapped is not None:
        bare = mapped
    return str(ip_network((bare.packed, 24 if bare.version == 4 else 48), strict=False))

"""What a tenant's policy costs a decision: 1,000 rules beside one, and one beside none."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bench.suite.measurement import WARM_UP, Measurement, Ratio, Samples, divisor
from bench.suite.pure import ROOM, fleet
from bench.workloads import addresses
from control_plane import keys
from provisioner.geo.countries import countries
from provisioner.geo.database import GeoDatabase
from provisioner.geo.location import Location
from provisioner.geo.locator import Locator
from provisioner.placement.filters import PlacementPolicy, PolicySource
from provisioner.placement.occupancy import Occupancy
from provisioner.placement.policy_chooser import PolicyChooser
from provisioner.policy.compiled import CompiledPolicy
from provisioner.policy.compiling import compile_policy

UNITS = 100
CLIENTS = 100_000
PASSES = 10
RULES = 1_000
GROUPS = 50


class TenantPolicy:
    """A PolicySource of one policy."""

    def __init__(self, policy: CompiledPolicy) -> None:
        self._policy = policy

    @property
    def default(self) -> PlacementPolicy:
        return self._policy.base

    def of(self, tenant: str, location: Location, client_key: bytes) -> PlacementPolicy:
        return self._policy.of(location, client_key)

    def revision_of(self, tenant: str) -> int:
        return self._policy.revision


def policy_of(count: int) -> TenantPolicy:
    """So many rules: one that everybody is concerned by; the others each of one country, and one
    in four of these of a group besides, which no client of the bench is in."""
    codes = sorted(countries())
    lines = ["policy: 1", "groups:"]
    lines += [f"  g{number}: {{patterns: ['g{number}-*']}}" for number in range(GROUPS)]
    lines += ["rules:", "- {name: all, forbid: {labels: {state: old}}}"]
    for number in range(count - 1):
        when = f'location.country == "{codes[number % len(codes)]}"'
        if number % 4 == 3:
            when += f' && "g{number % GROUPS}" in client.groups'
        require = f"{{name: r{number}, when: '{when}', forbid: {{labels: {{r: '{number}'}}}}}}"
        lines.append(f"- {require}")
    return TenantPolicy(
        compile_policy(
            "\n".join(lines), tenant="t", revision=1, base=PlacementPolicy(), wall=time.time
        )
    )


class PolicyDecisions:
    """Decisions by one source for clients at the places of real addresses, warm."""

    def __init__(self, source: PolicySource, places: Sequence[Location]) -> None:
        occupancy = Occupancy(UNITS)
        for unit in range(UNITS):
            occupancy.update(unit, ROOM, 0.1)
        self._chooser = PolicyChooser(fleet(UNITS), source, occupancy)
        self._asked = [
            (places[number % len(places)], keys.assignment("t", f"client-{number}"))
            for number in range(CLIENTS)
        ]
        self.per_s(1)

    def per_s(self, passes: int) -> float:
        choose = self._chooser.choose
        began = time.perf_counter()
        for _ in range(passes):
            for place, client in self._asked:
                choose(place, "t", client)
        return passes * CLIENTS / (time.perf_counter() - began)


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """In turns, each pair right after one another."""
    database = GeoDatabase.open()
    locator = Locator(lambda: database)
    places = [locator.locate(address, None, None) for address in addresses()]
    without = PolicyDecisions(PlacementPolicy(), places)
    one, many = PolicyDecisions(policy_of(1), places), PolicyDecisions(policy_of(RULES), places)
    for number in range(WARM_UP, rounds):
        kept = samples if number != WARM_UP else Samples()
        passes = max(1, PASSES // divisor(number, quick=quick))
        kept.add("decide_without_policy_per_s", without.per_s(passes))
        kept.add("decide_1_rule_per_s", one.per_s(passes))
        kept.add("decide_1000_rules_per_s", many.per_s(passes))
        tick()


POLICIES = Measurement(
    name="policies",
    ratios=(
        Ratio(key="policy_1000_rules_vs_1", ours="decide_1000_rules_per_s",
              ceiling="decide_1_rule_per_s", target=0.80, paired=True),
        Ratio(key="decide_with_policy_vs_without", ours="decide_1_rule_per_s",
              ceiling="decide_without_policy_per_s", target=None, paired=True),
    ),
    units={
        "decide_without_policy_per_s": "decisions/s", "decide_1_rule_per_s": "decisions/s",
        "decide_1000_rules_per_s": "decisions/s",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip

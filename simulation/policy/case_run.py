"""Runs cases: each client is placed by the code of the servers, in a fleet of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from control_plane import keys
from control_plane.errors import InvalidInput
from control_plane.fleet.unit import UnitSpec
from control_plane.printable import printable
from provisioner.geo.location import NOWHERE, Location
from provisioner.placement.attributes import with_attributes
from provisioner.placement.choice import NoChoice
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.latency import NOTHING_MEASURED, Latencies
from provisioner.placement.occupancy import Occupancy
from provisioner.placement.policy_chooser import PolicyChooser
from simulation.policy.cases import Case, Expected
from simulation.policy.client_policy import ClientPolicy
from simulation.policy.simulated_fleet import simulated_fleet


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What became of a case. unit: where the client would live, empty: nowhere; rule: that chose
    it, or left nothing; broken: how it differs from what was asked for, a sentence; empty: it does
    not."""

    name: str
    unit: str
    rule: str
    reason: str
    broken: str


def run_cases(
    cases: Sequence[Case],
    policy: ClientPolicy,
    units: Sequence[UnitSpec],
    *,
    tenant: str,
    locate: Callable[[str], Location],
    latencies: Latencies = NOTHING_MEASURED,
) -> list[CaseResult]:
    """In their order. locate: where an address is; latencies: what was measured. Raises
    InvalidInput for a case that names a unit that is not there, or an address that is none."""
    return [_run(case, policy, units, tenant, locate, latencies) for case in cases]


def _run(
    case: Case,
    policy: ClientPolicy,
    units: Sequence[UnitSpec],
    tenant: str,
    locate: Callable[[str], Location],
    latencies: Latencies,
) -> CaseResult:
    simulated = simulated_fleet(units, latencies=latencies)
    fleet = simulated.fleet
    index = {str(unit.id): unit.index for unit in fleet.units}
    for name in (*case.full, *case.load, *case.expected.units):
        if name not in index:
            raise InvalidInput(
                "cases",
                f"{case.name}: the fleet has no unit {name}; correct the case, or name its fleet",
            )
    occupancy = Occupancy(len(fleet.units))
    for unit, at in index.items():
        capacity = simulated.capacities[at]
        share = 1.0 if unit in case.full else case.load.get(unit, 0.0)
        occupancy.update(at, round(capacity * (1.0 - share)), share)
    location = case.location
    if location is None:
        location = locate(case.address) if case.address else NOWHERE
    chooser = PolicyChooser(fleet, _Source(policy), occupancy)
    key = with_attributes(keys.assignment(tenant, case.client), case.attributes)
    found = chooser.choose(location, tenant, key, case.waited_s)
    if isinstance(found, NoChoice):
        return _placed_nowhere(case, found)
    unit = str(fleet.units[found.unit_index].id)
    return CaseResult(
        name=case.name,
        unit=unit,
        rule=found.rule,
        reason="",
        broken=_broken(case.expected, unit, found.rule),
    )


@dataclass(frozen=True, slots=True)
class _Source:
    policy: ClientPolicy

    @property
    def default(self) -> PlacementPolicy:
        return PlacementPolicy()  # nobody's: every client of a case is its tenant's

    def of(self, tenant: str, location: Location, client_key: bytes) -> PlacementPolicy:
        return self.policy.of(location, client_key)

    def revision_of(self, tenant: str) -> int:
        return 0


def _placed_nowhere(case: Case, found: NoChoice) -> CaseResult:
    full = bool(found.allowed)
    reason = "all units that may take it are full" if full else found.reason
    if full and found.cap is not None:
        reason += f": {found.cap.words}"
    return CaseResult(
        name=case.name,
        unit="",
        rule="full" if full else ", ".join(found.rules),
        reason=reason,
        broken=_broken_nowhere(case.expected, found, reason),
    )


def _broken(expected: Expected, unit: str, rule: str) -> str:
    lives = f"it would live in {unit}, by {rule}"
    if expected.refused:
        by = f" by {expected.refused_by}" if expected.refused_by else ""
        return f"{lives}, and should be refused{by}"
    if expected.full:
        return f"{lives}, and should find all units full"
    if expected.units and unit not in expected.units:
        return f"{lives}, and should in {' or '.join(expected.units)}"
    if expected.rule and rule != expected.rule:
        return f"{lives}, and should by {expected.rule}"
    return ""


def _broken_nowhere(expected: Expected, found: NoChoice, reason: str) -> str:
    if expected.full:
        return "" if found.allowed else f"no unit may take it: {reason}; should all be full"
    if not expected.refused:
        where = f" in {' or '.join(expected.units)}" if expected.units else ""
        return f"it would live nowhere: {reason}; and should{where}"
    if found.allowed:
        return "all units that may take it are full, and it should be refused"
    if expected.refused_by and expected.refused_by not in found.rules:
        by = ", ".join(found.rules) or reason
        return f"it is refused by {by}, and should be by {expected.refused_by}"
    return ""


def junit_text(results: Sequence[CaseResult]) -> str:
    """As JUnit has tests: XML, a case each."""
    broken = sum(bool(one.broken) for one in results)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name="homeport policy" tests="{len(results)}" failures="{broken}" errors="0">',
    ]
    for one in results:
        opened = f'  <testcase classname="policy" name={quoteattr(printable(one.name))}'
        if not one.broken:
            lines.append(f"{opened}/>")
            continue
        said = printable(one.broken)
        lines += [
            f"{opened}>",
            f"    <failure message={quoteattr(said)}>{escape(said)}</failure>",
            "  </testcase>",
        ]
    return "\n".join([*lines, "</testsuite>", ""])

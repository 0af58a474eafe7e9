"""CaseFile: clients and where they have to live, from a file, held against a policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from console.cli.input.text_file import read_text
from control_plane.fleet.unit import UnitSpec
from provisioner.geo.database import GeoDatabase
from provisioner.geo.location import Location
from provisioner.geo.locator import Locator
from provisioner.placement.latency import NOTHING_MEASURED, Latencies
from simulation.policy.case_run import CaseResult, run_cases
from simulation.policy.cases import read_cases
from simulation.policy.client_policy import ClientPolicy

MOST_NAMED = 5


class CaseFile:
    """Read when it is made. geo: another database than the bundled one, which is opened only where
    a case names an address. Raises FaultyCases, and what opening files raises."""

    def __init__(self, file: Path, geo: Path | None = None) -> None:
        self._cases = read_cases(read_text(file))
        asks = geo or any(case.address for case in self._cases)
        self._database = GeoDatabase.open(geo) if asks else None

    def run(
        self,
        policy: ClientPolicy,
        units: Sequence[UnitSpec],
        tenant: str,
        latencies: Latencies = NOTHING_MEASURED,
    ) -> list[CaseResult]:
        """What becomes of each, in their order. latencies: what was measured. Raises InvalidInput
        for one that names a unit that is not there."""
        return run_cases(
            self._cases, policy, units, tenant=tenant, locate=self._locate, latencies=latencies
        )

    def _locate(self, address: str) -> Location:
        database = self._database
        assert database is not None
        return Locator(lambda: database).explain(address, None, None)[0]


def broken_sentence(results: Sequence[CaseResult]) -> str:
    """Which cases a policy breaks, the first by name; empty: none."""
    broken = [f"{one.name} ({one.broken})" for one in results if one.broken]
    if not broken:
        return ""
    more = len(broken) - MOST_NAMED
    rest = f"; and {more:,} more" if more > 0 else ""
    verb = "is" if len(broken) == 1 else "are"
    return (
        f"{len(broken):,} of {len(results):,} cases {verb} broken by this policy: "
        f"{'; '.join(broken[:MOST_NAMED])}{rest}"
    )

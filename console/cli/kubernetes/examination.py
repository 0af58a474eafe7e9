"""All checks of `homeport doctor --cluster`, in the order in which their causes lie."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby

from console.cli.health_checks import CheckOutcome, Finding
from console.cli.kubernetes.certificate_checks import check_certificates
from console.cli.kubernetes.identity_checks import (
    check_program_versions,
    check_tokens,
    check_units,
)
from console.cli.kubernetes.network_checks import check_monitors, check_policies, check_services
from console.cli.kubernetes.references import check_claims, check_references
from console.cli.kubernetes.room_checks import check_autoscalers, check_budgets
from console.cli.kubernetes.server_checks import check_servers
from console.cli.kubernetes.state import ClusterState
from console.cli.kubernetes.workload_checks import check_workloads

MOST_OF_A_CHECK = 8  # findings; more of the same are told by their number


def examine(state: ClusterState, *, now_s: float, version: str) -> list[Finding]:
    """Pure. now_s: Unix time; version: of this command."""
    now = datetime.fromtimestamp(now_s, UTC)
    found = check_references(state)
    found += check_certificates(state, now)
    found += check_tokens(state, now)
    found += check_claims(state)
    found += check_workloads(state)
    found += check_servers(state, now_s)
    found += check_units(state)
    found += check_services(state)
    found += check_policies(state)
    found += check_monitors(state)
    found += check_budgets(state)
    found += check_autoscalers(state)
    found += check_program_versions(state, version)
    found += [
        Finding(
            check="rights",
            outcome=CheckOutcome.WARN,
            seen=f"{kind} cannot be read: {why}",
            next_step=f"what depends on them was not looked at; grant get and list of {kind}",
        )
        for kind, why in sorted(state.unreadable.items())
        if kind not in ("secrets", "namespaces")
    ]
    return _shortened(found)


def _shortened(findings: list[Finding]) -> list[Finding]:
    shown: list[Finding] = []
    for check, group in groupby(findings, key=lambda one: one.check):
        several = list(group)
        several.sort(key=lambda one: one.outcome is not CheckOutcome.FAIL)
        shown += several[:MOST_OF_A_CHECK]
        if rest := several[MOST_OF_A_CHECK:]:
            shown.append(
                Finding(
                    check=check,
                    outcome=rest[0].outcome,
                    seen=f"{len(rest)} more like these",
                    next_step="mend the first ones, and look again",
                )
            )
    return shown

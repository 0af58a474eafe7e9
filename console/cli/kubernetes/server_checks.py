"""What the servers say of themselves on their metrics ports, one pod after the other."""

from __future__ import annotations

from console.cli import health_checks as checks
from console.cli.health_checks import CheckOutcome, Finding, ok, warn
from console.cli.kubernetes.state import ClusterState


def check_servers(state: ClusterState, now_s: float) -> list[Finding]:
    """Of each pod that was asked: store, background tasks, damaged records, clock, geo database.
    now_s: Unix time."""
    faults: list[Finding] = []
    answered = 0
    for pod, seen in sorted(state.scrapes.items()):
        if seen is None:
            faults.append(
                warn(
                    "metrics",
                    f"pod {pod} says nothing on its metrics port",
                    "see whether it runs; asking needs the right to get pods/proxy",
                )
            )
            continue
        answered += 1
        if seen.store_connected is None:
            continue  # a program without a store
        found = [
            checks.check_store(seen.store_connected, seen.ready),
            checks.check_tasks(seen.failing_tasks),
            checks.check_records(seen.damaged),
            checks.check_policies(seen.policies_behind, seen.resting_hooks),
        ]
        if seen.clock_skew_s is not None:
            found.append(checks.check_clock(seen.clock_skew_s))
        if seen.geo_build_s is not None:
            found.append(checks.check_geo(seen.geo_build_s, now_s))
        faults += [
            Finding(
                check=one.check,
                outcome=one.outcome,
                seen=f"pod {pod}: {one.seen}",
                next_step=one.next_step,
            )
            for one in found
            if one.outcome is not CheckOutcome.OK
        ]
    return faults or ([ok("servers", f"{answered} answer, and miss nothing")] if answered else [])

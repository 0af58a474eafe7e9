"""Whether nodes can be drained and load can be followed: disruption budgets and autoscalers."""

from __future__ import annotations

from collections.abc import Iterator

from console.cli.health_checks import Finding, fail, ok, warn
from console.cli.kubernetes.state import (
    ClusterState,
    Object,
    condition_of,
    labels_of,
    listed,
    name_of,
    selects,
    spec_of,
    status_of,
)


def check_budgets(state: ClusterState) -> list[Finding]:
    """Budgets that would hold up the drain of a node for ever."""
    budgets = state.own("poddisruptionbudgets")
    faults = [finding for one in budgets for finding in _budget(state, one)]
    for pod in state.live_pods():
        holding = [
            name_of(one)
            for one in state.all("poddisruptionbudgets")
            if (selector := spec_of(one).get("selector")) is not None
            and selects(selector, labels_of(pod))
        ]
        if len(holding) > 1:
            faults.append(
                fail(
                    "budgets",
                    f"pod {name_of(pod)} is held by {' and '.join(holding)}; a pod of several "
                    "budgets cannot be evicted at all",
                    "leave one of them; the chart makes one for each component",
                )
            )
            break
    return faults or ([ok("budgets", f"{len(budgets)}, none holds up a drain")] if budgets else [])


def _budget(state: ClusterState, budget: Object) -> Iterator[Finding]:
    status, name = status_of(budget), name_of(budget)
    if status.get("disruptionsAllowed", 0) > 0:
        return
    expected = status.get("expectedPods", 0)
    healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    if condition := condition_of(budget, "DisruptionAllowed"):
        if condition.get("reason") == "SyncFailed":
            yield fail("budgets", f"{name}: {condition.get('message')}", "mend its selector")
            return
    else:
        return  # nobody has looked at it yet
    if expected == 0:
        yield warn("budgets", f"{name} holds no pod", "mend its selector, or leave it out")
    elif healthy >= expected:
        yield fail(
            "budgets",
            f"{name} lets no pod go: {desired} of {expected} must run, so no node that has one "
            "of them can be drained",
            "raise the replicas, or set its maxUnavailable to 1 in the values",
        )
    else:
        yield warn(
            "budgets",
            f"{name} lets no pod go now: {healthy} of {expected} are ready, {desired} must be",
            "get its pods ready first; drains of nodes wait until then",
        )


def check_autoscalers(state: ClusterState) -> list[Finding]:
    """Autoscalers that do not see the load, or cannot do more."""
    scalers = state.own("horizontalpodautoscalers")
    faults = [finding for one in scalers for finding in _autoscaler(state, one)]
    return faults or ([ok("autoscaling", f"{len(scalers)} see the load")] if scalers else [])


def _autoscaler(state: ClusterState, scaler: Object) -> Iterator[Finding]:
    name, target = name_of(scaler), spec_of(scaler).get("scaleTargetRef") or {}
    able, active = condition_of(scaler, "AbleToScale"), condition_of(scaler, "ScalingActive")
    limited = condition_of(scaler, "ScalingLimited")
    asked = {
        str((one.get("resource") or {}).get("name"))
        for one in listed(scaler, "spec", "metrics")
        if one.get("type") == "Resource"
        and ((one.get("resource") or {}).get("target") or {}).get("type") == "Utilization"
    }
    workload = next((one for one in state.workloads() if one.name == target.get("name")), None)
    unasked = sorted(
        metric
        for metric in asked
        if workload is not None
        and not all(
            metric in ((container.get("resources") or {}).get("requests") or {})
            for container in workload.containers()
        )
    )
    if unasked:
        yield fail(
            "autoscaling",
            f"{name} goes by the share of {', '.join(unasked)}, which {target.get('name')} does "
            "not request",
            "set resources.requests in the values",
        )
    if able and able.get("status") == "False":
        yield fail(
            "autoscaling",
            f"{name} cannot scale {target.get('kind')} {target.get('name')}: {able.get('message')}",
            "mend its scaleTargetRef",
        )
    elif active and active.get("status") == "False" and active.get("reason") != "ScalingDisabled":
        yield fail(
            "autoscaling",
            f"{name} sees no load: {active.get('message')}",
            "install metrics-server (kubectl top pods must answer), or switch autoscaling off",
        )
    elif limited and limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
        yield warn("autoscaling", f"{name} is at its most replicas", "raise maxReplicas")

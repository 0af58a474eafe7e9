"""Services, policies, budgets and autoscalers at which one thing is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kube.release_objects import Objects
from tests.support.kube.spoiled_release import (
    Spoil,
    arguments,
    condition,
    containers,
    fault,
    named,
    tells,
    update,
)


def _no_requests(objects: Objects) -> None:
    containers(objects, "deployments", "hp-provisioner")[0]["resources"] = {}


def _two_budgets(objects: Objects) -> None:
    second = {**named(objects, "poddisruptionbudgets", "hp-provisioner")}
    objects["poddisruptionbudgets"].append(
        {**second, "metadata": {**second["metadata"], "name": "by-hand"}}
    )


def _ingress(*rules: dict[str, Any]) -> Spoil:
    return update("networkpolicies", "hp-provisioner", "spec", ingress=list(rules))


@pytest.mark.parametrize(
    ("spoil", "check", "words", "outcome"),
    [
        fault(
            "a service that leads nowhere",
            update("services", "hp-provisioner", "spec", selector={"app": "other"}),
            "services",
            "leads to no pod",
            "app=other",
        ),
        fault(
            "a name that no service has",
            arguments("deployments", "hp-unit-dublin", "hp-provisioner.", "hp-provisoner."),
            "services",
            "calls hp-provisoner.homeport.svc",
            "--server",
        ),
        fault(
            "a policy that keeps out the scraper",
            _ingress({"ports": [{"port": 7700}]}),
            "policies",
            "whoever scrapes metrics",
            "7701",
            "does not open it",
        ),
        fault(
            "a policy for a namespace that is not there",
            _ingress(
                {"ports": [{"port": "grpc"}]},
                {"from": [{"namespaceSelector": {"matchLabels": {"name": "observability"}}}]},
            ),
            "policies",
            "none here",
            "7701",
        ),
        fault("a policy that keeps everybody out", _ingress(), "policies", "7700", "7701"),
        fault(
            "a policy that keeps the store away",
            update("networkpolicies", "hp-provisioner", "spec", egress=[{"ports": [{"port": 53}]}]),
            "policies",
            "from hp-etcd-0.hp-etcd.homeport.svc:2379",
            "--store",
        ),
        fault(
            "a policy that keeps names away",
            update(
                "networkpolicies", "hp-provisioner", "spec", egress=[{"ports": [{"port": 2379}]}]
            ),
            "policies",
            "DNS",
        ),
        fault(
            "a monitor of a port that is not there",
            update("servicemonitors", "hp", "spec", endpoints=[{"port": "http"}]),
            "monitors",
            "port http",
        ),
        fault(
            "a monitor of no service",
            update("servicemonitors", "hp", "spec", selector={"matchLabels": {"a": "b"}}),
            "monitors",
            "selects no service",
        ),
        fault(
            "a budget that lets no node go",
            update(
                "poddisruptionbudgets",
                "hp-provisioner",
                "status",
                disruptionsAllowed=0,
                expectedPods=1,
                currentHealthy=1,
                desiredHealthy=1,
            ),
            "budgets",
            "1 of 1 must run",
            "drained",
        ),
        fault(
            "a budget while pods are away",
            update(
                "poddisruptionbudgets",
                "hp-provisioner",
                "status",
                disruptionsAllowed=0,
                currentHealthy=2,
            ),
            "budgets",
            "2 of 3 are ready",
            warns=True,
        ),
        fault(
            "a budget of no pod",
            update(
                "poddisruptionbudgets",
                "hp-provisioner",
                "status",
                disruptionsAllowed=0,
                expectedPods=0,
            ),
            "budgets",
            "holds no pod",
            warns=True,
        ),
        fault("two budgets of one pod", _two_budgets, "budgets", "by-hand"),
        fault(
            "an autoscaler without metrics",
            condition(
                "horizontalpodautoscalers",
                "hp-provisioner",
                type="ScalingActive",
                status="False",
                reason="FailedGetResourceMetric",
                message="no metrics returned",
            ),
            "autoscaling",
            "no metrics returned",
        ),
        fault(
            "an autoscaler of nothing",
            condition(
                "horizontalpodautoscalers",
                "hp-provisioner",
                type="AbleToScale",
                status="False",
                message="not found",
            ),
            "autoscaling",
            "cannot scale Deployment",
        ),
        fault(
            "an autoscaler at its end",
            condition(
                "horizontalpodautoscalers",
                "hp-provisioner",
                type="ScalingLimited",
                status="True",
                reason="TooManyReplicas",
            ),
            "autoscaling",
            "most replicas",
            warns=True,
        ),
        fault("an autoscaler by shares of nothing", _no_requests, "autoscaling", "share of cpu"),
    ],
)
def test_a_fault_is_named_with_what_to_do(
    spoil: Spoil, check: str, words: tuple[str, ...], outcome: str
) -> None:
    tells(spoil, check, words, outcome)

"""Pods that do not run, or not well."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kube.release_objects import Objects
from tests.support.kube.spoiled_release import (
    Spoil,
    condition,
    fault,
    named,
    tells,
    update,
    without,
)


def waiting(reason: str, message: str = "", **status: Any) -> Spoil:
    """A pod of the servers whose container waits."""

    def spoil(objects: Objects) -> None:
        pod = named(objects, "pods", "hp-provisioner-0")["status"]
        pod["phase"] = "Pending"
        pod["conditions"][1]["status"] = "False"
        pod["containerStatuses"][0].update(
            ready=False, state={"waiting": {"reason": reason, "message": message}}, **status
        )

    return spoil


def _an_old_agent(objects: Objects) -> None:
    pod = named(objects, "pods", "hp-unit-dublin-0")
    pod["metadata"]["labels"]["app.kubernetes.io/version"] = "0.3.0"


def _refused_pods(objects: Objects) -> None:
    without("pods", "hp-etcd-0")(objects)
    objects["events"].append(
        {
            "reason": "FailedCreate",
            "message": 'violates PodSecurity "restricted:latest"',
            "involvedObject": {"name": "hp-etcd"},
        }
    )


@pytest.mark.parametrize(
    ("spoil", "check", "words", "outcome"),
    [
        fault(
            "an image that is not there",
            waiting("ImagePullBackOff", "Back-off pulling image"),
            "images",
            "registry.example.com/homeport",
        ),
        fault(
            "a registry that is not there",
            waiting("ErrImagePull", "no such host"),
            "images",
            "no such host",
        ),
        fault(
            "a container that cannot be made",
            waiting("CreateContainerConfigError", 'secret "x" not found'),
            "pods",
            'secret "x" not found',
        ),
        fault(
            "a server that refuses its settings",
            waiting(
                "CrashLoopBackOff",
                restartCount=4,
                lastState={"terminated": {"exitCode": 2, "message": "--listen: no port"}},
            ),
            "pods",
            "exit code 2",
            "settings",
            "--listen: no port",
        ),
        fault(
            "a server that is too large",
            waiting(
                "CrashLoopBackOff",
                lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            ),
            "pods",
            "want of memory",
        ),
        fault(
            "a pod that is not ready",
            condition("pods", "hp-provisioner-0", type="Ready", status="False"),
            "pods",
            "runs and is not ready",
        ),
        fault(
            "a pod without a node",
            condition(
                "pods",
                "hp-provisioner-0",
                type="PodScheduled",
                status="False",
                message="0/3 nodes: insufficient cpu",
            ),
            "pods",
            "insufficient cpu",
        ),
        fault(
            "pods that the namespace refuses",
            condition(
                "deployments",
                "hp-provisioner",
                type="ReplicaFailure",
                status="True",
                message="exceeded quota",
            ),
            "pods",
            "exceeded quota",
        ),
        fault(
            "pods of a set that the namespace refuses",
            _refused_pods,
            "pods",
            "violates PodSecurity",
        ),
        fault(
            "a roll-out that stands still",
            condition(
                "deployments",
                "hp-provisioner",
                type="Progressing",
                status="False",
                reason="ProgressDeadlineExceeded",
            ),
            "pods",
            "roll-out",
        ),
        fault(
            "a workload scaled to nothing",
            update("deployments", "hp-provisioner", "spec", replicas=0),
            "pods",
            "scaled to 0",
            warns=True,
        ),
        fault(
            "a unit without its agent",
            update("deployments", "hp-unit-dublin", "status", readyReplicas=0),
            "units",
            "dublin",
        ),
        fault("an agent of another version", _an_old_agent, "versions", "hp-unit-dublin-0 0.3.0"),
    ],
)
def test_a_fault_is_named_with_what_to_do(
    spoil: Spoil, check: str, words: tuple[str, ...], outcome: str
) -> None:
    tells(spoil, check, words, outcome)

"""Whether pods run: made, placed, pulled, started, ready. Each finding names the pod or what makes
it, with the cluster's own words for why."""

from __future__ import annotations

from collections.abc import Iterator

from console.cli.health_checks import Finding, fail, ok, warn
from console.cli.kubernetes.state import (
    ClusterState,
    Object,
    Workload,
    condition_of,
    listed,
    name_of,
    spec_of,
    status_of,
)

CHECK = "pods"
_PULL = {
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
    "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed",
}  # fmt: skip
_FAILED_STARTS = 3  # so many, and a container that runs just now is told as well


def check_workloads(state: ClusterState) -> list[Finding]:
    workloads = [one for one in state.workloads() if one.kind != "Pod"]
    if not workloads:
        where = f"release {state.release} in " if state.release else ""
        return [
            fail(
                CHECK,
                f"nothing of Homeport in {where}namespace {state.namespace}",
                "name the namespace with --namespace (and --release); helm list -A tells them",
            )
        ]
    faults = [finding for one in workloads for finding in _making(state, one)]
    for pod in state.live_pods():
        faults += _pod(state, pod)
    running = sum(1 for pod in state.live_pods() if _is_ready(pod))
    return faults or [ok(CHECK, f"all {running} of {len(workloads)} workloads run and are ready")]


def _making(state: ClusterState, workload: Workload) -> Iterator[Finding]:
    """Whether its pods are made at all."""
    document, status = workload.document, status_of(workload.document)
    refused = condition_of(document, "ReplicaFailure")
    message = str(refused.get("message")) if refused and refused.get("status") == "True" else ""
    if not message and workload.kind != "Job":
        made = {workload.name, *_sets_of(state, workload)}
        message = next(
            (
                str(event.get("message"))
                for event in reversed(state.all("events"))
                if event.get("reason") == "FailedCreate"
                and (event.get("involvedObject") or {}).get("name") in made
                and not state.pods_of(workload)
            ),
            "",
        )
    if message:
        yield fail(
            CHECK,
            f"{workload.title}: the cluster refuses its pods: {message}",
            "change the chart's values as it says, or the namespace's policy or quota",
        )
    progressing = condition_of(document, "Progressing")
    if progressing and progressing.get("reason") == "ProgressDeadlineExceeded":
        yield fail(
            CHECK,
            f"{workload.title} does not get on with its roll-out",
            f"see its pods below; go back with helm rollback, or kubectl -n {state.namespace} "
            f"rollout undo {workload.kind.lower()}/{workload.name}",
        )
    if spec_of(document).get("replicas") == 0 and workload.kind != "Job":
        yield warn(CHECK, f"{workload.title} is scaled to 0", "raise its replicas")
    if workload.kind == "Job" and status.get("failed") and not status.get("succeeded"):
        yield fail(
            CHECK,
            f"{workload.title} has failed",
            f"read why: kubectl -n {state.namespace} logs job/{workload.name}",
        )


def _sets_of(state: ClusterState, workload: Workload) -> list[str]:
    return [
        name_of(one)
        for one in state.all("replicasets")
        if any(
            owner.get("name") == workload.name and owner.get("kind") == workload.kind
            for owner in listed(one, "metadata", "ownerReferences")
        )
    ]


def _pod(state: ClusterState, pod: Object) -> Iterator[Finding]:
    name = name_of(pod)
    placed = condition_of(pod, "PodScheduled")
    if placed and placed.get("status") == "False":
        yield fail(
            CHECK,
            f"pod {name} finds no node: {placed.get('message', placed.get('reason'))}",
            "lower its requests, relax nodeSelector, tolerations or topology, or add nodes",
        )
        return
    statuses = [
        *listed(pod, "status", "initContainerStatuses"),
        *listed(pod, "status", "containerStatuses"),
    ]
    told = False
    for status in statuses:
        for finding in _container(state, name, status):
            told = True
            yield finding
    if not told and not _is_ready(pod) and status_of(pod).get("phase") == "Running":
        waiting = [str(one.get("name")) for one in statuses if not one.get("ready")]
        yield fail(
            CHECK,
            f"pod {name} runs and is not ready ({', '.join(waiting) or 'a readiness gate'})",
            f"ask it why: kubectl -n {state.namespace} describe pod {name}; its log tells more",
        )


def _container(state: ClusterState, pod: str, status: Object) -> Iterator[Finding]:
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    container = status.get("name")
    ended = (status.get("lastState") or {}).get("terminated") or {}
    logs = f"kubectl -n {state.namespace} logs {pod} -c {container} --previous"
    if reason in _PULL:
        yield fail(
            "images",
            f"pod {pod} cannot get its image {status.get('image')}: {message or reason}",
            "check image.repository and image.tag in the values, and imagePullSecrets",
        )
    elif reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        yield fail(CHECK, f"pod {pod} cannot start {container}: {message or reason}", "put right "
                   "what it names; Secrets and ConfigMaps are looked at above")  # fmt: skip
    elif ended.get("reason") == "OOMKilled":
        yield fail(
            CHECK,
            f"pod {pod}: {container} was ended for want of memory",
            "raise resources.limits.memory in the values",
        )
    elif reason == "CrashLoopBackOff" or (
        int(status.get("restartCount") or 0) >= _FAILED_STARTS and not status.get("ready")
    ):
        code = ended.get("exitCode")
        why = " (2: its settings are at fault)" if code == 2 else ""
        said = f": {ended['message'].strip()}" if ended.get("message") else ""
        checking = "; --check-config tells all faults of its settings" if code == 2 else ""
        yield fail(
            CHECK,
            f"pod {pod}: {container} keeps ending with exit code {code}{why}{said}",
            f"read its last words: {logs}{checking}",
        )


def _is_ready(pod: Object) -> bool:
    ready = condition_of(pod, "Ready")
    return ready is not None and ready.get("status") == "True"

"""ClusterState: what a cluster holds of Homeport, as it was read; plain values, nothing is called.

Kinds are named as in the API (`pods`, `networkpolicies`). They were read one after the other, what
refers before what is referred to, so an object made meanwhile is not missed; one that was deleted
meanwhile may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from console.cli.scrape import Scrape

Object: TypeAlias = Mapping[str, Any]

NAMES = ("homeport", "homeport-unit")
PART_OF = "app.kubernetes.io/part-of"
NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
VERSION = "app.kubernetes.io/version"
COMPONENT = "app.kubernetes.io/component"

_WORKLOADS = {
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    "jobs": "Job",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Something that makes pods, or a pod of nobody's; `template` is the pod's specification."""

    kind: str
    name: str
    labels: Mapping[str, str]  # of its pods
    template: Object
    document: Object

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"

    def containers(self) -> list[Object]:
        """Those that stay; see `all_containers`."""
        return _list(self.template, "containers")

    def all_containers(self) -> list[Object]:
        """Those that prepare a pod as well."""
        return [*_list(self.template, "initContainers"), *self.containers()]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """objects: by kind, of one namespace, but for `namespaces`. unreadable: kinds that could not
    be read, and why; absent_kinds: those that the cluster does not know. scrapes: what the metrics
    ports of running pods said, by pod; None: nothing came."""

    namespace: str
    release: str = ""
    objects: Mapping[str, Sequence[Object]] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    absent_kinds: frozenset[str] = frozenset()
    scrapes: Mapping[str, Scrape | None] = field(default_factory=dict)

    def all(self, kind: str) -> Sequence[Object]:
        return self.objects.get(kind, ())

    def find(self, kind: str, name: str) -> Object | None:
        return next((one for one in self.all(kind) if name_of(one) == name), None)

    def own(self, kind: str) -> list[Object]:
        """Those of Homeport, by their labels."""
        return [one for one in self.all(kind) if self.is_own(labels_of(one))]

    def is_own(self, labels: Mapping[str, str]) -> bool:
        if self.release and labels.get(INSTANCE) != self.release:
            return False
        return labels.get(NAME) in NAMES or labels.get(PART_OF) == "homeport"

    def workloads(self) -> list[Workload]:
        """Those of Homeport; a pod that no workload of them made counts by itself."""
        return [one for one in self._every_workload() if self.is_own(one.labels)]

    def _every_workload(self) -> Iterator[Workload]:
        for plural, kind in _WORKLOADS.items():
            for document in self.all(plural):
                made = _dict(document, "spec", "template")
                yield Workload(
                    kind=kind,
                    name=name_of(document),
                    labels={**labels_of(document), **labels_of(made)},
                    template=_dict(made, "spec"),
                    document=document,
                )
        for pod in self.all("pods"):
            if not _list(_dict(pod, "metadata"), "ownerReferences"):
                yield Workload(
                    kind="Pod", name=name_of(pod), labels=labels_of(pod),
                    template=_dict(pod, "spec"), document=pod,
                )  # fmt: skip

    def pods_of(self, workload: Workload) -> list[Object]:
        """Those that its selector takes."""
        if workload.kind == "Pod":
            return [workload.document]
        selector = _dict(workload.document, "spec", "selector")
        return [pod for pod in self.all("pods") if selector and selects(selector, labels_of(pod))]

    def services_of(self, workload: Workload) -> list[Object]:
        """Those that lead to its pods."""
        return [
            service
            for service in self.all("services")
            if (wanted := _dict(service, "spec", "selector"))
            and all(workload.labels.get(key) == value for key, value in wanted.items())
        ]

    def live_pods(self) -> list[Object]:
        """Homeport's, without those that have ended or are about to."""
        return [
            pod
            for pod in self.own("pods")
            if _dict(pod, "status").get("phase") in ("Running", "Pending")
            and "deletionTimestamp" not in _dict(pod, "metadata")
        ]


def name_of(document: Object) -> str:
    return str(_dict(document, "metadata").get("name", "?"))


def labels_of(document: Object) -> Mapping[str, str]:
    return _dict(document, "metadata", "labels")


def spec_of(document: Object) -> Object:
    return _dict(document, "spec")


def status_of(document: Object) -> Object:
    return _dict(document, "status")


def listed(document: Object, *keys: str) -> list[Any]:
    """The list there; empty where there is none."""
    return _list(_dict(document, *keys[:-1]), keys[-1])


def condition_of(document: Object, kind: str) -> Object | None:
    """One of `status.conditions`."""
    found = (one for one in listed(document, "status", "conditions") if one.get("type") == kind)
    return next(found, None)


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels; an empty one takes all."""
    if any(labels.get(key) != value for key, value in _dict(selector, "matchLabels").items()):
        return False
    return all(_meets(one, labels) for one in _list(selector, "matchExpressions"))


def _meets(requirement: Object, labels: Mapping[str, str]) -> bool:
    key, values = requirement.get("key", ""), requirement.get("values") or []
    match requirement.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False


def _dict(document: Object, *keys: str) -> Mapping[str, Any]:
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _list(document: Object, key: str) -> list[Any]:
    found = document.get(key)
    return found if isinstance(found, list) else []

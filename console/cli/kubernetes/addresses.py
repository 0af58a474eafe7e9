"""Which service, and whose pods, an address in a setting means: names as Kubernetes' DNS has them,
`service`, `service.namespace`, `service.namespace.svc` and so on, with a pod's name before those
of a headless service. https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from console.cli.kubernetes.command_lines import Program
from console.cli.kubernetes.state import ClusterState, Object, name_of

_ADDRESS = re.compile(r"(?:[a-z]+://)?([A-Za-z0-9.-]+):([0-9]{1,5})")
# Settings that say whom a program calls, and whose CA it trusts there.
CALLS = {"server": "ca", "store": "store_ca", "assignment_stores": "store_ca"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A program calls host:port, as one of its settings says."""

    program: Program
    setting: str
    host: str
    port: int


def calls_of(program: Program) -> Iterator[Call]:
    for setting in CALLS:
        for host, port in _ADDRESS.findall(program.settings.get(setting, "")):
            yield Call(program=program, setting=setting, host=host, port=int(port))


def service_of(state: ClusterState, host: str) -> Object | None:
    """The service in this namespace that the host names; None: it is somewhere else, or none."""
    labels = host.rstrip(".").split(".")
    for place in range(min(2, len(labels))):
        rest = labels[place + 1 :]
        if rest and rest[0] != state.namespace:
            continue
        if rest[1:2] and rest[1] != "svc":
            continue
        if found := state.find("services", labels[place]):
            return found
    return None


def is_of_namespace(state: ClusterState, host: str) -> bool:
    """Whether the host can only be a service of this namespace."""
    labels = host.rstrip(".").split(".")
    if "svc" not in labels[1:]:
        return len(labels) == 1 and host != "localhost"
    return labels[labels.index("svc", 1) - 1] == state.namespace


def names_of_service(state: ClusterState, service: Object) -> list[str]:
    """The names under which clients in the cluster may call it, the shortest first."""
    name = name_of(service)
    return [
        name,
        f"{name}.{state.namespace}",
        f"{name}.{state.namespace}.svc",
        f"{name}.{state.namespace}.svc.cluster.local",
    ]


def programs_behind(state: ClusterState, service: Object, programs: list[Program]) -> list[Program]:
    """Those whose pods the service leads to."""
    wanted = name_of(service)
    return [
        one
        for one in programs
        if any(name_of(other) == wanted for other in state.services_of(one.workload))
    ]

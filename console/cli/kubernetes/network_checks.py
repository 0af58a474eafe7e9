"""Whether pods can be reached: services that lead somewhere, policies that let callers and the
scraper in and the pods out. Policies are read, as
https://kubernetes.io/docs/concepts/services-networking/network-policies/ has them; nothing is
tried, since not every network enforces them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from console.cli.health_checks import Finding, fail, ok, warn
from console.cli.kubernetes.addresses import calls_of, is_of_namespace, service_of
from console.cli.kubernetes.command_lines import Program, programs_of
from console.cli.kubernetes.state import (
    ClusterState,
    Object,
    Workload,
    labels_of,
    listed,
    name_of,
    selects,
    spec_of,
)

_DNS = 53


def check_services(state: ClusterState) -> list[Finding]:
    """Services that lead nowhere, and names that no service has."""
    services = state.own("services")
    faults = [finding for one in services for finding in _service(state, one)]
    faults += [
        fail(
            "services",
            f"{program.title} calls {call.host} (--{call.setting.replace('_', '-')}), and there "
            f"is no such service in {state.namespace}",
            f"see kubectl -n {state.namespace} get services, and mend the values",
        )
        for program in programs_of(state)
        for call in calls_of(program)
        if is_of_namespace(state, call.host) and service_of(state, call.host) is None
    ]
    return faults or ([ok("services", f"all {len(services)} lead to pods")] if services else [])


def _service(state: ClusterState, service: Object) -> Iterator[Finding]:
    selector = spec_of(service).get("selector")
    if not selector:
        return
    behind = [
        one
        for one in state.workloads()
        if all(one.labels.get(key) == value for key, value in selector.items())
    ]
    if not behind:
        yield fail(
            "services",
            f"service {name_of(service)} leads to no pod: nothing has the labels "
            f"{', '.join(f'{key}={value}' for key, value in selector.items())}",
            "mend its selector, or the labels of the pods",
        )
        return
    for port in listed(service, "spec", "ports"):
        wanted = port.get("targetPort", port.get("port"))
        if not isinstance(wanted, str) or wanted.isdigit():
            continue
        if all(_port_number(one, wanted) is None for one in behind):
            yield fail(
                "services",
                f"service {name_of(service)} leads to port {wanted}, which {behind[0].title} "
                "does not name",
                "mend targetPort, or the ports of its containers",
            )


def check_policies(state: ClusterState) -> list[Finding]:
    """What policies keep from the pods that must reach them, and the other way round."""
    if not state.all("networkpolicies"):
        return []
    faults: list[Finding] = []
    for program in programs_of(state):
        if program.workload.kind == "Job":
            continue
        faults += _kept_out(state, program)
        faults += _kept_in(state, program)
    return faults or [ok("policies", "callers, the scraper and the store are let through")]


def _kept_out(state: ClusterState, program: Program) -> Iterator[Finding]:
    workload = program.workload
    metrics = program.port("metrics_listen") or _port_number(workload, "metrics")
    ports = {
        number: f"service {name_of(service)}"
        for service in state.services_of(workload)
        for port in listed(service, "spec", "ports")
        if (number := _target(workload, port)) is not None
    }
    if metrics is not None:
        ports[metrics] = "whoever scrapes metrics"
    for number, who in sorted(ports.items()):
        holding = _policies(state, workload, "Ingress")
        rules = [rule for one in holding for rule in listed(one, "spec", "ingress")]
        letting = [rule for rule in rules if _lets_port(workload, rule, number)]
        if not holding or any(_lets_somebody(state, rule, "from") for rule in letting):
            continue
        names = ", ".join(name_of(one) for one in holding)
        how = "opens it to peers of whom there are none here" if letting else "does not open it"
        yield fail(
            "policies",
            f"network policy {names} keeps {who} from port {number} of {workload.title}: it {how}",
            "allow it in the values (networkPolicy), by the labels of the caller's namespace",
        )


def _kept_in(state: ClusterState, program: Program) -> Iterator[Finding]:
    holding = _policies(state, program.workload, "Egress")
    if not holding:
        return
    rules = [rule for one in holding for rule in listed(one, "spec", "egress")]
    names = ", ".join(name_of(one) for one in holding)
    step = "allow it in the values (networkPolicy)"
    calls = list(calls_of(program))
    if calls and not any(_lets_port(program.workload, rule, _DNS) for rule in rules):
        yield fail(
            "policies",
            f"network policy {names} keeps {program.workload.title} from asking DNS (port 53)",
            step,
        )
    for call in calls:
        service = service_of(state, call.host)
        number = call.port if service is None else _behind(state, service, call.port)
        if not any(_lets_port(program.workload, rule, number) for rule in rules):
            yield fail(
                "policies",
                f"network policy {names} keeps {program.workload.title} from {call.host}:"
                f"{call.port} (--{call.setting.replace('_', '-')})",
                step,
            )


def _policies(state: ClusterState, workload: Workload, direction: str) -> list[Object]:
    """Those that isolate its pods in this direction."""
    return [
        one
        for one in state.all("networkpolicies")
        if direction in _directions(one)
        and selects(spec_of(one).get("podSelector") or {}, workload.labels)
    ]


def _directions(policy: Object) -> Sequence[str]:
    given = listed(policy, "spec", "policyTypes")
    return given or ["Ingress", *(["Egress"] if "egress" in spec_of(policy) else [])]


def _lets_port(workload: Workload, rule: Object, number: int) -> bool:
    ports = listed(rule, "ports")
    for port in ports:
        wanted = port.get("port")
        if isinstance(wanted, str) and not wanted.isdigit():
            wanted = _port_number(workload, wanted)
        if wanted is None or int(wanted) <= number <= int(port.get("endPort") or wanted):
            return True
    return not ports


def _lets_somebody(state: ClusterState, rule: Object, direction: str) -> bool:
    """Whether any of its peers can be there. Where namespaces cannot be read: yes."""
    peers = listed(rule, direction)
    return not peers or any(_is_there(state, peer) for peer in peers)


def _is_there(state: ClusterState, peer: Object) -> bool:
    if peer.get("ipBlock"):
        return True
    namespaces = peer.get("namespaceSelector")
    if namespaces is not None:
        known = state.all("namespaces")
        return not known or any(selects(namespaces, labels_of(one)) for one in known)
    pods = peer.get("podSelector") or {}
    templates: list[Mapping[str, str]] = [one.labels for one in state.workloads()]
    return any(selects(pods, labels) for labels in [*templates, *map(labels_of, state.all("pods"))])


def _behind(state: ClusterState, service: Object, number: int) -> int:
    """The pods' port behind a service's."""
    for workload in state.workloads():
        if any(name_of(one) == name_of(service) for one in state.services_of(workload)):
            for port in listed(service, "spec", "ports"):
                if port.get("port") == number:
                    return _target(workload, port) or number
    return number


def _target(workload: Workload, port: Object) -> int | None:
    wanted = port.get("targetPort", port.get("port"))
    if isinstance(wanted, int) or str(wanted).isdigit():
        return int(wanted)
    return _port_number(workload, str(wanted))


def _port_number(workload: Workload, name: str) -> int | None:
    for container in workload.containers():
        for port in listed(container, "ports"):
            if port.get("name") == name:
                return int(port["containerPort"])
    return None


def check_monitors(state: ClusterState) -> list[Finding]:
    """ServiceMonitors that find no service, or a port that it does not have."""
    monitors = state.own("servicemonitors")
    faults = []
    for monitor in monitors:
        selector = spec_of(monitor).get("selector") or {}
        found = [one for one in state.all("services") if selects(selector, labels_of(one))]
        ports = {str(port.get("name")) for one in found for port in listed(one, "spec", "ports")}
        wanted = [str(one.get("port")) for one in listed(monitor, "spec", "endpoints")]
        step = "mend its selector and endpoints, or the service's labels and port names"
        if not found:
            seen = f"ServiceMonitor {name_of(monitor)} selects no service"
            faults.append(fail("monitors", seen, step))
        elif missing := [name for name in wanted if name not in ports]:
            seen = f"ServiceMonitor {name_of(monitor)} scrapes port {missing[0]}, which "
            faults.append(fail("monitors", f"{seen}{name_of(found[0])} does not have", step))
    if not monitors and "servicemonitors" not in state.absent_kinds and state.workloads():
        return [
            warn("monitors", "this cluster has the Prometheus operator, and no ServiceMonitor is "
                 "here", "switch it on in the values (serviceMonitor)")
        ]  # fmt: skip
    return faults or ([ok("monitors", f"{len(monitors)} find their services")] if monitors else [])

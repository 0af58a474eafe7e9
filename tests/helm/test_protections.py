"""What keeps pods apart, alive and in number: each is there, and is about the pods it means."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from control_plane.serving.server import END_WITHIN_S, LAST_ANSWERS_S
from data_sharing.settings import Settings as SharingSettings
from provisioner.settings import Settings as ProvisionerSettings
from provisioner.wiring.server import RETURN_SLOTS_S
from tests.support.helm_rendering import Manifest, pods_of, render

DRAINS = (600,)
ALL: dict[str, Any] = {
    "tls": {"source": "generate"}, "tokens": {"secret": "t"}, "etcd": {"enabled": True},
    "sharing": {"enabled": True}, "provisioner": {"http": {"enabled": True}},
    "platform": {"enabled": True, "settings": {"applications": "alarm"}},
    "console": {"enabled": True, "token": {"secret": "t"}},
}  # fmt: skip
LIMITED = ALL | {"networkPolicy": {"egress": {"enabled": True}}}
DRAINED = [
    ALL | {
        "provisioner": {"settings": {"drain_s": drain_s}},
        "sharing": {"enabled": True, "settings": {"drain_s": drain_s}},
    }
    for drain_s in DRAINS
]  # fmt: skip
FOLLOWING = LIMITED | {"sharing": {"enabled": True, "tenantQuotas": True}}
# Ports of each component: those that callers use, and that of metrics.
PORTS = {
    "provisioner": ({7700, 7702}, 7701), "sharing": ({7703, 7704}, 7705), "platform": (set(), 7707),
    "etcd": ({2379, 2380}, 2381),
}  # fmt: skip
COMPONENT = "app.kubernetes.io/component"


@cache
def everything() -> list[list[Manifest]]:
    """Of ALL, LIMITED, DRAINED and FOLLOWING, rendered at once."""
    return [one.manifests() for one in render("homeport", [ALL, LIMITED, *DRAINED, FOLLOWING])]


def of_kind(kind: str, which: int = 0) -> dict[str, Manifest]:
    """Objects by component."""
    return {
        one["metadata"]["labels"][COMPONENT]: one
        for one in everything()[which]
        if one["kind"] == kind
    }


def selected(selector: dict[str, Any]) -> set[str]:
    """Components of the pods that a selector means: none of them is written twice."""
    wanted = selector["matchLabels"].items()
    found = set()
    for one in everything()[0]:
        template = one.get("spec", {}).get("template")
        if template and wanted <= template["metadata"]["labels"].items():
            found.add(template["metadata"]["labels"][COMPONENT])
    return found


@pytest.mark.parametrize("component", PORTS)
def test_each_component_has_a_policy_for_its_ports_alone(component: str) -> None:
    policy = of_kind("NetworkPolicy")[component]["spec"]
    called, metrics = PORTS[component]
    assert selected(policy["podSelector"]) == {component}
    assert policy["policyTypes"] == ["Ingress"]
    opened = [port["port"] for rule in policy["ingress"] for port in rule["ports"]]
    assert sorted(opened) == sorted([*called, metrics])
    pod = dict(pods_of(everything()[0]))[component]
    assert {port["containerPort"] for port in pod["containers"][0]["ports"]} == set(opened)


def test_the_store_is_reached_by_servers_and_members_alone() -> None:
    rules = {
        rule["ports"][0]["port"]: rule["from"]
        for rule in of_kind("NetworkPolicy")["etcd"]["spec"]["ingress"]
    }
    assert [selected(one["podSelector"]) for one in rules[2379]] == [
        {"provisioner"}, {"etcd-password"},
    ]  # fmt: skip
    assert [selected(one["podSelector"]) for one in rules[2380]] == [{"etcd"}]


def test_data_sharing_reaches_the_store_where_it_follows_quotas_and_sees_no_key_of_its_ca() -> None:
    policies = of_kind("NetworkPolicy", -1)
    calls = {
        rule["ports"][0]["port"]: selected(rule["to"][0]["podSelector"])
        for rule in policies["sharing"]["spec"]["egress"][1:]
    }
    assert calls == {2379: {"etcd"}}
    (callers,) = (
        rule["from"]
        for rule in policies["etcd"]["spec"]["ingress"]
        if rule["ports"][0]["port"] == 2379
    )
    assert [selected(one["podSelector"]) for one in callers] == [
        {"provisioner"}, {"etcd-password"}, {"sharing"},
    ]  # fmt: skip
    pod = dict(pods_of(everything()[-1]))["sharing"]
    items = {one["name"]: one["secret"].get("items") for one in pod["volumes"] if "secret" in one}
    assert items["store-ca"] == [{"key": "ca.crt", "path": "ca.crt"}]
    assert items["store-password"] == [{"key": "password", "path": "password"}]
    without = dict(pods_of(everything()[0]))["sharing"]
    assert not {one["name"] for one in without["volumes"]} & {"store-ca", "store-password"}


@pytest.mark.parametrize(
    ("component", "others"),
    [
        ("provisioner", {2379: {"etcd"}}), ("sharing", {}), ("platform", {7703: {"sharing"}}),
        ("etcd", {2380: {"etcd"}}),
        ("console", {7700: {"provisioner"}, 7703: {"sharing"}}),
    ],
)  # fmt: skip
def test_limited_pods_call_what_they_need(component: str, others: dict[int, set[str]]) -> None:
    policy = of_kind("NetworkPolicy", 1)[component]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    names, *rules = policy["egress"]
    assert {(port["port"], port["protocol"]) for port in names["ports"]} == {
        (53, "UDP"), (53, "TCP"),
    }  # fmt: skip
    found = {rule["ports"][0]["port"]: selected(rule["to"][0]["podSelector"]) for rule in rules}
    assert found == others


def test_nobody_calls_the_console_and_it_asks_for_metrics_too() -> None:
    assert of_kind("NetworkPolicy")["console"]["spec"]["ingress"] == []
    policy = of_kind("NetworkPolicy", 1)["console"]["spec"]
    assert selected(policy["podSelector"]) == {"console"}
    ports = {port["port"] for rule in policy["egress"][1:] for port in rule["ports"]}
    assert ports == {7700, 7701, 7702, 7703, 7704, 7705}


def test_an_agent_calls_its_servers_and_nobody_else() -> None:
    agent = {"unit": {"id": "eu"}, "insecure": True, "server": {"endpoints": ["a:7800", "b:7700"]}}
    others = {"enabled": True, "others": [{"ports": [{"port": 443}]}]}
    cases = [agent, agent | {"networkPolicy": {"egress": others}}]
    free, limited = (
        next(one["spec"] for one in found.manifests() if one["kind"] == "NetworkPolicy")
        for found in render("homeport-unit", cases)
    )
    assert (free["policyTypes"], free.get("egress")) == (["Ingress"], None)
    assert limited["policyTypes"] == ["Ingress", "Egress"]
    assert [[port["port"] for port in rule["ports"]] for rule in limited["egress"]] == [
        [53, 53], [7700, 7800], [443],
    ]  # fmt: skip


def test_metrics_of_an_agent_are_for_whom_the_values_name() -> None:
    unit = {"unit": {"id": "eu"}, "insecure": True, "server": {"endpoints": ["a:7700"]}}
    scraping = [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]
    cases = [
        unit,
        unit | {"networkPolicy": {"metrics": scraping}, "monitoring": {"podMonitor": True}},
    ]
    for values, peers in zip(cases, ([{"namespaceSelector": {}}], scraping), strict=True):
        (found,) = render("homeport-unit", [values])
        by_kind = {one["kind"]: one for one in found.manifests()}
        (rule,) = [
            rule for rule in by_kind["NetworkPolicy"]["spec"]["ingress"]
            if rule["ports"] == [{"port": 7711, "protocol": "TCP"}]
        ]  # fmt: skip
        assert rule["from"] == peers
        pod = by_kind["StatefulSet"]["spec"]["template"]
        (container,) = pod["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports["metrics"] == 7711
        for name, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            assert container[name]["httpGet"] == {"path": path, "port": "metrics"}
        assert ("PodMonitor" in by_kind) is ("monitoring" in values)
    monitor = by_kind["PodMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert pod["metadata"]["labels"][monitor["jobLabel"]] == "homeport"
    assert [one["port"] for one in monitor["podMetricsEndpoints"]] == ["metrics"]


def test_budgets_leave_a_quorum_and_servers() -> None:
    budgets = of_kind("PodDisruptionBudget")
    assert set(budgets) == {"provisioner", "etcd"}
    for component, one in budgets.items():
        assert selected(one["spec"]["selector"]) == {component}
        assert one["spec"]["maxUnavailable"] == 1
    members = of_kind("StatefulSet")["etcd"]["spec"]
    assert members["replicas"] == 3
    assert members["updateStrategy"] == {"type": "RollingUpdate"}


@pytest.mark.parametrize("component", PORTS)
def test_probes_ask_a_port_that_there_is(component: str) -> None:
    container = dict(pods_of(everything()[0]))[component]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {"livenessProbe", "readinessProbe"} <= set(container)
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container.get(name, {}).get("httpGet")
        if asked:
            assert ports[asked["port"]] == PORTS[component][1]
    if component in ("provisioner", "sharing"):
        paths = [container[f"{one}Probe"]["httpGet"]["path"] for one in ("liveness", "readiness")]
        assert paths == ["/healthz", "/readyz"]


def test_no_token_of_kubernetes_is_mounted_and_volumes_stay_closed() -> None:
    for one in everything()[0]:
        if one["kind"] == "ServiceAccount":
            assert one["automountServiceAccountToken"] is False
    components = set()
    for component, pod in pods_of(everything()[0]):
        components.add(component)
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    assert components == {*PORTS, "test", "etcd-password", "console"}


def test_a_member_gives_nobody_its_private_key() -> None:
    for component, pod in pods_of(everything()[0]):
        for volume in pod["volumes"]:
            if component != "etcd" and volume.get("secret", {}).get("secretName", "").endswith(
                "-etcd-tls"
            ):
                assert [item["key"] for item in volume["secret"]["items"]] == ["ca.crt"]


def test_members_are_on_nodes_of_their_own_and_find_each_other_before_they_are_ready() -> None:
    members = of_kind("StatefulSet")["etcd"]["spec"]
    pod = members["template"]["spec"]
    spread = {
        one["topologyKey"]: one["whenUnsatisfiable"] for one in pod["topologySpreadConstraints"]
    }
    assert spread["kubernetes.io/hostname"] == "DoNotSchedule"
    service = of_kind("Service")["etcd"]
    assert service["metadata"]["name"] == members["serviceName"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert members["podManagementPolicy"] == "Parallel"


@pytest.mark.parametrize(
    ("component", "settings", "last_s"),
    [
        ("provisioner", ProvisionerSettings, 2 * RETURN_SLOTS_S),
        ("sharing", SharingSettings, 0.0),
    ],
)
def test_pods_are_given_the_time_that_their_servers_take_to_end(
    component: str, settings: Any, last_s: float
) -> None:
    """Calls and watches under way, their last answers, what is left of them, slots given back."""
    usual: float = settings.model_fields["drain_s"].default
    for which, drain_s in ((0, usual), *((2 + n, drain_s) for n, drain_s in enumerate(DRAINS))):
        pod = dict(pods_of(everything()[which]))[component]
        before_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        takes_s = before_s + drain_s + LAST_ANSWERS_S + END_WITHIN_S + last_s
        assert pod["terminationGracePeriodSeconds"] >= takes_s

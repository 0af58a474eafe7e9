"""What `homeport doctor --cluster` says of a release at which one thing is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from console.cli.health_checks import CheckOutcome, Finding
from console.cli.kubernetes.examination import MOST_OF_A_CHECK, examine
from console.cli.kubernetes.state import ClusterState
from console.cli.scrape import Scrape
from tests.support.certificates import Authority
from tests.support.kube.release_objects import (
    NAMESPACE,
    TOKEN,
    VERSION,
    Objects,
    encoded,
    healthy_release,
    labels,
    tokens_toml,
)

Spoil = Callable[[Objects], None]


def examined(objects: Objects, **more: Any) -> list[Finding]:
    state = ClusterState(namespace=NAMESPACE, objects=objects, **more)
    return examine(state, now_s=time.time(), version=VERSION)


def faults(findings: list[Finding]) -> list[Finding]:
    return [one for one in findings if one.outcome is not CheckOutcome.OK]


def named(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    return next(one for one in objects[kind] if one["metadata"]["name"] == name)


def containers(objects: Objects, kind: str, name: str) -> list[dict[str, Any]]:
    return named(objects, kind, name)["spec"]["template"]["spec"]["containers"]


def without(kind: str, name: str) -> Spoil:
    def spoil(objects: Objects) -> None:
        objects[kind].remove(named(objects, kind, name))

    return spoil


def secret(name: str, **content: bytes | str) -> Spoil:
    """Puts this content into it, and leaves the rest."""

    def spoil(objects: Objects) -> None:
        named(objects, "secrets", name)["data"].update(encoded(**content))

    return spoil


def without_key(name: str, key: str) -> Spoil:
    def spoil(objects: Objects) -> None:
        del named(objects, "secrets", name)["data"][key]

    return spoil


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


def condition(kind: str, name: str, **values: Any) -> Spoil:
    """Replaces a condition of an object, or adds it."""

    def spoil(objects: Objects) -> None:
        status = named(objects, kind, name)["status"]
        status["conditions"] = [
            *(one for one in status["conditions"] if one["type"] != values["type"]), values
        ]  # fmt: skip

    return spoil


def update(kind: str, name: str, *path: str, **values: Any) -> Spoil:
    def spoil(objects: Objects) -> None:
        found: Any = named(objects, kind, name)
        for key in path:
            found = found[key]
        found.update(values)

    return spoil


def arguments(kind: str, name: str, old: str, new: str) -> Spoil:
    def spoil(objects: Objects) -> None:
        container = containers(objects, kind, name)[0]
        assert any(old in word for word in container["args"])
        container["args"] = [word.replace(old, new) for word in container["args"]]

    return spoil


def _certificate(**issue: Any) -> Spoil:
    """The servers' certificate, of another kind; the CA that callers trust is its own."""

    def spoil(objects: Objects) -> None:
        authority = Authority.new()
        certificate, key = authority.issue(**issue)
        secret("hp-tls", tls__crt=certificate, tls__key=key)(objects)
        secret("hp-ca", ca__crt=authority.certificate)(objects)

    return spoil


def _a_foreign_ca(objects: Objects) -> None:
    secret("hp-ca", ca__crt=Authority.new("somebody else").certificate)(objects)


def _a_foreign_key(objects: Objects) -> None:
    secret("hp-tls", tls__key=Authority.new().issue(names=["x"])[1])(objects)


def _no_requests(objects: Objects) -> None:
    containers(objects, "deployments", "hp-provisioner")[0]["resources"] = {}


def _two_budgets(objects: Objects) -> None:
    second = {**named(objects, "poddisruptionbudgets", "hp-provisioner")}
    objects["poddisruptionbudgets"].append(
        {**second, "metadata": {**second["metadata"], "name": "by-hand"}}
    )


def _ingress(*rules: dict[str, Any]) -> Spoil:
    return update("networkpolicies", "hp-provisioner", "spec", ingress=list(rules))


def _pull_secret(objects: Objects) -> None:
    template = named(objects, "deployments", "hp-provisioner")["spec"]["template"]["spec"]
    template["imagePullSecrets"] = [{"name": "registry"}]


def _from_environment(objects: Objects) -> None:
    containers(objects, "deployments", "hp-provisioner")[0]["env"] = [
        {
            "name": "HOMEPORT_STORE_PASSWORD",
            "valueFrom": {"secretKeyRef": {"name": "hp-store", "key": "pass"}},
        }
    ]


def _configuration_by_map(objects: Objects) -> None:
    container = containers(objects, "deployments", "hp-provisioner")[0]
    container["envFrom"] = [{"configMapRef": {"name": "hp-settings"}}]


def _an_old_agent(objects: Objects) -> None:
    pod = named(objects, "pods", "hp-unit-dublin-0")
    pod["metadata"]["labels"]["app.kubernetes.io/version"] = "0.3.0"


def _cert_manager(objects: Objects) -> None:
    objects["certificates"].append(
        {
            "metadata": {"name": "hp-tls", "labels": labels("provisioner")},
            "status": {
                "conditions": [
                    {"type": "Ready", "status": "False", "message": "issuer hp-ca does not exist"}
                ]
            },
        }
    )


def _refused_pods(objects: Objects) -> None:
    without("pods", "hp-etcd-0")(objects)
    objects["events"].append(
        {
            "reason": "FailedCreate",
            "message": 'violates PodSecurity "restricted:latest"',
            "involvedObject": {"name": "hp-etcd"},
        }
    )


CASES = [
    (without("secrets", "hp-tokens"), "secrets", "fail", ["no Secret hp-tokens", "hp-provisioner"], "a secret that is not there"),
    (without_key("hp-store", "password"), "secrets", "fail", ["has no key password", "ca.crt", "--store-password-file"], "a key that is not there"),
    (secret("hp-store", password=""), "secrets", "fail", ["password", "empty"], "a key without content"),
    (_from_environment, "secrets", "fail", ["has no key pass,"], "a key that a variable names"),
    (_configuration_by_map, "secrets", "fail", ["no ConfigMap hp-settings"], "a map that is not there"),
    (_pull_secret, "secrets", "fail", ["Secret registry"], "a pull secret that is not there"),
    (_certificate(names=["hp-provisioner.homeport.svc"], expired=True), "certificates", "fail", ["expired on"], "a certificate that has expired"),
    (_certificate(names=["hp.example.com"]), "certificates", "fail", ["not for hp-provisioner.homeport.svc", "hp.example.com"], "a certificate of another name"),
    (_certificate(), "certificates", "fail", ["only for no name"], "a certificate without names"),
    (_certificate(names=["*.svc"]), "certificates", "fail", ["not for hp-provisioner.homeport.svc"], "a star that reaches not so far"),
    (_a_foreign_ca, "certificates", "fail", ["Deployment hp-unit-dublin trusts ca.crt of Secret hp-ca", "has not signed"], "a CA that did not sign it"),
    (_a_foreign_key, "certificates", "fail", ["the key is not that of the certificate"], "a key of another certificate"),
    (secret("hp-tls", tls__crt="nothing"), "certificates", "fail", ["no certificate in PEM"], "a certificate that is none"),
    (_cert_manager, "certificates", "fail", ["issuer hp-ca does not exist"], "cert-manager does not issue"),
    (secret("hp-agent-token", token="hp_another"), "tokens", "fail", ["none of those in tokens.toml of Secret hp-tokens"], "a token that the server has not"),
    (secret("hp-tokens", tokens__toml=tokens_toml(units='["cork"]')), "tokens", "fail", ["units cork, and not for dublin"], "a token of another unit"),
    (secret("hp-tokens", tokens__toml=tokens_toml(more="expire_time = 2020-01-01T00:00:00Z\n")), "tokens", "fail", ["has expired"], "a token that has expired"),
    (secret("hp-tokens", tokens__toml="[[token"), "tokens", "fail", ["tokens.toml of Secret hp-tokens"], "a tokens file at fault"),
    (waiting("ImagePullBackOff", "Back-off pulling image"), "images", "fail", ["registry.example.com/homeport"], "an image that is not there"),
    (waiting("ErrImagePull", "no such host"), "images", "fail", ["no such host"], "a registry that is not there"),
    (waiting("CreateContainerConfigError", 'secret "x" not found'), "pods", "fail", ['secret "x" not found'], "a container that cannot be made"),
    (waiting("CrashLoopBackOff", restartCount=4, lastState={"terminated": {"exitCode": 2, "message": "--listen: no port"}}), "pods", "fail", ["exit code 2", "settings", "--listen: no port"], "a server that refuses its settings"),
    (waiting("CrashLoopBackOff", lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), "pods", "fail", ["want of memory"], "a server that is too large"),
    (condition("pods", "hp-provisioner-0", type="Ready", status="False"), "pods", "fail", ["runs and is not ready"], "a pod that is not ready"),
    (condition("pods", "hp-provisioner-0", type="PodScheduled", status="False", message="0/3 nodes: insufficient cpu"), "pods", "fail", ["insufficient cpu"], "a pod without a node"),
    (condition("deployments", "hp-provisioner", type="ReplicaFailure", status="True", message="exceeded quota"), "pods", "fail", ["exceeded quota"], "pods that the namespace refuses"),
    (_refused_pods, "pods", "fail", ["violates PodSecurity"], "pods of a set that the namespace refuses"),
    (condition("deployments", "hp-provisioner", type="Progressing", status="False", reason="ProgressDeadlineExceeded"), "pods", "fail", ["roll-out"], "a roll-out that stands still"),
    (update("deployments", "hp-provisioner", "spec", replicas=0), "pods", "warn", ["scaled to 0"], "a workload scaled to nothing"),
    (update("persistentvolumeclaims", "data-hp-etcd-0", "status", phase="Pending"), "volumes", "fail", ["class fast"], "a claim without a volume"),
    (without("persistentvolumeclaims", "data-hp-etcd-0"), "volumes", "fail", ["no claim data-hp-etcd-0"], "a claim that is not there"),
    (update("services", "hp-provisioner", "spec", selector={"app": "other"}), "services", "fail", ["leads to no pod", "app=other"], "a service that leads nowhere"),
    (arguments("deployments", "hp-unit-dublin", "hp-provisioner.", "hp-provisoner."), "services", "fail", ["calls hp-provisoner.homeport.svc", "--server"], "a name that no service has"),
    (_ingress({"ports": [{"port": 7700}]}), "policies", "fail", ["whoever scrapes metrics", "7701", "does not open it"], "a policy that keeps out the scraper"),
    (_ingress({"ports": [{"port": "grpc"}]}, {"from": [{"namespaceSelector": {"matchLabels": {"name": "observability"}}}]}), "policies", "fail", ["none here", "7701"], "a policy for a namespace that is not there"),
    (_ingress(), "policies", "fail", ["7700", "7701"], "a policy that keeps everybody out"),
    (update("networkpolicies", "hp-provisioner", "spec", egress=[{"ports": [{"port": 53}]}]), "policies", "fail", ["from hp-etcd-0.hp-etcd.homeport.svc:2379", "--store"], "a policy that keeps the store away"),
    (update("networkpolicies", "hp-provisioner", "spec", egress=[{"ports": [{"port": 2379}]}]), "policies", "fail", ["DNS"], "a policy that keeps names away"),
    (update("servicemonitors", "hp", "spec", endpoints=[{"port": "http"}]), "monitors", "fail", ["port http"], "a monitor of a port that is not there"),
    (update("servicemonitors", "hp", "spec", selector={"matchLabels": {"a": "b"}}), "monitors", "fail", ["selects no service"], "a monitor of no service"),
    (update("poddisruptionbudgets", "hp-provisioner", "status", disruptionsAllowed=0, expectedPods=1, currentHealthy=1, desiredHealthy=1), "budgets", "fail", ["1 of 1 must run", "drained"], "a budget that lets no node go"),
    (update("poddisruptionbudgets", "hp-provisioner", "status", disruptionsAllowed=0, currentHealthy=2), "budgets", "warn", ["2 of 3 are ready"], "a budget while pods are away"),
    (update("poddisruptionbudgets", "hp-provisioner", "status", disruptionsAllowed=0, expectedPods=0), "budgets", "warn", ["holds no pod"], "a budget of no pod"),
    (_two_budgets, "budgets", "fail", ["by-hand"], "two budgets of one pod"),
    (condition("horizontalpodautoscalers", "hp-provisioner", type="ScalingActive", status="False", reason="FailedGetResourceMetric", message="no metrics returned"), "autoscaling", "fail", ["no metrics returned"], "an autoscaler without metrics"),
    (condition("horizontalpodautoscalers", "hp-provisioner", type="AbleToScale", status="False", message="not found"), "autoscaling", "fail", ["cannot scale Deployment"], "an autoscaler of nothing"),
    (condition("horizontalpodautoscalers", "hp-provisioner", type="ScalingLimited", status="True", reason="TooManyReplicas"), "autoscaling", "warn", ["most replicas"], "an autoscaler at its end"),
    (_no_requests, "autoscaling", "fail", ["share of cpu"], "an autoscaler by shares of nothing"),
    (update("deployments", "hp-unit-dublin", "status", readyReplicas=0), "units", "fail", ["dublin"], "a unit without its agent"),
    (_an_old_agent, "versions", "fail", ["hp-unit-dublin-0 0.3.0"], "an agent of another version"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "check", "outcome", "words"),
    [pytest.param(*case[:4], id=case[4]) for case in CASES],
)
def test_a_fault_is_named_with_what_to_do(
    spoil: Spoil, check: str, outcome: str, words: list[str]
) -> None:
    objects = healthy_release()
    spoil(objects)
    found = [one for one in faults(examined(objects)) if one.check == check]
    said = "\n".join(one.seen for one in found)
    assert any(one.outcome == outcome for one in found), said
    assert [word for word in words if word not in said] == []
    assert all(one.next_step for one in found)


def test_of_a_release_that_is_well_nothing_is_said() -> None:
    assert faults(examined(healthy_release())) == []


def test_every_object_may_be_without_what_it_may_be_without() -> None:
    """Objects that have just been made have no status, and most keys are optional."""
    objects = healthy_release()
    for kind in objects.values():
        for one in kind:
            one.pop("status", None)
    assert examined(objects)
    bare: Objects = {
        kind: [{"metadata": {"name": "x", "labels": labels("provisioner")}}] for kind in objects
    }
    assert examined(bare)


def scraped(**more: Any) -> Scrape:
    values = {"version": VERSION, "store_connected": 1.0, "geo_build_s": None, "clock_skew_s": None}
    return Scrape(**{"ready": True, **values, **more})


@pytest.mark.parametrize(
    ("seen", "check", "words"),
    [
        pytest.param(scraped(store_connected=0.0), "store", "lost its store", id="no store"),
        pytest.param(scraped(ready=False), "store", "cannot place", id="no session"),
        pytest.param(scraped(failing_tasks=("moves",)), "tasks", "moves", id="a failing task"),
        pytest.param(scraped(damaged=("units/a",)), "records", "units/a", id="a damaged record"),
        pytest.param(scraped(geo_build_s=1.0), "geo", "days old", id="an old geo database"),
        pytest.param(None, "metrics", "says nothing", id="silence"),
        pytest.param(scraped(version="0.2.1"), "versions", "0.2.1", id="another version"),
    ],
)
def test_what_a_server_says_of_itself(seen: Scrape | None, check: str, words: str) -> None:
    found = faults(examined(healthy_release(), scrapes={"hp-provisioner-0": seen}))
    assert [one.check for one in found] == [check]
    assert words in found[0].seen
    assert "hp-provisioner-0" in found[0].seen


def test_what_may_not_be_read_is_no_fault_of_the_release() -> None:
    objects = healthy_release()
    for kind in ("secrets", "networkpolicies", "namespaces"):
        del objects[kind]
    refused = dict.fromkeys(("secrets", "networkpolicies", "namespaces"), "forbidden")
    found = faults(examined(objects, unreadable=refused))
    assert {one.outcome for one in found} == {CheckOutcome.WARN}
    assert {one.check for one in found} == {"secrets", "rights"}


def test_a_namespace_without_anything_is_said_to_be_so() -> None:
    (found,) = faults(examined({}))
    assert "nothing of Homeport in namespace homeport" in found.seen


def test_releases_of_others_are_left_alone() -> None:
    objects = healthy_release()
    without("secrets", "hp-tokens")(objects)
    (found,) = faults(examined(objects, release="another"))
    assert "nothing of Homeport in release another" in found.seen


def test_many_of_a_kind_are_told_by_their_number() -> None:
    objects = healthy_release()
    agent = named(objects, "deployments", "hp-unit-dublin")
    for number in range(MOST_OF_A_CHECK + 5):
        unit = {**agent, "metadata": {**agent["metadata"], "name": f"unit-{number}"}}
        template = {**agent["spec"]["template"]["spec"]}
        template["volumes"] = [{"name": "v", "secret": {"secretName": f"absent-{number}"}}]
        unit["spec"] = {**agent["spec"], "template": {**agent["spec"]["template"], "spec": template}}
        objects["deployments"].append(unit)
    found = [one for one in faults(examined(objects)) if one.check == "secrets"]
    assert len(found) == MOST_OF_A_CHECK + 1
    assert found[-1].seen == "5 more like these"


def test_tokens_are_never_shown() -> None:
    objects = healthy_release()
    secret("hp-tokens", tokens__toml=tokens_toml("hp_other"))(objects)
    assert TOKEN not in str(examined(objects))

"""`homeport doctor --cluster` on a release that really runs: well, and with one thing wrong."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.kube.cluster import Cluster
from tests.support.kube.release_objects import TOKEN, tokens_toml
from tests.support.kube.requirements import needs_cluster
from tests.support.kube.tools import KUBECTL

pytestmark = [needs_cluster(), pytest.mark.timeout(600)]
MANIFEST = Path(__file__).with_name("plain_release.yaml")
WITHIN_S = 120.0
_NUMBERS = itertools.count()

SCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: hp, labels: {app.kubernetes.io/name: homeport}}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: hp-provisioner}
  maxReplicas: 3
  metrics:
    - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}
"""
AGENT = "app.kubernetes.io/component=agent"
CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: lost}
spec:
  storageClassName: nowhere
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
"""
# A policy engine whose Service is gone: it refuses all pods until it is back.
WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: homeport-test}
webhooks:
  - name: pods.policy.example.com
    admissionReviewVersions: [v1]
    sideEffects: None
    timeoutSeconds: 2
    clientConfig: {service: {namespace: %(namespace)s, name: policy-engine, path: /}}
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %(namespace)s}}
    rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
"""


class Release:
    """The release of the manifest in a namespace of its own."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.namespace = f"hp-{next(_NUMBERS)}"
        self.authority = Authority.new("homeport release")

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *words, stdin=stdin)

    def install(self) -> None:
        self.cluster.kubectl("create", "namespace", self.namespace)
        self.certificate()
        self.secret("hp-tokens", **{"tokens.toml": tokens_toml()})
        self.secret("hp-agent-token", token=f"{TOKEN}\n")
        self.kubectl("apply", "--server-side", "-f", str(MANIFEST))

    def secret(self, name: str, **content: str) -> None:
        document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
        text = json.dumps({**document, "stringData": content})
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)

    def certificate(self, *, name: str = "", expired: bool = False) -> None:
        """Its own CA, as a try-out has it."""
        host = name or f"hp-provisioner.{self.namespace}.svc"
        pem, key = self.authority.issue(names=[host], expired=expired)
        chain = pem + self.authority.certificate
        self.secret("hp-tls", **{"tls.crt": chain.decode(), "tls.key": key.decode()})

    def patch(self, kind: str, name: str, change: Any) -> None:
        self.kubectl("patch", kind, name, "--type=strategic", "--patch", json.dumps(change))

    def examine(self) -> dict[str, Any]:
        path = f"{KUBECTL.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            [sys.executable, "-m", "console.cli.main", "doctor", "--cluster", "-o", "json",
             f"--namespace={self.namespace}", f"--kubeconfig={self.cluster.kubeconfig}"],
            capture_output=True, text=True, timeout=WITHIN_S, check=False,
            env={**os.environ, "PATH": path},
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def until(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What the doctor says once that is so."""
        end = time.monotonic() + WITHIN_S
        while True:
            found = self.examine()
            if what(found):
                return found
            assert time.monotonic() < end, found
            time.sleep(1)

    def says(self, check: str, words: str) -> None:
        self.until(
            lambda found: any(
                one["check"] == check and one["outcome"] == "fail" and words in one["seen"]
                for one in found["checks"]
            )
        )


@pytest.fixture(scope="module")
def release(cluster: Cluster) -> Iterator[Release]:
    """One for the file; each test puts right again what it spoiled."""
    made = Release(cluster)
    made.install()
    yield made
    cluster.kubectl("delete", "namespace", made.namespace, "--wait=false")


def is_well(found: dict[str, Any]) -> bool:
    return bool(found["healthy"])


def test_a_release_that_runs_is_well(release: Release) -> None:
    found = release.until(is_well)
    checks = {one["check"] for one in found["checks"] if one["outcome"] == "ok"}
    assert {"secrets", "certificates", "tokens", "volumes", "pods", "units", "services"} <= checks


def _of_pods(**specification: Any) -> dict[str, Any]:
    """A change of the pods that a workload makes."""
    return {"spec": {"template": {"spec": specification}}}


def _image(tag: str) -> dict[str, Any]:
    container = {"name": "agent", "image": f"registry.example.com/homeport:{tag}"}
    return _of_pods(containers=[container])


def test_an_image_that_is_not_there(release: Release) -> None:
    release.patch("deployment", "hp-dublin", _image("9.9.9"))
    release.says("images", "homeport:9.9.9")
    release.kubectl("rollout", "undo", "deployment/hp-dublin")
    release.until(is_well)


def test_a_secret_that_is_not_there(release: Release) -> None:
    release.kubectl("delete", "secret", "hp-agent-token")
    release.says("secrets", "no Secret hp-agent-token")
    release.secret("hp-agent-token", token="hp_of-somebody-else")
    release.says("tokens", "none of those in tokens.toml")
    release.secret("hp-agent-token", token=f"{TOKEN}\n")
    release.until(is_well)


def test_certificates_that_cannot_be_used(release: Release) -> None:
    release.certificate(name="elsewhere.example.com")
    release.says("certificates", f"not for hp-provisioner.{release.namespace}.svc")
    release.certificate(expired=True)
    release.says("certificates", "has expired")
    release.certificate()
    release.until(is_well)


def test_a_key_that_is_not_in_its_secret(release: Release) -> None:
    release.kubectl("patch", "secret", "hp-tls", "--patch", '{"data": {"tls.key": null}}')
    release.says("secrets", "Secret hp-tls has no key tls.key")
    release.certificate()
    release.until(is_well)


def test_an_authority_that_has_not_signed_what_is_shown(release: Release) -> None:
    other = Authority.new("somebody else")
    release.secret("hp-other-ca", **{"tls.crt": other.certificate.decode()})
    volume = {"name": "ca", "secret": {"secretName": "hp-other-ca"}}
    release.patch("deployment", "hp-dublin", _of_pods(volumes=[volume]))
    release.says("certificates", "has not signed what Deployment hp-provisioner shows")
    release.kubectl("rollout", "undo", "deployment/hp-dublin")
    release.until(is_well)


def test_a_tokens_file_without_the_callers_token(release: Release) -> None:
    release.secret("hp-tokens", **{"tokens.toml": "# nobody yet\n"})
    release.says("tokens", "none of those in tokens.toml of Secret hp-tokens")
    release.secret("hp-tokens", **{"tokens.toml": "[[tokens]]\n"})
    release.says("tokens", "unknown key")
    release.secret("hp-tokens", **{"tokens.toml": tokens_toml()})
    release.until(is_well)


def test_a_volume_of_a_class_that_is_not_there(release: Release) -> None:
    release.kubectl("apply", "-f", "-", stdin=CLAIM)
    volume = {"name": "tmp", "emptyDir": None, "persistentVolumeClaim": {"claimName": "lost"}}
    release.patch("deployment", "hp-dublin", _of_pods(volumes=[volume]))
    release.says("volumes", "claim lost has no volume (class nowhere)")
    release.kubectl("rollout", "undo", "deployment/hp-dublin")
    release.kubectl("delete", "pvc", "lost", "--wait=false")
    release.until(is_well)


def test_a_quota_that_leaves_no_room_for_a_pod(release: Release) -> None:
    release.kubectl("create", "quota", "none", "--hard=pods=0")
    release.kubectl("delete", "pod", "--selector", AGENT, "--wait=false")
    release.says("pods", "exceeded quota: none")
    release.kubectl("delete", "quota", "none")
    release.until(is_well)


def test_a_webhook_that_nobody_answers(release: Release) -> None:
    release.kubectl("apply", "-f", "-", stdin=WEBHOOK % {"namespace": release.namespace})
    release.kubectl("delete", "pod", "--selector", AGENT, "--wait=false")
    release.says("pods", "failed calling webhook")
    release.kubectl("delete", "validatingwebhookconfiguration", "homeport-test")
    release.until(is_well)


def test_a_policy_of_the_namespace_that_refuses_a_pod(release: Release) -> None:
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    release.cluster.kubectl("label", "namespace", release.namespace, restricted)
    container = {"name": "agent", "securityContext": {"allowPrivilegeEscalation": True}}
    release.patch("deployment", "hp-dublin", _of_pods(containers=[container]))
    release.says("pods", "violates PodSecurity")
    release.kubectl("rollout", "undo", "deployment/hp-dublin")
    release.until(is_well)


def test_a_budget_that_lets_nobody_go(release: Release) -> None:
    release.patch("pdb", "hp-provisioner", {"spec": {"maxUnavailable": 0}})
    release.says("budgets", "1 of 1 must run")
    release.patch("pdb", "hp-provisioner", {"spec": {"maxUnavailable": 1}})
    release.until(is_well)


def test_a_policy_that_keeps_the_scraper_out(release: Release) -> None:
    one = [{"ports": [{"port": "grpc"}]}]
    release.kubectl("patch", "networkpolicy", "hp-provisioner", "--type=merge", "--patch",
                    json.dumps({"spec": {"ingress": one}}))  # fmt: skip
    release.says("policies", "whoever scrapes metrics")
    both = [{"ports": [{"port": "grpc"}, {"port": "metrics"}]}]
    release.kubectl("patch", "networkpolicy", "hp-provisioner", "--type=merge", "--patch",
                    json.dumps({"spec": {"ingress": both}}))  # fmt: skip
    release.until(is_well)


def test_an_autoscaler_without_metrics(release: Release) -> None:
    release.kubectl("apply", "-f", "-", stdin=SCALER)
    release.says("autoscaling", "sees no load")
    release.kubectl("delete", "hpa", "hp")
    release.until(is_well)


def test_settings_that_the_server_refuses(release: Release) -> None:
    add = [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--nonsense"}]
    release.kubectl("patch", "deployment", "hp-dublin", "--type=json", "--patch", json.dumps(add))
    release.says("pods", "exit code 2")
    release.kubectl("rollout", "undo", "deployment/hp-dublin")
    release.until(is_well)


def test_a_service_that_leads_nowhere(release: Release) -> None:
    selector = {"app.kubernetes.io/component": "elsewhere"}
    release.patch("service", "hp-provisioner", {"spec": {"selector": selector}})
    release.says("services", "leads to no pod")
    selector = {"app.kubernetes.io/component": "provisioner"}
    release.patch("service", "hp-provisioner", {"spec": {"selector": selector}})
    release.until(is_well)


def test_a_pod_that_finds_no_node(release: Release) -> None:
    release.patch("deployment", "hp-dublin", _of_pods(nodeSelector={"disk": "fast"}))
    release.says("pods", "finds no node")
    release.kubectl("rollout", "undo", "deployment/hp-dublin")
    release.until(is_well)

"""`python -m tests.support.kube.node --kubeconfig FILE --folder DIR`: nodes that run their pods.

What a kubelet, a container runtime, DNS, a service proxy, a provisioner of volumes and
cert-manager are to a cluster, as far as the charts need it: three nodes in three zones, whose pods
are processes of this machine (`pod.py`, `services.py`). Network policies are not enforced, and
nothing is metered.
Runs until SIGTERM, or until its parent ends.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tests.support.kube.api import ApiRefused, KubeApi
from tests.support.kube.issuer import Issuer
from tests.support.kube.namespace import POD_GATEWAY
from tests.support.kube.node_server import KUBELET_PORT, NodeServer
from tests.support.kube.pod import Pod
from tests.support.kube.pod_network import PodNetworks
from tests.support.kube.services import Services

NODES = ("node-a", "node-b", "node-c")
STORAGE_CLASS = "standard"
_TICK_S = 0.3
_HEARTBEAT_S = 10.0
_END_WITHIN_S = 15.0
_CLAIMS = "/api/v1/persistentvolumeclaims"
_VOLUMES = "/api/v1/persistentvolumes"


class Nodes:
    """All of them, in one process."""

    def __init__(self, api: KubeApi, make_api: Any, folder: Path, tags: frozenset[str]) -> None:
        self._api = api
        self._make_api = make_api
        self._folder = folder
        self._claims = folder / "claims"
        self._tags = tags
        self._networks = PodNetworks()
        self._services = Services(folder)
        self._pods: dict[str, Pod] = {}
        self._heartbeat_s = 0.0
        self._claims.mkdir(parents=True)
        self._server = NodeServer(folder, self._inside)
        self._issuer = Issuer(api)

    def register(self) -> None:
        for name in NODES:
            self._api.create_if_absent("/api/v1/nodes", _node(name))
        self._api.create_if_absent(
            "/apis/storage.k8s.io/v1/storageclasses",
            {
                "metadata": {
                    "name": STORAGE_CLASS,
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": "homeport.test/folder",
            },
        )

    def step(self) -> None:
        """Looks at everything once."""
        if time.monotonic() > self._heartbeat_s:
            for name in NODES:
                self._api.patch(f"/api/v1/nodes/{name}/status", {"status": _node_status(name)})
            self._heartbeat_s = time.monotonic() + _HEARTBEAT_S
        self._provision()
        self._issuer.step()
        every = self._api.items("/api/v1/pods")
        placed = {
            pod["metadata"]["uid"]: pod for pod in every if pod["spec"].get("nodeName") in NODES
        }
        for uid, pod in placed.items():
            if uid in self._pods:
                self._pods[uid].document = pod
            elif pod["status"].get("phase") in ("Pending", None):
                self._pods[uid] = self._start(uid, pod)
        for uid in [one for one in self._pods if one not in placed]:
            self._pods.pop(uid).halt.set()
        services = self._api.items("/api/v1/services")
        self._balance(services)
        self._services.show(services, list(placed.values()))

    def stop(self) -> None:
        self._server.close()
        for pod in self._pods.values():
            pod.halt.set()
        for pod in self._pods.values():
            pod.join(_END_WITHIN_S)
        self._services.close()

    def _start(self, uid: str, document: dict[str, Any]) -> Pod:
        metadata = document["metadata"]
        folder = self._folder / "pods" / metadata["namespace"] / metadata["name"] / uid
        pod = Pod(
            document,
            self._make_api(),
            self._networks.make(),
            folder=folder,
            claims=self._claims,
            hosts=self._services.hosts(metadata["namespace"]),
            tags=self._tags,
        )
        pod.start()
        return pod

    def _inside(self, namespace: str, name: str, container: str, words: list[str]) -> list[str]:
        """The words as a process in a container that runs. Raises KeyError."""
        for pod in list(self._pods.values()):
            metadata = pod.document["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name):
                return pod.inside(container, words)
        raise KeyError(name)

    def _balance(self, services: list[dict[str, Any]]) -> None:
        """The address of a load balancer is that in the cluster."""
        for service in services:
            metadata, spec = service["metadata"], service["spec"]
            balancer = service["status"].get("loadBalancer") or {}
            if spec.get("type") == "LoadBalancer" and not balancer.get("ingress"):
                path = f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}"
                ingress = [{"ip": spec["clusterIP"]}]
                status = {"status": {"loadBalancer": {"ingress": ingress}}}
                self._api.patch(f"{path}/status", status)

    def _provision(self) -> None:
        """A volume for each claim of the class that has none, and none for what nobody claims any
        more."""
        for claim in self._api.items(_CLAIMS):
            is_ours = claim["spec"].get("storageClassName") == STORAGE_CLASS
            if is_ours and claim["status"].get("phase") == "Pending":
                self._api.create_if_absent(_VOLUMES, _volume(claim, self._claims))
        for volume in self._api.items(_VOLUMES):
            if volume["status"].get("phase") == "Released":
                name = volume["metadata"]["name"]
                self._api.delete(f"{_VOLUMES}/{name}")
                shutil.rmtree(self._claims / name, ignore_errors=True)


def _volume(claim: dict[str, Any], folder: Path) -> dict[str, Any]:
    metadata, spec = claim["metadata"], claim["spec"]
    name = f"pvc-{metadata['uid']}"
    reference = {key: metadata[key] for key in ("namespace", "name", "uid")}
    return {
        "metadata": {"name": name},
        "spec": {
            "capacity": spec["resources"]["requests"],
            "accessModes": spec["accessModes"],
            "storageClassName": STORAGE_CLASS,
            "persistentVolumeReclaimPolicy": "Retain",  # we remove it ourselves
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **reference},
            "hostPath": {"path": str(folder / name)},
        },
    }


def _node(name: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": f"zone-{name}",
            },
        }
    }


def _node_status(name: str) -> dict[str, Any]:
    room = {"cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "capacity": room,
        "allocatable": room,
        "addresses": [
            {"type": "InternalIP", "address": POD_GATEWAY},
            {"type": "Hostname", "address": name},
        ],
        # `kubectl exec` comes as it is, and not as SPDY.
        "declaredFeatures": ["ExtendWebSocketsToKubelet"],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
        "conditions": [
            {
                "type": "Ready", "status": "True", "reason": "KubeletReady",
                "lastHeartbeatTime": now, "lastTransitionTime": now,
            }
        ],
    }  # fmt: skip


def _api_of(kubeconfig: Path, folder: Path) -> Any:
    """A function that makes clients of the cluster that the file names."""
    document = yaml.safe_load(kubeconfig.read_text())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    ca = folder / "cluster-ca.crt"
    ca.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    address = cluster["server"].removeprefix("https://")
    return lambda: KubeApi(address, ca, user["token"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="node", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tag", action="append", default=[], help="of the image homeport")
    given = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="node-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        make_api = _api_of(given.kubeconfig, folder)
        nodes = Nodes(make_api(), make_api, folder, frozenset(given.tag))
        try:
            nodes.register()
            while not ended.wait(_TICK_S):
                try:
                    nodes.step()
                except (ApiRefused, OSError):  # tried again at once; the log has it
                    traceback.print_exc(file=sys.stderr)
        finally:
            nodes.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

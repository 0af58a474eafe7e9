"""A Kubernetes control plane on this machine: etcd, API server, controllers and scheduler, and the
nodes of `node.py`. Everything has free ports, certificates of its own and one folder, and ends with
the cluster or with this process.
"""

from __future__ import annotations

import base64
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from console.local.etcd_process import free_ports
from tests.support.certificates import LOOPBACK, Authority
from tests.support.go_programs import (
    ETCD_3_6,
    KUBE,
    KUBE_APISERVER,
    KUBE_CONTROLLER_MANAGER,
    KUBE_SCHEDULER,
)
from tests.support.kube.api import KubeApi
from tests.support.kube.custom_resources import CUSTOM_RESOURCES
from tests.support.kube.namespace import SERVICE_RANGE
from tests.support.kube.node import NODES
from tests.support.kube.programs import Programs
from tests.support.kube.tools import KUBECTL, run

NEEDED = (ETCD_3_6, *KUBE)
_START_WITHIN_S = 120.0
# Published as the address of the service `kubernetes`, where loopback is refused; nobody calls it.
_ADVERTISED = "192.0.2.1"


class Cluster:
    """One control plane. A context manager: inside it, it runs."""

    def __init__(self, folder: Path, *, runs_pods: bool = False, tags: Sequence[str] = ()) -> None:
        """folder: made where it is not; holds data, logs and the kubeconfig. runs_pods: with three
        nodes that run what is placed there; that needs a process of `namespace.py`. tags: of the
        image homeport that they have."""
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self._runs_pods = runs_pods
        self._tags = tags
        self._programs = Programs(folder)
        self._token = secrets.token_hex(16)
        self._etcd_port, self._etcd_peer_port, self._port = free_ports(3)
        self._ca = folder / "ca.crt"

    @property
    def pids(self) -> dict[str, int]:
        return self._programs.pids

    def api(self) -> KubeApi:
        """A new client."""
        return KubeApi(f"{LOOPBACK}:{self._port}", self._ca, self._token)

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """What it prints. Raises CalledProcessError, which has what it said as `stderr`."""
        return run([str(KUBECTL), *words], self.kubeconfig, stdin=stdin)

    def as_client(self, namespace: str, *words: str) -> list[str]:
        """The command line that runs `words` where names of services are known as in a pod of the
        namespace; needs nodes that run pods."""
        (hosts,) = self.folder.glob(f"node-*/hosts-{namespace}")
        return ["bwrap", "--dev-bind", "/", "/", "--ro-bind", str(hosts), "/etc/hosts", *words]

    def start(self) -> Self:
        """Returns when pods can be placed. Raises ClusterFailed, having stopped everything."""
        deadline = time.monotonic() + _START_WITHIN_S
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._write_credentials()
            self._start_api_server(deadline)
            self._start_controllers()
            api = self.api()
            for definition in CUSTOM_RESOURCES:
                api.create_if_absent(
                    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition
                )
            if self._runs_pods:
                self._start_node()
            self._programs.wait("ready nodes", lambda: self._can_place(api), deadline)
        except BaseException:  # Ctrl-C too: nothing of it may be left
            self.stop()
            raise
        return self

    def stop(self) -> None:
        self._programs.stop()

    def _write_credentials(self) -> None:
        authority = Authority.new("homeport test cluster")
        self._ca.write_bytes(authority.certificate)
        certificate, key = authority.issue(
            names=["kubernetes", "kubernetes.default.svc"], addresses=[LOOPBACK]
        )
        (self.folder / "api.crt").write_bytes(certificate)
        (self.folder / "api.key").write_bytes(key)
        accounts = authority.issue()[1]
        (self.folder / "accounts.key").write_bytes(accounts)
        public = load_pem_private_key(accounts, None).public_key()
        (self.folder / "accounts.pub").write_bytes(
            public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        (self.folder / "tokens.csv").write_text(f'{self._token},admin,admin,"system:masters"\n')
        for path in self.folder.glob("*.key"):
            path.chmod(0o600)
        named = {"cluster": "test", "user": "admin", "namespace": "default"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {
                        "server": f"https://{LOOPBACK}:{self._port}",
                        "certificate-authority-data": base64.b64encode(
                            authority.certificate
                        ).decode(),
                    },
                }
            ],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "test", "context": named}],
            "current-context": "test",
        }
        self.kubeconfig.write_text(yaml.safe_dump(document))
        self.kubeconfig.chmod(0o600)

    def _start_api_server(self, deadline: float) -> None:
        client = f"http://{LOOPBACK}:{self._etcd_port}"
        peer = f"http://{LOOPBACK}:{self._etcd_peer_port}"
        self._programs.start(
            "etcd",
            [
                str(ETCD_3_6.path), "--name=kube", f"--data-dir={self.folder / 'etcd'}",
                f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=kube={peer}", "--unsafe-no-fsync",
            ],
        )  # fmt: skip
        self._programs.start(
            "kube-apiserver",
            [
                str(KUBE_APISERVER.path), f"--etcd-servers={client}",
                f"--bind-address={LOOPBACK}", f"--secure-port={self._port}",
                f"--advertise-address={_ADVERTISED}", "--endpoint-reconciler-type=none",
                f"--tls-cert-file={self.folder / 'api.crt'}",
                f"--tls-private-key-file={self.folder / 'api.key'}",
                f"--token-auth-file={self.folder / 'tokens.csv'}", "--authorization-mode=RBAC",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={self.folder / 'accounts.pub'}",
                f"--service-account-signing-key-file={self.folder / 'accounts.key'}",
                f"--service-cluster-ip-range={SERVICE_RANGE}",
                "--kubelet-preferred-address-types=InternalIP",
            ],
        )  # fmt: skip
        self._programs.wait("an API server that is ready", self.api().is_ready, deadline)

    def _start_controllers(self) -> None:
        common = [f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--secure-port=0"]
        self._programs.start(
            "kube-controller-manager",
            [
                str(KUBE_CONTROLLER_MANAGER.path), *common,
                f"--service-account-private-key-file={self.folder / 'accounts.key'}",
                f"--root-ca-file={self._ca}", "--horizontal-pod-autoscaler-sync-period=3s",
            ],
        )  # fmt: skip
        self._programs.start("kube-scheduler", [str(KUBE_SCHEDULER.path), *common])

    def _start_node(self) -> None:
        self._programs.start(
            "node",
            [
                sys.executable, "-m", "tests.support.kube.node",
                f"--kubeconfig={self.kubeconfig}", f"--folder={self.folder}",
                *(f"--tag={tag}" for tag in self._tags),
            ],
            cleans_up=True,
        )  # fmt: skip

    def _can_place(self, api: KubeApi) -> bool:
        accounts = api.items("/api/v1/namespaces/default/serviceaccounts")
        nodes = api.items("/api/v1/nodes")
        wanted = len(NODES) if self._runs_pods else 0
        return (
            len(nodes) == wanted
            and any(one["metadata"]["name"] == "default" for one in accounts)
            and all(is_true(node, "Ready") and not node["spec"].get("taints") for node in nodes)
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def is_true(document: dict[str, Any], condition: str) -> bool:
    """Whether the status of an object has that condition, and it holds."""
    conditions = document.get("status", {}).get("conditions") or []
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)

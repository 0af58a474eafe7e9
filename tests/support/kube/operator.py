"""What an operator does to have a release of the charts: namespace, store, Secrets, values, and the
`homeport` command where names of services are known."""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from control_plane.auth.credentials import TOKEN_BYTES, new_token
from control_plane.auth.tokens import digest_of
from tests.support.certificates import Authority
from tests.support.kube.helm import Helm
from tests.support.kube.images import PROJECT
from tests.support.kube.tools import KUBECTL, ToolFailed, run

RELEASE = "hp"
SERVER = f"{RELEASE}-homeport-provisioner"
SHARING = f"{RELEASE}-homeport-sharing"
PLATFORM = "kitchen"
OPERATOR_TOKEN, AGENT_TOKEN, PLATFORM_TOKEN = (
    new_token(bytes([number]) * TOKEN_BYTES) for number in (1, 2, 3)
)
IMAGE = {"repository": "registry.example.com/homeport"}
_RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
_PLACES = {"dublin": (53.3, -6.3, "IE"), "milan": (45.5, 9.2, "IT")}


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One of a namespace in which pods must be as restricted as Kubernetes knows it."""

    helm: Helm
    folder: Path
    authority: Authority = field(default_factory=lambda: Authority.new("store and units"))

    @property
    def server(self) -> str:
        return f"{SERVER}.{self.helm.namespace}.svc:7700"

    def prepare(self, store: Path | None = None) -> None:
        """Everything that the charts want to be there; store: the manifest of an etcd, where the
        release does not bring it."""
        namespace = self.helm.namespace
        self.helm.cluster.kubectl("create", "namespace", namespace)
        self.helm.cluster.kubectl("label", "namespace", namespace, _RESTRICTED)
        self.certificate("etcd-tls", ["etcd", f"etcd.{namespace}.svc"])
        self.certificate("unit-tls", ["*.example.net"])
        tokens = "".join(
            f'[[token]]\nname = "{name}"\nsha256 = "{digest_of(token)}"\nroles = ["{role}"]\n{more}'
            for name, token, role, more in (
                ("operator", OPERATOR_TOKEN, "admin", ""),
                ("agents", AGENT_TOKEN, "unit", f"units = {json.dumps(list(_PLACES))}\n"),
                (
                    "platform",
                    PLATFORM_TOKEN,
                    "platform",
                    f'tenant = "default"\nplatform = "{PLATFORM}"\n',
                ),
            )
        )
        self.secret("hp-tokens", {"tokens.toml": tokens})
        self.secret("operator-token", {"token": OPERATOR_TOKEN})
        self.secret("agent-token", {"token": AGENT_TOKEN})
        self.secret("platform-token", {"token": PLATFORM_TOKEN})
        if store is not None:
            self.helm.kubectl("apply", "-f", str(store))
            self.helm.kubectl("rollout", "status", "statefulset/etcd", "--timeout=120s")

    def values(self, **more: Any) -> dict[str, Any]:
        """Of the chart homeport."""
        return {
            "image": IMAGE,
            "tls": {"source": "generate"},
            "tokens": {"secret": "hp-tokens"},
            "store": {
                "endpoints": [f"etcd.{self.helm.namespace}.svc:2379"],
                "tls": {"caSecret": "etcd-tls"},
            },
            "provisioner": {"replicas": 2, "settings": {}},
            "test": {"tokenSecret": "operator-token"},
            **more,
        }

    def unit_values(self, unit: str) -> dict[str, Any]:
        """Of the chart homeport-unit."""
        return {
            "image": IMAGE,
            "unit": {"id": unit},
            "server": {
                "endpoints": [self.server],
                "caSecret": f"{SERVER}-tls",
                "token": {"secret": "agent-token"},
            },
            "tls": {"secret": "unit-tls"},
        }

    def secret(self, name: str, content: dict[str, str], kind: str = "Opaque") -> None:
        document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind}
        text = json.dumps({**document, "stringData": content})
        self.helm.kubectl("apply", "--server-side", "-f", "-", stdin=text)

    def content(self, secret: str, key: str, path: Path) -> None:
        """Puts the content of a Secret's key into a file that nobody else may read."""
        where = "jsonpath={.data." + key.replace(".", r"\.") + "}"
        found = self.helm.kubectl("get", "secret", secret, "-o", where)
        path.touch(0o600)
        path.write_bytes(base64.b64decode(found))

    def certificate(self, name: str, hosts: list[str]) -> None:
        pem, key = self.authority.issue(names=hosts)
        ca = self.authority.certificate.decode()
        content = {"tls.crt": pem.decode(), "tls.key": key.decode(), "ca.crt": ca}
        self.secret(name, content, "kubernetes.io/tls")

    def declare(self, unit: str) -> None:
        """Applies the unit's record; it takes clients before its agent is heard."""
        latitude, longitude, country = _PLACES[unit]
        path = self.folder / f"{unit}.yaml"
        entry = {
            "id": unit,
            "endpoint": f"{unit}.example.net:443",
            "position": {"latitude": latitude, "longitude": longitude},
            "country": country,
            "capacity": 1_000,
        }
        path.write_text(yaml.safe_dump({"units": [entry]}))
        self.homeport("units", "apply", str(path))

    def homeport(self, *words: str, server: str = "") -> Any:
        """The document that a command prints. server: another than the provisioning one. Raises
        ToolFailed."""
        ca, token = self.folder / "ca.crt", self.folder / "token"
        self.content(f"{SERVER}-tls", "ca.crt", ca)
        token.touch(0o600)
        token.write_text(OPERATOR_TOKEN)
        where = [f"--server={server or self.server}", f"--ca={ca}", f"--token-file={token}"]
        return json.loads(self.command(*words, *where, "-o", "json"))

    def submit(self, application: str, *words: str) -> None:
        """One of the applications of this repository, to the data-sharing server."""
        folder = PROJECT / "data-sharing" / "applications" / application
        server = f"{SHARING}.{self.helm.namespace}.svc:7703"
        self.homeport("apps", "submit", str(folder / "manifest.yaml"), *words, server=server)

    def console(self, *words: str, stdin: str | None = None) -> str:
        """What a command prints that is run in the console's pod, without options of where.
        Raises ToolFailed."""
        pod = f"deployment/{RELEASE}-homeport-console"
        return self.helm.kubectl("exec", "-i", pod, "--", "homeport", *words, stdin=stdin)

    def provision_over_http(self, client: str, address: str) -> Any:
        """What the provisioning servers' HTTP answers at its Service, to curl as the notes of the
        release have it. Raises ToolFailed."""
        ca = self.folder / "ca.crt"
        self.content(f"{SERVER}-tls", "ca.crt", ca)
        where = f"https://{SERVER}.{self.helm.namespace}.svc:7702"
        command = [
            "curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "30",
            "--cacert", str(ca), "--request", "POST",
            "--header", f"authorization: Bearer {OPERATOR_TOKEN}",
            "--header", "content-type: application/json",
            "--data", json.dumps({"address": address}),
            f"{where}/v1/tenants/default/clients/{client}:provision",
        ]  # fmt: skip
        return json.loads(run(self.helm.cluster.as_client(self.helm.namespace, *command)))

    def command(self, *words: str) -> str:
        """What `homeport` prints where names of services are known. Raises ToolFailed."""
        program = [sys.executable, "-m", "console.cli.main"]
        return run(self.helm.cluster.as_client(self.helm.namespace, *program, *words))

    def doctor(self) -> dict[str, Any]:
        """What `homeport doctor --cluster` says."""
        path = f"{KUBECTL.parent}:/usr/bin:/bin"
        command = [
            "env", f"PATH={path}", sys.executable, "-m", "console.cli.main", "doctor", "--cluster",
            f"--namespace={self.helm.namespace}", "-o", "json",
        ]  # fmt: skip
        try:
            said = run(command, self.helm.cluster.kubeconfig)
        except ToolFailed as failed:
            said = failed.stdout
        found: dict[str, Any] = json.loads(said)
        return found

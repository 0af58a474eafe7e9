"""Helm, of either major version, as an operator calls it on a cluster of these tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.go_programs import HELM_3, HELM_4, GoProgram
from tests.support.kube.cluster import Cluster
from tests.support.kube.tools import KUBE_VERSION, ToolFailed, run

WAIT = "240s"
BOTH = (HELM_4, HELM_3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Helm:
    """One Helm and one cluster; `namespace` is made by the first `install`."""

    program: GoProgram
    cluster: Cluster
    namespace: str

    def __call__(self, *words: str) -> str:
        """What it prints. Raises ToolFailed."""
        return run(
            [str(self.program.path), *words, f"--namespace={self.namespace}"],
            self.cluster.kubeconfig,
        )

    def install(self, release: str, chart: Path, *words: str, values: Any = None) -> str:
        return self("install", release, str(chart), "--create-namespace", "--wait",
                    f"--timeout={WAIT}", *self._values(values), *words)  # fmt: skip

    def upgrade(self, release: str, chart: Path, *words: str, values: Any = None) -> str:
        return self("upgrade", release, str(chart), "--wait", f"--timeout={WAIT}",
                    *self._values(values), *words)  # fmt: skip

    def template(self, release: str, chart: Path, *words: str, values: Any = None) -> str:
        return self("template", release, str(chart), f"--kube-version={KUBE_VERSION}",
                    *self._values(values), *words)  # fmt: skip

    def test(self, release: str, *words: str) -> str:
        """--logs only where the pod stays: Helm 3 looks for them when it has removed the pod.
        Raises ToolFailed with what pods say that have failed, which stay."""
        try:
            return self("test", release, *words, f"--timeout={WAIT}")
        except ToolFailed as failed:
            logs = self._logs_of_failed()
            raise ToolFailed(
                failed.returncode, failed.cmd, failed.output, f"{failed.stderr}\n{logs}"
            ) from failed

    def _logs_of_failed(self) -> str:
        pods = self.kubectl("get", "pods", "--field-selector=status.phase=Failed", "-o", "name")
        said = ("logs", "--all-containers", "--prefix", "--tail=20")
        return "\n".join(self.kubectl(*said, pod) for pod in pods.split())

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl(f"--namespace={self.namespace}", *words, stdin=stdin)

    def left_over(self) -> set[str]:
        """What the namespace still holds, as kind/name, but what every namespace has."""
        kinds = "deploy,sts,ds,rs,job,pod,svc,cm,secret,pvc,sa,pdb,hpa,netpol,role,rolebinding"
        said = self.kubectl("get", kinds, "-o", "name").split()
        usual = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
        return {one.replace(".apps", "") for one in said} - usual

    def _values(self, values: Any) -> list[str]:
        if values is None:
            return []
        path = self.cluster.folder / f"values-{self.namespace}.yaml"
        path.write_text(yaml.safe_dump(values))
        return [f"--values={path}"]

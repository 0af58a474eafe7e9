"""The programs of an operator: kubectl, from its wheel, and both Helms, as their own processes."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"
LIMIT_S = 300.0
KUBE_VERSION = "1.37.2"


def run(
    command: Sequence[str],
    kubeconfig: Path | None = None,
    *,
    stdin: str | None = None,
    limit_s: float = LIMIT_S,
    cwd: Path | None = None,
) -> str:
    """What it prints. Raises CalledProcessError with its own words, TimeoutExpired."""
    home = {} if kubeconfig is None else tool_environment(kubeconfig)
    done = subprocess.run(
        list(command), input=stdin, env={**os.environ, **home}, capture_output=True, text=True,
        timeout=limit_s, check=False, cwd=cwd,
    )  # fmt: skip
    if done.returncode != 0:
        raise ToolFailed(done.returncode, list(command), done.stdout, done.stderr)
    return done.stdout


def tool_environment(kubeconfig: Path) -> dict[str, str]:
    """The cluster, and folders for caches that nobody else uses."""
    folder = kubeconfig.parent
    return {
        "KUBECONFIG": str(kubeconfig),
        "KUBECACHEDIR": str(folder / "kubectl-cache"),
        "HELM_CACHE_HOME": str(folder / "helm-cache"),
        "HELM_CONFIG_HOME": str(folder / "helm-config"),
        "HELM_DATA_HOME": str(folder / "helm-data"),
    }


class ToolFailed(subprocess.CalledProcessError):
    """With what the program said: pytest shows it."""

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.stdout}\n{self.stderr}"

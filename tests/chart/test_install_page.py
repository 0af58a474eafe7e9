"""docs/operations/install.md, typed as it stands: from an empty cluster to a drained unit.

In place of what cannot be had here: the image (`images.py`), `kubectl port-forward`
(`port_forward.py`). All else is what the page names: kubectl, Helm, openssl and `homeport`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.go_programs import GoProgram
from tests.support.kube.cluster import Cluster
from tests.support.kube.images import PROJECT
from tests.support.kube.pages import shown_files, typed_commands
from tests.support.kube.requirements import needs_cluster
from tests.support.kube.tools import KUBECTL, tool_environment

pytestmark = [needs_cluster(), pytest.mark.timeout(900)]
PAGE = PROJECT / "docs/operations/install.md"
WITHIN_S = 840.0
# A reader goes on once the port-forward says that it forwards; a script has to wait for that.
SHELL = """
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
"""
UNTIL_FORWARDED = "until (: < /dev/tcp/localhost/7700) 2>/dev/null; do sleep 0.1; done"
OUR_KUBECTL = """#!/bin/sh
for word in "$@"; do
  if [ "$word" = port-forward ]; then
    PYTHONPATH={project} exec {python} -m tests.support.kube.port_forward "$2" "$4" "$5"
  fi
done
exec {kubectl} "$@"
"""


def walked(page: str) -> tuple[dict[str, str], str]:
    """Its files, and its commands as one script that says what it does."""
    before, heading, _ = page.partition("\n## Production\n")
    assert heading
    steps = []
    for block in typed_commands(before):
        steps.append("set -x\n" + block + "\n{ set +x; } 2>/dev/null\n")
        if any(line.endswith("&") for line in block.splitlines()):
            steps.append(UNTIL_FORWARDED + "\n")
    return shown_files(before), SHELL + "".join(steps)


def programs(folder: Path, helm: GoProgram) -> Path:
    """A folder for the PATH with what the page names."""
    folder.mkdir()
    (folder / "helm").symlink_to(helm.path)
    kubectl = folder / "kubectl"
    kubectl.write_text(OUR_KUBECTL.format(project=PROJECT, python=sys.executable, kubectl=KUBECTL))
    kubectl.chmod(0o755)
    (folder / "homeport").symlink_to(Path(sys.executable).parent / "homeport")
    return folder


def test_from_an_empty_cluster_to_a_drained_unit(
    cluster: Cluster, program: GoProgram, tmp_path: Path
) -> None:
    files, script = walked(PAGE.read_text())
    here = tmp_path / "homeport"
    here.mkdir()
    (here / "helm").symlink_to(PROJECT / "helm")
    for name, content in files.items():
        (here / name).write_text(content)
    said = tmp_path / "said"
    path = programs(tmp_path / "bin", program)
    with said.open("wb") as output:
        done = subprocess.run(
            ["bash", "-c", script], cwd=here, timeout=WITHIN_S, check=False,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, **tool_environment(cluster.kubeconfig), "HOME": str(tmp_path),
                 "PATH": f"{path}:/usr/bin:/bin"},
        )  # fmt: skip
    told = said.read_text(errors="replace")
    print(told)
    assert done.returncode == 0, told[-4_000:]
    before, _, after = told.rpartition("homeport units drain eu --rate")
    assert "eu" in before.rpartition("homeport get phone")[2]
    assert "us" in after.rpartition("homeport get phone")[2]
    assert "kubectl delete namespace" in after

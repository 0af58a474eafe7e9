"""The cluster of these tests does what a cluster does, tried with a small chart of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.kube.cluster import Cluster
from tests.support.kube.dry_run import DryRun
from tests.support.kube.helm import Helm
from tests.support.kube.requirements import needs_cluster
from tests.support.kube.tools import ToolFailed

pytestmark = [needs_cluster(), pytest.mark.timeout(600)]
CHART = Path(__file__).with_name("small_chart")
WITHIN_S = 60.0

SCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: h}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}
  minReplicas: 5
  maxReplicas: 2
"""
MISSPELT = """
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {ports: [{port: 80}], selektor: {a: b}}
"""


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + WITHIN_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_a_release_from_install_to_uninstall(helm: Helm) -> None:
    helm.install("s", CHART, values={"word": "first"})
    assert "served: first" in helm.test("s", "--logs")
    helm.upgrade("s", CHART, values={"word": "second"})
    assert "served: second" in helm.test("s", "--logs")
    helm("rollback", "s", "1", "--wait")
    assert "served: first" in helm.test("s", "--logs")
    helm("uninstall", "s", "--wait")
    until(lambda: helm.left_over() <= {"persistentvolumeclaim/s", "pod/s-test"})


def test_a_pod_that_waits_says_why(helm: Helm) -> None:
    with pytest.raises(ToolFailed):
        helm("install", "s", str(CHART), "--create-namespace", "--wait", "--timeout=8s",
             "--set=tag=6.6.6")  # fmt: skip
    pods = json.loads(helm.kubectl("get", "pods", "-o", "json"))["items"]
    reasons = {one["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] for one in pods}
    assert reasons == {"ImagePullBackOff"}
    helm("uninstall", "s", "--wait")


def test_logs_and_changed_secrets_reach_a_pod(cluster: Cluster, helm: Helm) -> None:
    helm.install("s", CHART, values={"word": "old", "replicas": 1})
    change = json.dumps({"stringData": {"word": "new"}})
    helm.kubectl("patch", "secret", "s", "--patch", change)
    name = helm.kubectl("get", "pods", "-l", "app=s", "-o", "name").strip()
    address = helm.kubectl("get", name, "-o", "jsonpath={.status.podIP}")

    def serves_new() -> bool:
        done = subprocess.run(
            [sys.executable, "-c", "import sys, urllib.request as u; "
             "print(u.urlopen(sys.argv[1], timeout=5).read().decode())",
             f"http://{address}:8080/word"],
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        return done.stdout.strip() == "new"

    until(serves_new)
    assert "GET /word" in helm.kubectl("logs", name)


def test_a_command_in_a_pod_has_its_streams_and_its_exit_code(helm: Helm) -> None:
    helm.install("s", CHART, values={"replicas": 1})
    run = ("exec", "-i", "deployment/s", "--")
    text = "".join(f"line {number}\n" for number in range(20_000))
    assert helm.kubectl(*run, "cat", stdin=text) == text
    assert helm.kubectl(*run, "sh", "-c", "echo $HOSTNAME").startswith("s-")
    with pytest.raises(ToolFailed) as failed:
        helm.kubectl(*run, "sh", "-c", "echo out; echo wrong >&2; exit 7")
    assert (failed.value.returncode, failed.value.stdout) == (7, "out\n")
    assert "wrong" in failed.value.stderr
    helm("uninstall", "s", "--wait")


def test_what_a_dry_run_on_the_server_refuses(cluster: Cluster) -> None:
    dry_run = DryRun(cluster.api())
    assert [word for said in dry_run.refusals(SCALER, "default") for word in said.split()
            if word.startswith("spec.maxReplicas")]  # fmt: skip
    assert "selektor" in dry_run.refusals(MISSPELT, "default")[0]
    assert dry_run.refusals(f"{MISSPELT.replace('selektor', 'selector')}", "default") == []


def test_a_budget_holds_up_a_drain(helm: Helm) -> None:
    helm.install("s", CHART, values={"replicas": 3})
    budget = helm.kubectl("get", "pdb", "s", "-o", "jsonpath={.status.disruptionsAllowed}")
    assert budget == "1"
    node = helm.kubectl("get", "pods", "-l", "app=s", "-o", "jsonpath={.items[0].spec.nodeName}")
    kubectl = helm.cluster.kubectl
    try:
        kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
    finally:
        kubectl("uncordon", node)
    helm("uninstall", "s")


def test_nothing_is_left_of_it_when_its_owner_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path;"
        "from tests.support.kube.cluster import Cluster;"
        "c = Cluster(Path(sys.argv[1])).start();"
        "print(*c.pids.values(), flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "c")], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    pids = [int(one) for one in owner.stdout.readline().split()]
    assert len(pids) == 4
    owner.send_signal(signal.SIGKILL)
    owner.wait(10)
    until(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    """Not as a zombie, which nobody here may be there to reap."""
    try:
        os.kill(pid, 0)
        return (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False

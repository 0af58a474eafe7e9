"""A cluster for each file of tests; skipped, with the reason, where there cannot be one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.support.go_programs import ETCD_3_6, GoProgram
from tests.support.kube.cluster import Cluster
from tests.support.kube.helm import BOTH, Helm
from tests.support.kube.namespace import is_inside
from tests.support.kube.tools import KUBE_VERSION

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With three nodes that run their pods."""
    folder = tmp_path_factory.mktemp("cluster")
    folder.chmod(0o755)
    with Cluster(folder, runs_pods=True, tags=["0.0.9"]) as running:
        yield running


@pytest.fixture(params=BOTH, ids=lambda one: f"helm-{one.version}")
def program(request: pytest.FixtureRequest) -> GoProgram:
    return request.param


@pytest.fixture
def helm(program: GoProgram, cluster: Cluster) -> Helm:
    """A Helm in a namespace of the test's own."""
    return Helm(program=program, cluster=cluster, namespace=f"test-{next(_NUMBERS)}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was tried, with what, and what stood in for the rest."""
    passed = terminalreporter.stats.get("passed", [])
    if not is_inside() or not passed:
        return
    helms = " and ".join(one.version for one in BOTH)
    terminalreporter.section("tried on a cluster")
    terminalreporter.line(
        f"Kubernetes {KUBE_VERSION} (API server, controllers, scheduler), Helm {helms}, etcd "
        f"{ETCD_3_6.version}; nodes run pods as processes, images are this checkout and that etcd"
    )
    terminalreporter.line(
        "not there: a registry, a network that enforces policies, metrics for autoscalers, the "
        "connections of kubectl port-forward"
    )
    files: dict[str, list[float]] = {}
    for report in passed:
        files.setdefault(report.nodeid.partition("::")[0], []).append(report.duration)
    for name, took in files.items():
        terminalreporter.line(f"{name}: {len(took)} passed, {sum(took):.0f} s")

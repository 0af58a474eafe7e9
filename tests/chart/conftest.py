"""A cluster for each file of tests; skipped, with the reason, where there cannot be one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.support.go_programs import GoProgram
from tests.support.kube.cluster import Cluster
from tests.support.kube.helm import BOTH, Helm

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With three nodes that run their pods."""
    folder = tmp_path_factory.mktemp("cluster")
    folder.chmod(0o755)
    with Cluster(folder, nodes=0, runs_pods=True, tags=["0.0.9"]) as running:
        yield running


@pytest.fixture(scope="module")
def kwok(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With three nodes of kwok: pods are only said to run."""
    with Cluster(tmp_path_factory.mktemp("kwok")) as running:
        yield running


@pytest.fixture(params=BOTH, ids=lambda one: f"helm-{one.version}")
def program(request: pytest.FixtureRequest) -> GoProgram:
    return request.param


@pytest.fixture
def helm(program: GoProgram, cluster: Cluster) -> Helm:
    """A Helm in a namespace of the test's own."""
    return Helm(program=program, cluster=cluster, namespace=f"test-{next(_NUMBERS)}")

"""The servers that made-up requests go to, on both transports, and how many there are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fuzz.services import TRANSPORTS, Services, serving

MEMORY = Path("/dev/shm")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each transport's on a worker of its own, where there are several (`--dist loadgroup`)."""
    for item in items:
        spec = getattr(item, "callspec", None)
        if spec is not None and "services" in spec.params:
            item.add_marker(pytest.mark.xdist_group(spec.params["services"]))


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In memory where the system has such a folder: most calls would wait for a disk."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path_factory.mktemp("fuzz")
        return
    with tempfile.TemporaryDirectory(prefix="homeport-fuzz-", dir=MEMORY) as made:
        yield Path(made)


@pytest.fixture(scope="package", params=TRANSPORTS)
def services(request: pytest.FixtureRequest, folder: Path) -> Iterator[Services]:
    own = folder / request.param
    own.mkdir()
    with serving(own, request.param) as made:
        yield made


@pytest.fixture
def calls() -> int:
    """Of each method; few in `make test`, many in `make fuzz`."""
    return int(os.environ.get("HOMEPORT_FUZZ_CALLS", "40"))


@pytest.fixture
def seed() -> int:
    return int(os.environ.get("HOMEPORT_FUZZ_SEED", "1"))


@pytest.fixture(autouse=True)
def still_well(services: Services):
    """Whatever was sent, the servers are there, answer a good call, and have logged no defect."""
    before = len(services.tracebacks())
    yield
    services.good_calls()
    assert [process.poll() for process in services.processes] == [None] * len(services.processes)
    assert services.tracebacks()[before:] == []

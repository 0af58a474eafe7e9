"""The servers that made-up requests go to, on both transports, and how many there are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import Scheduling

from tests.support.fuzz.by_transport import ByTransport
from tests.support.fuzz.services import TRANSPORTS, Services, serving

MEMORY = Path("/dev/shm")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """`--dist loadgroup`: each transport's on a worker of its own. By marks of groups pytest-xdist
    3.8 does not do it: it writes them into the ids of tests, which pytest 9.2 has elsewhere."""
    return ByTransport(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In memory where the system has such a folder: most calls would wait for a disk."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path_factory.mktemp("fuzz")
        return
    with tempfile.TemporaryDirectory(prefix="homeport-fuzz-", dir=MEMORY) as made:
        yield Path(made)


@pytest.fixture(scope="package")
def served() -> list[str]:
    """The transports that this process has served."""
    return []


@pytest.fixture(scope="package", params=TRANSPORTS)
def services(request: pytest.FixtureRequest, folder: Path, served: list[str]) -> Iterator[Services]:
    served.append(request.param)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    apart = getattr(request.config.option, "loadgroup", False) and workers >= len(TRANSPORTS)
    assert not apart or len(served) == 1, f"one worker serves {served}"
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

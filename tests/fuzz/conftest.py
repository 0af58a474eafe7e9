"""The servers that made-up requests go to, on both transports, and how many there are."""

from __future__ import annotations

import os

import pytest

from tests.support.fuzz.services import TRANSPORTS, Services, serving


@pytest.fixture(scope="package", params=TRANSPORTS)
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    with serving(tmp_path_factory.mktemp(request.param), request.param) as made:
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

"""What every fault scenario asks for by name, a place in the results; and what one that is marked
with alerts owes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fault_harness import Outcome
from tests.support.prometheus import ENDED

RESULTS = "HOMEPORT_FAULTS_RESULTS"  # a file; `make faults` names it

Record = Callable[..., None]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that passes and is marked with alerts has seen them fire, and end."""
    marked = {alert for mark in item.iter_markers("fires") for alert in mark.args}
    before = len(ENDED)
    yield
    missing = marked - set(ENDED[before:])
    assert not missing, f"not seen to fire and end: {', '.join(sorted(missing))}"


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """`record(fault, outcome, **figures)` notes a row for docs/reliability.md. Called before
    anything is asserted, so that a run that fails its promise shows by how much."""

    def note(fault: str, outcome: Outcome, **figures: Any) -> None:
        path = os.environ.get(RESULTS)
        measured = outcome.measured
        row = {
            "fault": fault,
            "scenario": request.node.nodeid,
            "requests": measured.requests,
            "failed": measured.failed,
            "denied": measured.denied,
            "revisions": outcome.verdict.revisions,
            "answers": outcome.verdict.answers,
            "violations": outcome.verdict.broken,
            **figures,
        }
        print(json.dumps(row))
        for message, times in sorted(measured.errors.items(), key=lambda e: -e[1])[:5]:
            print(f"  {times} x {message}")
        if path:
            file = Path(path)
            rows = json.loads(file.read_text()) if file.exists() else []
            file.write_text(json.dumps([*rows, row], indent=1) + "\n")

    return note

"""Every event is decided once: a server killed while it decides leaves what one leaves that was
not killed. Times of events are theirs, so what rules remember compares byte by byte."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.decision_run import BATCH, Publishing

SOME = 4_000


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    publishing = Publishing(tmp_path_factory.mktemp("reference"), SOME)
    publishing.run()
    return publishing.left()


def test_the_reference_decides_something_of_each_kind(reference: dict[str, list]) -> None:
    assert len(reference["events"]) == SOME
    assert reference["decided"] == [("default", SOME)]
    rules = {row[3] for row in reference["decisions"]}
    assert {"shift", "rising", "often"} <= rules
    assert len(reference["changes"]) > 10
    poisoned = [row for row in reference["dead"] if row[3] == "poison"]
    assert len(poisoned) == SOME // 997


@pytest.mark.parametrize("point", ["decide.events.before", "decide.events.after"])
def test_a_worker_killed_while_it_decides_decides_the_same(
    tmp_path: Path, reference: dict[str, object], point: str
) -> None:
    publishing = Publishing(tmp_path, SOME, {"HOMEPORT_FAULT_POINT": f"{point}:3"})
    publishing.run()
    assert publishing.deaths == 1
    assert publishing.left() == reference


def test_a_worker_killed_at_any_time_decides_the_same(
    tmp_path: Path, reference: dict[str, object]
) -> None:
    publishing = Publishing(tmp_path, SOME)
    publishing.run(kill_at={1, 4, 6})
    assert publishing.deaths >= 3
    assert publishing.left() == reference


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_million_events_through_a_worker_killed_again_and_again(tmp_path: Path) -> None:
    count = 1_000_000
    undisturbed = Publishing(tmp_path / "reference", count)
    undisturbed.run()
    killed = Publishing(tmp_path / "killed", count)
    killed.run(kill_at=set(random.Random(7).sample(range(count // BATCH), 12)))
    assert killed.deaths >= 12
    expected, found = undisturbed.left(), killed.left()
    assert len(found["events"]) == count
    for name, rows in expected.items():
        assert found[name] == rows, name

"""Which causes an application may name: of another's its events inherit how many decisions came
before, and neither the flow nor a place in the ancestry."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from data_sharing.event import Event
from data_sharing.instruction import Cause, outcome_id
from data_sharing.management.ancestry import ancestry
from tests.support.decisions_harness import TENANT, DecisionHarness, decision_harness, event

RULES = """
rules:
  - rule: start
    watch: {e: {feed: traffic}}
    when: "true"
    do: [{invoke: {application: lamp, action: blink, config: {times: 1}}}]
"""
ORIGINS = {"traffic": "roads", "works": "roads", "switched": "lamp", "weather": "sky"}


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DecisionHarness]:
    """Of an event of roads, because of which the lamp was told to blink."""
    async with decision_harness(
        tmp_path, find_origin=lambda tenant, feed: ORIGINS.get(feed, "")
    ) as made:
        made.rules(RULES)
        await made.publish(replace(event(id="e1"), correlation="flow", hops=3))
        yield made


async def kept(harness: DecisionHarness, feed: str, cause: str, source: str = "/x") -> Event:
    """An event of that feed that names that cause, as it is kept."""
    await harness.publish(replace(event(id="e2", feed=feed), source=source, causation=cause))
    page = await harness.log.read(TENANT, 1, types=None, key=None, limit=10)
    return page.records[0].event()


def causes(harness: DecisionHarness) -> int:
    """How many things the second event is told to have come of."""
    found = harness.read(
        lambda db: ancestry(db, TENANT, "", Cause("", "", position=2), depth=1, nodes=10)
    )
    return len(found.nodes) - 1


@pytest.mark.parametrize(
    ("feed", "may"),
    [
        pytest.param("switched", True, id="who-performed-it"),
        pytest.param("works", True, id="whose-events-caused-it"),
        pytest.param("unknown", True, id="the-service"),
        pytest.param("weather", False, id="another"),
    ],
)
@pytest.mark.parametrize("as_outcome", [False, True], ids=["instruction", "outcome"])
async def test_who_may_name_an_instruction(
    harness: DecisionHarness, feed: str, may: bool, as_outcome: bool
) -> None:
    (stored,) = harness.instructions()
    name = stored.instruction.id
    found = await kept(harness, feed, outcome_id(name, 1) if as_outcome else name)
    assert (found.correlation, found.hops) == ("flow" if may else "", 4)
    assert causes(harness) == int(may)
    followed = harness.read(lambda db: ancestry(db, TENANT, name, None, depth=1, nodes=10))
    assert ("e-2" in followed.nodes) == (may and not as_outcome)


@pytest.mark.parametrize(
    ("feed", "may"),
    [pytest.param("works", True, id="its-own"), pytest.param("weather", False, id="anothers")],
)
async def test_who_may_name_an_event(harness: DecisionHarness, feed: str, may: bool) -> None:
    """Another application may publish under the same source."""
    found = await kept(harness, feed, "e1", "/road")
    assert (found.correlation, found.hops) == ("flow" if may else "", 3)
    assert causes(harness) == int(may)

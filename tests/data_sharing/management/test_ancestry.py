"""Ancestry: the whole of a flow from anywhere in it, within bounds, and of this tenant alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from control_plane.errors import InvalidInput, NotFound
from data_sharing.delivery.outcome_events import outcome_event
from data_sharing.instruction import Cause, Performance, Performed
from data_sharing.management.ancestry import Ancestry, AncestryKind, ancestry
from tests.support.decisions_harness import TENANT, DecisionHarness, decision_harness, event
from tests.support.instructions import NOW_MS

RULES = """
rules:
  - rule: start
    watch: {e: {feed: traffic}}
    when: "true"
    do: [{invoke: {application: lamp, action: blink, config: {times: 1}}}]
  - rule: again
    watch: {o: {feed: homeport.instruction.outcome}}
    when: o.data.status == "done"
    do: [{invoke: {application: lamp, action: blink, config: {times: 2}}}]
  - rule: bad
    watch: {e: {feed: traffic}}
    when: int(e.data.note) > 1
    do: [{invoke: {application: lamp, action: blink}}]
"""
JOINED = """
rules:
  - rule: both
    watch: {a: {feed: traffic}, b: {feed: weather}}
    join: {within: 1h, consume: chronicle}
    when: "true"
    do: [{invoke: {application: lamp, action: unknown}}]
"""


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DecisionHarness]:
    async with decision_harness(tmp_path) as made:
        yield made


async def perform(harness: DecisionHarness, number: int) -> None:
    stored = harness.instructions()[number]
    performed = Performed(
        instruction=stored.instruction.id, attempt=1, status=Performance.DONE, platform="p",
        output="1", started_at_ms=NOW_MS, ended_at_ms=NOW_MS,
    )  # fmt: skip
    await harness.log.append([outcome_event(stored, performed)])


def found(harness: DecisionHarness, name: str = "", at: int = 0, **bounds: int) -> Ancestry:
    cause = Cause("", "", position=at) if at else None
    return harness.read(lambda db: ancestry(db, TENANT, name, cause, **bounds))


async def flow(harness: DecisionHarness) -> None:
    """e1 → start → its outcome e-2 → again → its outcome e-3 → again."""
    harness.rules(RULES)
    await harness.publish(event({"note": "x"}))
    await perform(harness, 0)
    await perform(harness, 1)


async def test_the_whole_flow_is_found_from_each_of_its_ends_and_from_the_middle(
    harness: DecisionHarness,
) -> None:
    await flow(harness)
    first, last = harness.instructions()[0].instruction, harness.instructions()[-1].instruction
    down = found(harness, at=1)
    kinds = [one.kind for one in down.nodes.values()]
    assert {kind: kinds.count(kind) for kind in AncestryKind} == {
        AncestryKind.EVENT: 3, AncestryKind.DECISION: 3, AncestryKind.INSTRUCTION: 3,
        AncestryKind.DEAD_LETTER: 1,
    }  # fmt: skip
    assert min(one.depth for one in down.nodes.values()) == 0
    up = found(harness, last.id)
    assert [one.depth for one in up.nodes.values()] == list(range(0, -9, -1))
    assert list(up.nodes)[-1] == "e-1"
    middle = found(harness, first.id)
    assert {one.depth for one in middle.nodes.values()} == {-2, -1, 0, 1, 2, 3, 4, 5, 6}
    assert set(down.nodes) == set(middle.nodes) | {"d-1"}
    assert set(up.edges) <= set(down.edges)
    assert not any(one.is_cut for one in down.nodes.values())
    letter = found(harness, "d-1")
    assert list(letter.nodes) == ["d-1", "e-1"]


@pytest.mark.parametrize("bounds", [{"depth": 2}, {"nodes": 3}], ids=["depth", "nodes"])
async def test_what_is_left_out_is_said_where_it_is(
    harness: DecisionHarness, bounds: dict[str, int]
) -> None:
    await flow(harness)
    some = found(harness, at=1, **bounds)
    assert len(some.nodes) <= bounds.get("nodes", 4)
    assert all(abs(one.depth) <= bounds.get("depth", 9) for one in some.nodes.values())
    assert any(one.is_cut for one in some.nodes.values())
    assert all(a in some.nodes and b in some.nodes for a, b in some.edges)


async def test_both_events_of_a_join_led_to_what_it_did(harness: DecisionHarness) -> None:
    harness.rules(JOINED)
    await harness.publish(event(id="a"), event(id="b", feed="weather"))
    (decision,) = harness.decisions()
    for position in (1, 2):
        assert decision.id in found(harness, at=position).nodes
    assert {"e-1", "e-2"} <= set(found(harness, decision.id).nodes)
    # It has no such action, so the instruction is a dead letter.
    assert "d-1" in found(harness, at=1).nodes


async def test_an_event_that_names_an_outcome_follows_from_it(harness: DecisionHarness) -> None:
    await flow(harness)
    outcome = f"{harness.instructions()[0].instruction.id}/1"
    mine = replace(event(id="mine", feed="other"), source="/elsewhere", causation=outcome)
    await harness.publish(mine)
    assert ("e-2", "e-4") in found(harness, at=2).edges
    assert ("e-2", "e-4") in found(harness, at=4).edges
    # The same id of another source is another event.
    await harness.publish(replace(event(id="n", feed="other"), source="/else", causation="e1"))
    assert "e-5" not in found(harness, at=1).nodes
    assert list(found(harness, at=5).nodes) == ["e-5"]


async def test_what_another_tenant_has_is_not_there(harness: DecisionHarness) -> None:
    await flow(harness)
    names = [harness.decisions()[0].id, harness.instructions()[0].instruction.id, "d-1", "d-99"]
    for name in names:
        with pytest.raises(NotFound):
            harness.read(lambda db, name=name: ancestry(db, "office", name))
    with pytest.raises(NotFound):
        harness.read(lambda db: ancestry(db, "office", "", Cause("/road", "e1")))
    with pytest.raises(InvalidInput):
        found(harness)

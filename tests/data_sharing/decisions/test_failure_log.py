"""What a server's log says of a defect of ours: where it is, and nothing that a policy hides."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from data_sharing.event import Event
from data_sharing.rules.results import Timer
from tests.support.decisions_harness import TENANT, DecisionHarness, decision_harness, event
from tests.support.governed_feed import TEXT, governed_feed

LATER = """
rules:
  - rule: waits
    watch: {e: {feed: traffic}}
    when: "true"
    debounce: {wait: 5m}
    do: [{invoke: {application: lamp, action: blink}}]
"""


class DefectiveRules:
    """They fail and say on what; `policies` are as they were."""

    def __init__(self, rules: Any) -> None:
        self._rules, self.policies = rules, rules.policies

    def decide(self, event: Event, **others: object) -> None:
        try:
            raise KeyError(str(event.data))
        except KeyError as error:
            raise ValueError(f"cannot read {event.data}") from error

    def due(self, timer: Timer, **others: object) -> None:
        raise ValueError(f"cannot read what {timer.key} kept")


async def fails(harness: DecisionHarness) -> None:
    """At an event, and where a rule is resumed."""
    worker = harness.worker
    worker.rules = DefectiveRules(worker.rules)  # type: ignore[assignment]
    await harness.publish(event({"name": TEXT}, id="e1"))
    await harness.database.transact(
        lambda db: worker.decide_waiting(
            db, event({"name": TEXT}, id="e1", position=1), worker.rules, "waits"
        )
    )


async def test_of_what_a_policy_covers_the_log_says_no_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with governed_feed(tmp_path) as made:
        await fails(made.harness)
        assert made.harness.letters()[0].reason == "it could not be decided: ValueError"
    said = caplog.text
    assert TEXT not in said
    assert 'event "e1" of "/road" cannot be decided: ValueError because of KeyError' in said
    assert "in decide" in said  # where it is


async def test_of_anything_else_all_of_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with decision_harness(tmp_path) as harness:
        await fails(harness)
        assert TEXT in harness.letters()[0].reason
    assert TEXT in caplog.text


async def test_a_timer_is_named_without_its_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with governed_feed(tmp_path, rules=LATER.replace("rule: waits", RULE)) as made:
        harness = made.harness
        await harness.publish(event({"minutes": 5}, id="e1", key="anna"))
        harness.worker.rules = DefectiveRules(harness.worker.rules)  # type: ignore[assignment]
        harness.clock.now_ms += 300_000
        with caplog.at_level(logging.ERROR):
            await harness.worker.tick()
    assert f'a debounce timer of rule "waits" of tenant {TENANT} cannot be done' in caplog.text
    assert "anna" not in caplog.text


RULE = "rule: waits\n    purpose: Be on time."

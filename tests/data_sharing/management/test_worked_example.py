"""The worked example of docs/reference/rules-about-time.md says what a dry run says."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from data_sharing.management.dry_run import dry_run_rules
from data_sharing.management.simulator import SimulatedStep
from tests.support.rule_harness import TENANT, rules_of

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "rules-about-time.md"


def block(kind: str, having: str) -> str:
    """The one of that kind that has these words."""
    found = re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (one,) = [text for text in found if having in text]
    return str(one)


def told(step: SimulatedStep) -> list[str]:
    at = datetime.fromtimestamp(step.at_ms / 1_000, UTC).strftime("%H:%M:%S")
    name = step.event if "/" not in step.event else "timer"
    return [f"{at} {name} {one.verdict}: {one.detail}" for one in step.outcomes]


def test_the_worked_example_runs_as_it_is_told() -> None:
    rules = rules_of(block("yaml", "rule: ordered-not-paid"))
    events = [json.loads(line) for line in block("json", '"o-1"').splitlines()]
    steps = dry_run_rules(rules, TENANT, events=events)
    assert [line for one in steps for line in told(one)] == block("text", "timer").splitlines()

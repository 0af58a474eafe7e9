"""ParkingBench: one rule that fails when it is told to, with its health, for tests of parking."""

from __future__ import annotations

from typing import Any

from data_sharing.event import Event
from data_sharing.rules.cell_cache import CellId
from data_sharing.rules.results import (
    EvaluationResult,
)
from data_sharing.rules.rule_health import (
    RuleHealth,
)
from tests.support.rule_harness import TENANT, RuleHarness, rules_of, verdicts

RULE = """
rules:
  - rule: r
    watch: {t: {feed: traffic}}
    park_after: 3
    park_wider_after: 4
    retry_after: 1m
    retry_at_most: 5m
    when: 1 / int(t.data.n) > 0
    do: [{invoke: {application: a, action: b}}]
"""
HEALTH = CellId(TENANT, "health", "r", "")
GOOD, BAD = {"n": 1}, {"n": 0}


class ParkingBench:
    """A rule harness whose events have producers."""

    def __init__(self, text: str = RULE) -> None:
        self.rules = RuleHarness(rules_of(text))
        self.number = 0

    def send(
        self,
        data: dict[str, Any],
        *,
        key: str = "k",
        source: str = "/a",
        at_s: float = 0.0,
        feed: str = "traffic",
    ) -> EvaluationResult:
        self.number += 1
        at_ms = round(at_s * 1_000)
        event = Event(
            TENANT, source, f"e{self.number}", feed, key, at_ms, data, "", self.number
        )  # fmt: skip
        self.rules.pass_to(max(self.rules.now_ms, at_ms) / 1_000)
        decided = self.rules.rules.decide(
            event, now_ms=self.rules.now_ms, state=self.rules.state, plans=self.rules.plans
        )
        self.rules.timers.update({timer.id: timer for timer in decided.timers})
        return decided

    def seen(self, data: dict[str, Any], **how: Any) -> str:
        """The verdict of the only rule."""
        (verdict,) = verdicts(self.send(data, **how))
        return verdict

    def park(self, **how: Any) -> None:
        assert [self.seen(BAD, **how) for _ in range(3)] == ["error"] * 3

    def health(self) -> RuleHealth:
        return self.rules.state.get(HEALTH) or RuleHealth(1)

    def restart(self) -> None:
        self.rules.store()
        self.rules.restart()


# What is parked

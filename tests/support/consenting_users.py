"""A worker with a policy for one feed, and consents to it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from data_sharing.decisions.sharing_registry import SharingRegistry
from data_sharing.rules.ruleset import RuleSet
from data_sharing.sharing.consent import Consent
from data_sharing.sharing.policies import Memory
from data_sharing.sharing.policy import FeedPolicy
from tests.support.decisions_harness import DecisionHarness, decision_harness, event
from tests.support.rule_harness import TENANT, rules_of

PURPOSE = "Be on time."
RULE = """
rules:
  - rule: r
    purpose: Be on time.
    watch: {traffic: {feed: traffic}}
    windows: {w: {over: 1h, value: event.data.minutes}}
    when: window.w.count > 0
    do: [{invoke: {application: lamp, action: blink, config: {times: int(window.w.sum)}}}]
"""


def policy(**more: Any) -> FeedPolicy:
    grant = {
        "purpose": PURPOSE, "fields": ["/minutes", "key"], "applications": ["lamp"],
        "tenant": ["rules"],
    } | more  # fmt: skip
    return msgspec.convert({"feed": "traffic", "grants": [grant]}, FeedPolicy)


class Governed:
    """A worker with a policy for its feed, and consents."""

    def __init__(self, harness: DecisionHarness) -> None:
        self.harness = harness
        self.suspended: list[Memory] = []
        numbers = itertools.count(1)
        self.sharing = SharingRegistry(
            harness.database,
            harness.worker,
            wall_ms=harness.clock,
            new_id=lambda: f"k-{next(numbers)}",
            new_secret=lambda: b"s" * 32,
            suspended=lambda tenant: self.suspended,
        )
        self._events = itertools.count(1)

    def rules(self, text: str) -> None:
        worker, found = self.harness.worker, rules_of(text)
        worker.replace_rules(
            RuleSet(found.rules.values(), found.forecasts.values(), worker.rules.policies)
        )

    async def consent(self, subject: str = "k") -> list[Consent]:
        return [
            await self.sharing.give(TENANT, subject=subject, consumer=who, purpose=PURPOSE)
            for who in ("", "lamp")
        ]

    async def publish(self, minutes: int = 1, key: str = "k") -> None:
        await self.harness.publish(
            event({"minutes": minutes, "name": "Anna"}, id=f"e{next(self._events)}", key=key)
        )

    @property
    def settings(self) -> list[Any]:
        return [one.instruction.configuration["times"] for one in self.harness.instructions()]


@asynccontextmanager
async def governed(tmp_path: Path) -> AsyncIterator[Governed]:
    async with decision_harness(tmp_path) as harness:
        yield Governed(harness)

"""Rules that remember something, and events by which they do."""

from __future__ import annotations

from data_sharing.decisions import history
from tests.support.decisions_harness import DecisionHarness, event
from tests.support.rule_harness import TENANT

DO = "    do: [{invoke: {application: lamp, action: blink, config: {times: 1}}}]\n"
COOLDOWN = f"""
rules:
  - rule: once
    watch: {{e: {{feed: traffic}}}}
    when: e.data.minutes > 0
    cooldown: 1h
{DO}"""
JOIN = f"""
rules:
  - rule: both
    watch: {{e: {{feed: traffic}}, f: {{feed: parking}}}}
    join: {{within: 10m, keep: 64, consume: chronicle}}
    when: e.data.minutes == f.data.minutes
{DO}"""


async def publish(harness: DecisionHarness, id: str, key: str, minutes: int = 1, **given) -> str:
    """The verdict on the event, and why."""
    (kept,) = await harness.publish(
        event(
            {"minutes": minutes} | given.pop("data", {}),
            id=id, key=key, time_ms=harness.clock(), **given,
        )
    )  # fmt: skip
    found = harness.read(lambda db: history.judgements_of(db, TENANT, kept.position))
    return "; ".join(f"{one.verdict}: {one.detail}" for one in found)

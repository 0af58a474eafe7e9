"""What a data-sharing server tells Prometheus of rules that are parked, and of each feed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.offloading.pool import ProcessPool
from data_sharing.api.metrics import SharingMetrics
from data_sharing.api.open_feeds import OpenFeeds
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.feeds.intake import Intake
from data_sharing.feeds.port import Retention
from data_sharing.feeds.publisher import Publisher
from data_sharing.feeds.retention import Retainer
from data_sharing.management.waiting_approvals import WaitingApprovals
from data_sharing.signing import SigningKey
from tests.support.decisions_harness import (
    CATALOGUE,
    TENANT,
    DecisionHarness,
    decision_harness,
    event,
)

POISON = """
rules:
  - rule: poison
    watch: {e: {feed: traffic}}
    park_after: 2
    park_wider_after: 2
    retry_after: 1m
    when: 1 / int(e.data.n) > 0
    do: [{invoke: {application: lamp, action: blink}}]
"""


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DecisionHarness]:
    async with decision_harness(tmp_path) as made:
        made.rules(POISON)
        yield made


def collector(
    harness: DecisionHarness, approvals: WaitingApprovals | None = None
) -> SharingMetrics:
    feeds = OpenFeeds(CATALOGUE)
    dispatcher = Dispatcher(
        harness.database, SigningKey.of(b"k" * 32),
        OutcomeRecorder(lambda *_: None, wall_ms=harness.clock), partition="0", fence=1,
        wall_ms=harness.clock, jitter=lambda: 0.0,
    )  # fmt: skip
    retention = Retention(age_s=60.0, content_bytes=1 << 20)
    return SharingMetrics(
        harness.database,
        harness.log,
        Publisher(Intake(feeds.find), harness.log, wall_ms=harness.clock, clock=time.monotonic),
        feeds,
        Retainer(harness.log, retention, wall_ms=harness.clock),
        harness.worker,
        dispatcher,
        ProcessPool("tests.support.costly_tasks:TASKS", workers=1),
        approvals or WaitingApprovals(harness.database, wall_ms=harness.clock),
    )


def scraped(harness: DecisionHarness) -> dict[tuple[str, ...], float]:
    """What is told of parking, by name without its common beginning, scope and outcome."""
    found: dict[tuple[str, ...], float] = {}
    for family in collector(harness).collect():
        for one in family.samples:
            if one.labels.get("rule") == "poison":
                assert one.labels["tenant"] == TENANT
                name = one.name.removeprefix("homeport_rules_")
                named = [one.labels[label] for label in ("scope", "outcome") if label in one.labels]
                found[name, *named] = one.value
    return found


async def send(harness: DecisionHarness, *, n: int, key: str = "k", times: int = 1) -> None:
    for _ in range(times):
        last = (await harness.log.bounds(TENANT)).last
        await harness.publish(event({"n": n}, id=f"e{last}", key=key))


async def test_what_is_parked_and_retried_is_counted_by_scope(harness) -> None:
    await send(harness, n=0, times=3)
    assert scraped(harness) == {("parked", "key"): 1, ("parkings_total", "key"): 1}
    await send(harness, n=0, key="j")
    harness.clock.now_ms += 60_000
    await send(harness, n=0)
    told = scraped(harness)
    assert (told["parked", "key"], told["parked", "producer"]) == (1, 1)
    harness.clock.now_ms += 120_000
    await send(harness, n=1)
    assert scraped(harness) == {
        ("parkings_total", "key"): 1,
        ("parkings_total", "producer"): 1,
        ("retries_total", "key", "failed"): 1,
        ("retries_total", "producer", "failed"): 1,
        ("retries_total", "key", "succeeded"): 1,
        ("retries_total", "producer", "succeeded"): 1,
    }


async def test_another_worker_knows_what_is_parked_once_it_runs(harness) -> None:
    await send(harness, n=0, times=2)
    successor = DecisionHarness(harness.database, harness.clock)
    await successor.worker.start()
    assert scraped(successor) == {}
    await successor.worker.tick()
    assert scraped(successor) == {("parked", "key"): 1}


async def test_a_parking_that_was_undone_is_not_counted_as_parked(harness) -> None:
    await send(harness, n=0)

    def fails(db) -> None:
        harness.worker.follow(db, [event({"n": 0}, position=2)])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await harness.database.transact(fails)
    await harness.worker.tick()
    assert ("parked", "key") not in scraped(harness)
    await send(harness, n=0)
    assert scraped(harness)["parked", "key"] == 1


def of_feeds(harness: DecisionHarness) -> dict[tuple[str, str, str], float]:
    """What is told of each feed, by name without its common beginning, tenant and feed."""
    return {
        (one.name.removeprefix("homeport_decisions_feed_"), one.labels["tenant"], one.labels["feed"]
         ): one.value
        for family in collector(harness).collect()
        for one in family.samples
        if one.name.startswith("homeport_decisions_feed_") and "le" not in one.labels
    }  # fmt: skip


async def test_each_feed_tells_how_long_its_events_take_and_what_waits(harness) -> None:
    assert of_feeds(harness) == {}
    await send(harness, n=1, times=3)
    under_way = harness.publish(event({"n": 0}, id="e-last"))
    publishing = asyncio.ensure_future(under_way)
    await asyncio.sleep(0)
    waiting = of_feeds(harness)
    assert waiting["waiting_events", TENANT, "traffic"] == 1
    assert waiting["lag_seconds", TENANT, "traffic"] > 0
    await publishing
    told = of_feeds(harness)
    assert told["waiting_events", TENANT, "traffic"] == 0
    assert told["lag_seconds", TENANT, "traffic"] == 0
    assert told["events_total", TENANT, "traffic"] == 4
    assert told["event_duration_seconds_count", TENANT, "traffic"] == 4
    assert told["event_duration_seconds_sum", TENANT, "traffic"] > 0


ASKS = """
rules:
  - rule: asks
    watch: {e: {feed: traffic}}
    when: "true"
    do: [{invoke: {application: lamp, action: unlock}}]
"""


async def test_approvals_that_wait_are_counted_with_how_long(harness: DecisionHarness) -> None:
    waiting = WaitingApprovals(harness.database, wall_ms=harness.clock)

    def told() -> list[tuple[str, dict[str, str], float]]:
        return [
            (one.name, one.labels, one.value)
            for family in collector(harness, waiting).collect()
            for one in family.samples
            if one.name.startswith("homeport_approvals_")
        ]

    waiting.look()
    assert told() == []
    harness.rules(ASKS)
    await harness.publish(event(id="e1"), event(id="e2"))
    harness.clock.now_ms += 90_000
    waiting.look()
    assert told() == [
        ("homeport_approvals_waiting", {"tenant": TENANT}, 2),
        ("homeport_approvals_oldest_age_seconds", {"tenant": TENANT}, 90),
    ]

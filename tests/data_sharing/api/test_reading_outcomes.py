"""Who reads the outcomes of instructions: whom a causing event came from, and operators."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from control_plane.errors import PermissionDenied
from data_sharing.api.open_feeds import OpenFeeds
from data_sharing.api.reading import Tail, read_along
from data_sharing.decisions.readable_feeds import ReadableFeeds
from data_sharing.delivery.outcome_events import OutcomeEvents
from data_sharing.feeds.port import Record
from data_sharing.instruction import OUTCOME_FEED, Performance, Performed
from data_sharing.registry.access import caused, may_read, origin, readers
from data_sharing.registry.answers import CLICK_FEED, MESSAGE_FEED, message_feeds
from data_sharing.registry.catalogue import Catalogue, Version
from data_sharing.registry.conflicts import conflicts
from data_sharing.registry.manifest import Consumed, Manifest, Produced
from data_sharing.registry.manifest_reader import read_manifest
from tests.support.decisions_harness import TENANT, DecisionHarness, decision_harness, event
from tests.support.instructions import NOW_MS
from tests.support.sharing_parts import never, read_turns, shown_records

MESSAGES = "homeport-messages"


def version(manifest: Manifest) -> Version:
    return Version(
        manifest=manifest, text="", artifact_sha256="", artifact_size=0, submitted_ms=0,
        current=True,
    )  # fmt: skip


def application(name: str, *produces: str, consumes: tuple[str, ...] = ()) -> Version:
    """One that shares all its feeds with everybody."""
    return version(
        Manifest(
            tenant=TENANT, application=name, version="1.0.0",
            produces=tuple(
                Produced(type=one, schema={"type": "object"}, key="/subject", samples=(),
                         shared_with_everyone=True)
                for one in produces
            ),
            consumes=tuple(Consumed(feed=one, purpose="p") for one in consumes),
        )
    )  # fmt: skip


def messages() -> Version:
    found, faults = read_manifest(message_feeds(), tenant=TENANT)
    assert faults == ()
    assert found is not None
    return version(found)


CATALOGUE = Catalogue(
    [
        messages(),
        application("roads", "traffic"),
        application("weather", "frost"),
        # Reads what caused it, is told to read outcomes, and is still not whom it came from.
        application("reader", "other", consumes=("traffic", "frost", OUTCOME_FEED)),
        application("idle", consumes=("traffic", OUTCOME_FEED)),
        # What is invoked, and produces something itself.
        application("lamp", "switched"),
    ]
)
RULES = f"""
rules:
  - rule: of-message
    watch: {{e: {{feed: {MESSAGE_FEED}}}}}
    when: "true"
    do: [{{invoke: {{application: lamp, action: blink}}}}]
  - rule: of-click
    watch: {{e: {{feed: {CLICK_FEED}}}}}
    when: "true"
    do: [{{invoke: {{application: lamp, action: blink}}}}]
  - rule: of-traffic
    watch: {{e: {{feed: traffic}}}}
    when: "true"
    do: [{{invoke: {{application: lamp, action: blink}}}}]
  - rule: of-two
    watch: {{a: {{feed: frost}}, b: {{feed: switched}}}}
    join: {{within: 1h, consume: chronicle}}
    when: "true"
    do: [{{invoke: {{application: lamp, action: blink}}}}]
  - rule: of-an-outcome
    watch: {{o: {{feed: {OUTCOME_FEED}}}}}
    when: o.data.rule == "of-traffic"
    do: [{{invoke: {{application: lamp, action: blink}}}}]
"""
READERS = {
    MESSAGES: {"of-message", "of-click"},
    "roads": {"of-traffic"},
    "weather": {"of-two"},
    "lamp": {"of-two"},
    "reader": set(),
    "": {"of-message", "of-click", "of-traffic", "of-two", "of-an-outcome"},
}


@pytest.fixture
async def performed(tmp_path: Path) -> AsyncIterator[DecisionHarness]:
    """A log in which every rule has fired and every instruction been performed."""
    async with decision_harness(
        tmp_path, find_origin=lambda tenant, feed: origin(CATALOGUE, tenant=tenant, feed=feed)
    ) as harness:
        harness.rules(RULES)
        feeds = (MESSAGE_FEED, CLICK_FEED, "traffic", "frost")
        await harness.publish(*(event(id=feed, feed=feed) for feed in feeds))
        await harness.publish(event(id="later", feed="switched"))
        outcomes = OutcomeEvents(harness.log, never)
        for _ in range(2):  # an outcome has an instruction of its own performed; the others stay
            for stored in harness.instructions():
                done = Performed(
                    instruction=stored.instruction.id, attempt=1, status=Performance.DONE,
                    platform="hub", output='"private"', ended_at_ms=NOW_MS,
                )  # fmt: skip
                await harness.database.transact(
                    lambda db, stored=stored, done=done: outcomes.record(db, stored, done)
                )
        yield harness


async def tailed(harness: DecisionHarness, tail: Tail) -> list[Record]:
    along = read_along(
        harness.log, lambda: CATALOGUE, tail, 0, lambda: False, shown_records(harness), read_turns()
    )
    return [record async for stretch in along for record in stretch.records]


def rules_in(records: list[Record]) -> list[str]:
    outcomes = [one for one in records if one.type == OUTCOME_FEED]
    return sorted(msgspec.json.decode(one.content)["rule"] for one in outcomes)


@pytest.mark.parametrize("feeds", [(), (OUTCOME_FEED,)], ids=["all-it-may-read", "by-name"])
@pytest.mark.parametrize("reader", READERS)
async def test_outcomes_are_read_by_whom_the_causing_event_came_from(
    performed: DecisionHarness, reader: str, feeds: tuple[str, ...]
) -> None:
    tail = Tail(tenant=TENANT, application=reader, feeds=feeds)
    assert rules_in(await tailed(performed, tail)) == sorted(READERS[reader])


async def test_a_key_does_not_open_what_others_caused(performed: DecisionHarness) -> None:
    for stored in performed.instructions():
        tail = Tail(tenant=TENANT, application="roads", key=stored.instruction.id)
        mine = stored.instruction.rule == "of-traffic"
        assert rules_in(await tailed(performed, tail)) == ["of-traffic"] * mine


async def test_who_produces_nothing_is_told_why_it_reads_no_outcomes(
    performed: DecisionHarness,
) -> None:
    with pytest.raises(PermissionDenied, match="idle produces no feed"):
        await tailed(performed, Tail(tenant=TENANT, application="idle", feeds=(OUTCOME_FEED,)))
    assert rules_in(await tailed(performed, Tail(tenant=TENANT, application="idle"))) == []


async def test_who_goes_by_many_outcomes_of_others_lets_others_work_and_is_told_how_far(
    performed: DecisionHarness,
) -> None:
    await performed.publish(*(event(id=f"t{n}", feed="traffic") for n in range(300)))
    outcomes = OutcomeEvents(performed.log, never)
    stored = performed.instructions()[2:]
    for one in stored:
        done = Performed(
            instruction=one.instruction.id, attempt=2, status=Performance.DONE, platform="hub"
        )
        await performed.database.transact(
            lambda db, one=one, done=done: outcomes.record(db, one, done)
        )
    tail = Tail(tenant=TENANT, application=MESSAGES, feeds=(OUTCOME_FEED,))
    along = read_along(
        performed.log,
        lambda: CATALOGUE,
        tail,
        0,
        lambda: False,
        shown_records(performed),
        read_turns(),
    )
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    stretches = [one async for one in along]
    task.cancel()
    assert turns > 0
    assert stretches[-1].position == (await performed.log.bounds(TENANT)).last
    assert rules_in([one for each in stretches for one in each.records]) == [
        "of-click", "of-message",
    ]  # fmt: skip


async def test_what_is_known_of_the_causes_outlives_their_events(tmp_path: Path) -> None:
    async with decision_harness(
        tmp_path, find_origin=lambda tenant, feed: origin(CATALOGUE, tenant=tenant, feed=feed)
    ) as harness:
        harness.rules(RULES)
        await harness.publish(event(id="a", feed="traffic"))
        await harness.database.transact(lambda db: db.execute("DELETE FROM feed_events"))
        (stored,) = harness.instructions()
        assert stored.instruction.caused_by == ("roads",)


# -- the feed is nobody's ------------------------------------------------------------------

FORGER = application("forger", OUTCOME_FEED, "own")


def test_no_application_can_take_the_feed() -> None:
    (fault,) = conflicts(CATALOGUE, FORGER.manifest)
    assert (fault.path, fault.consumer) == ("/produces/0/type", "")
    assert "no application's feed" in fault.message


def test_one_that_had_taken_it_reads_and_says_nothing_by_it() -> None:
    catalogue = Catalogue([FORGER, application("reader", consumes=(OUTCOME_FEED,))])
    access = may_read(catalogue, tenant=TENANT, application="forger", feed=OUTCOME_FEED)
    assert (access.allowed, access.caused_alone) == (True, True)
    assert readers(catalogue, tenant=TENANT, feed=OUTCOME_FEED) == []
    assert OpenFeeds(catalogue).find(TENANT, OUTCOME_FEED) is None
    assert origin(catalogue, tenant=TENANT, feed=OUTCOME_FEED) == ""
    assert ReadableFeeds(catalogue, TENANT, "forger").get(OUTCOME_FEED) is None
    changed = dataclasses.replace(FORGER.manifest, version="2.0.0", produces=())
    assert conflicts(catalogue, changed) == []


@pytest.mark.parametrize(
    ("content", "is_cause"),
    [
        (b'{"caused_by":["roads","weather"]}', True),
        (b'{"caused_by":["road"]}', False),
        (b'{"caused_by":[]}', False),
        (b'{"caused_by":"roads"}', False),
        (b'{"caused_by":null}', False),
        (b'{"application":"roads"}', False),
        (b'["roads"]', False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_an_outcome_that_does_not_say_who_caused_it_is_nobodys(
    content: bytes, is_cause: bool
) -> None:
    assert caused(content, "roads") == is_cause

"""A dry run: samples in, what rules would do out, and a place where a sample is none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from data_sharing.management.dry_run import dry_run_rules
from data_sharing.rules.results import RuleVerdict
from tests.support.rule_harness import TENANT, RuleHarness, rules_of

BLINK = """
rules:
  - rule: slow-road
    watch: {e: {feed: traffic}}
    when: e.data.minutes > 30
    debounce: {wait: 5m}
    do: [{invoke: {application: lamp, action: blink}}]
"""
SLOW = {"type": "traffic", "data": {"minutes": 45}, "time": "2027-01-15T08:00:00Z"}
PLAN = {
    "plan": "wake-up",
    "owner": "k",
    "at": "2027-01-15T08:03",
    "actions": {"light": {"application": "lamp", "action": "blink"}},
}


def verdicts(*events: Any, plans: tuple[Any, ...] = (), **how: Any) -> list[list[RuleVerdict]]:
    steps = dry_run_rules(rules_of(BLINK), TENANT, events=events, plans=plans, **how)
    return [[one.verdict for one in step.outcomes] for step in steps]


PARKING = """
rules:
  - rule: poison
    watch: {e: {feed: traffic}}
    park_after: 2
    retry_after: 1m
    when: e.data.kind == "x" && 100 / int(e.data.minutes) > 0
    do: [{invoke: {application: lamp, action: blink}}]
"""


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["x", "y"]), st.sampled_from([0, 0, 5]), st.integers(0, 90)),
        max_size=30,
    )
)
def test_it_parks_and_retries_as_deciding_does(
    given_events: list[tuple[str, int, int]],
) -> None:
    """Events that the index keeps from the rule say nothing of it, although a dry run asks."""
    events, decided, harness, at_s = [], [], RuleHarness(rules_of(PARKING)), 0
    for kind, minutes, pause_s in given_events:
        at_s += pause_s
        data = {"kind": kind, "minutes": minutes}
        moment = (datetime(2027, 1, 15, tzinfo=UTC) + timedelta(seconds=at_s)).isoformat()
        events.append(
            {"type": "traffic", "source": "app", "key": "k", "time": moment, "data": data}
        )
        found = harness.event("traffic", data, at_s=at_s)
        decided.append([one.verdict for one in found.outcomes] or [RuleVerdict.NOT_MATCHED])
    steps = dry_run_rules(rules_of(PARKING), TENANT, events=events)
    assert [[one.verdict for one in step.outcomes] for step in steps] == decided


def test_timers_come_due_after_the_last_sample() -> None:
    assert verdicts(SLOW) == [[RuleVerdict.PENDING], [RuleVerdict.FIRED]]


def test_a_sample_without_a_time_comes_with_the_one_before_it() -> None:
    steps = dry_run_rules(
        rules_of(BLINK), TENANT, events=[SLOW, {"type": "traffic", "data": {"minutes": 1}}]
    )
    assert steps[0].at_ms == steps[1].at_ms


def test_actions_of_plans_run_between_samples_and_timers() -> None:
    steps = dry_run_rules(rules_of(BLINK), TENANT, events=[SLOW], plans=[PLAN])
    done = [(step.event, [one.name for one in step.actions]) for step in steps]
    assert [one for one in done if any(one)] == [("1", []), ("", ["light"]), done[-1]]
    assert steps[-1].outcomes[0].verdict is RuleVerdict.FIRED


def test_samples_are_named_by_their_place_where_they_have_no_id() -> None:
    steps = dry_run_rules(
        rules_of(BLINK),
        TENANT,
        events=[SLOW, {**SLOW, "id": "mine"}, {**SLOW, "id": 7}, {**SLOW, "id": None}],
    )
    assert [one.event for one in steps[:4]] == ["1", "mine", "7", "4"]


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"key": "a", "subject": "b"}, "a"),
        ({"partitionkey": "p", "subject": "b"}, "p"),
        ({"subject": "b"}, "b"),
        ({}, ""),
        ({"key": None, "partitionkey": None, "subject": "b"}, "b"),
        ({"key": None, "subject": None}, ""),
        ({"key": 7}, "7"),
        ({"partitionkey": True}, "true"),
    ],
    ids=["key", "partitionkey", "subject", "nothing", "nulls", "all-null", "number", "boolean"],
)
def test_what_a_sample_is_about(given: dict[str, Any], key: str) -> None:
    (step, *_) = dry_run_rules(rules_of(BLINK), TENANT, events=[{**SLOW, **given}])
    assert step.outcomes[0].key == key


def test_the_feeds_own_key_outweighs_what_the_sample_says() -> None:
    (step, *_) = dry_run_rules(
        rules_of(BLINK), TENANT, events=[{**SLOW, "key": "a"}], key_of=lambda feed, event: feed
    )
    assert step.outcomes[0].key == "traffic"


@pytest.mark.parametrize(
    ("events", "plans", "field"),
    [
        pytest.param(["text"], [], "events[0]", id="no-object"),
        pytest.param([SLOW, {"data": {}}], [], "events[1]", id="no-type"),
        pytest.param([{"type": "traffic", "data": 3}], [], "events[0]", id="data-is-no-object"),
        pytest.param([{**SLOW, "time": "soon"}], [], "events[0].time", id="no-time"),
        pytest.param([{**SLOW, "type": None}], [], "events[0]", id="type-is-null"),
        pytest.param([{**SLOW, "data": {"a": ["x\0"]}}], [], "events[0].data", id="nul"),
        pytest.param([{**SLOW, "key": True}], [], "events[0].key", id="key-is-a-boolean"),
        pytest.param([{**SLOW, "key": {}}], [], "events[0].key", id="key-is-an-object"),
        pytest.param([{**SLOW, "subject": 1.5}], [], "events[0].subject", id="key-is-a-fraction"),
        pytest.param([{**SLOW, "key": "é" * 129}], [], "events[0].key", id="key-is-too-long"),
        pytest.param([SLOW], [PLAN, {**PLAN, "zone": "Mars"}], "plans[1].zone", id="no-plan"),
    ],
)
def test_what_is_no_event_or_plan_is_named(events: Any, plans: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        dry_run_rules(rules_of(BLINK), TENANT, events=events, plans=plans)
    assert caught.value.field == field


def test_no_samples_do_nothing() -> None:
    assert verdicts() == []


DAILY = {**PLAN, "repeats": "FREQ=DAILY"}


@pytest.mark.parametrize(
    ("time", "at_ms"),
    [
        ("2027-01-15T08:00:00Z", 1_800_000_000_000),
        ("2027-01-15t08:00:00.0009z", 1_800_000_000_000),
        ("2027-01-15T09:00:00+01:00", 1_800_000_000_000),
        ("2027-01-15T08:00:00", 1_800_000_000_000),
        ("2027-01-15T08:00", 1_800_000_000_000),
        ("2026-12-31T23:59:60Z", 1_798_761_600_000),
        (None, 0),
    ],
)
def test_a_samples_time_is_read_as_feeds_read_it_or_is_utc(time: str | None, at_ms: int) -> None:
    steps = dry_run_rules(rules_of(BLINK), TENANT, events=[{**SLOW, "time": time}], plans=[DAILY])
    assert steps[0].at_ms == at_ms


@pytest.mark.parametrize(
    "time",
    ["noon", "", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z",
     "2399-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2027-01-15T08:00:60Z", 5, True, [1], {}],
)  # fmt: skip
def test_a_time_at_which_nothing_can_be_decided_is_refused(time: Any) -> None:
    for plan in (PLAN, DAILY, {**PLAN, "repeats": "FREQ=YEARLY"}):
        with pytest.raises(InvalidInput) as refused:
            verdicts({**SLOW, "time": time}, plans=(plan,))
        assert refused.value.field == "events[0].time"


def test_samples_may_let_time_pass() -> None:
    """What comes after has that time, unless it says another."""
    bare = {name: value for name, value in SLOW.items() if name != "time"}
    steps = dry_run_rules(rules_of(BLINK), TENANT, events=[SLOW, {"wait": "10m"}, bare])
    assert [one.at_ms - steps[0].at_ms for one in steps] == [0, 300_000, 600_000, 900_000]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"wait": "soon"}, 'events[1].wait: "soon" is no duration'),
        ({"wait": 5}, "events[1]: write"),
        ({"wait": "5m", "data": {}}, "events[1]: write"),
    ],
)
def test_a_wait_that_is_none_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(said)):
        dry_run_rules(rules_of(BLINK), TENANT, events=[SLOW, given])

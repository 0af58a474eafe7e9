"""Rules that are parked: when they are tried again, what takes them up, and how that is said."""

from __future__ import annotations

import pytest

from data_sharing.rules.evaluation_context import RuleResult
from data_sharing.rules.parking import FailureCount
from data_sharing.rules.results import (
    ParkingChangeKind,
    RuleOutcome,
    RuleVerdict,
)
from data_sharing.rules.rule_health import (
    LONGEST_ERROR,
    FailureRow,
    ParkingScope,
    RuleHealth,
    parked_text,
    time_text,
)
from tests.support.parking_bench import BAD, GOOD, RULE, ParkingBench
from tests.support.rule_harness import rules_of, verdicts


def test_what_is_parked_is_tried_again_by_one_event_and_for_longer_each_time() -> None:
    bench = ParkingBench()
    bench.park(at_s=0)
    at_s = 0.0
    for pause_s in (60, 120, 240, 300, 300):
        assert bench.seen(GOOD, at_s=at_s + pause_s - 0.001) == "parked"
        at_s += pause_s
        assert bench.seen(BAD, at_s=at_s) == "error"
        assert bench.seen(BAD, at_s=at_s) == "parked"
    assert bench.seen(GOOD, at_s=at_s + 300) == "fired"
    assert bench.health().rows == {}
    bench.park(at_s=at_s + 301)
    assert bench.seen(GOOD, at_s=at_s + 361) == "fired", "the first pause again"


@pytest.mark.parametrize(
    ("failing", "retry"),
    [
        pytest.param([("k", "/a")] * 3, ("k", "/a"), id="a-producer-at-a-key"),
        pytest.param([("k", "/a"), ("k", "/b"), ("k", "/a")], ("k", "/c"), id="a-key"),
        pytest.param([(f"k{n}", "/a") for n in range(4)], ("new", "/a"), id="a-producer"),
        pytest.param([(f"k{n}", f"/{n}") for n in range(4)], ("new", "/new"), id="the-rule"),
    ],
)
def test_any_scope_is_run_again_once_a_retry_succeeds(
    failing: list[tuple[str, str]], retry: tuple[str, str]
) -> None:
    bench = ParkingBench()
    for key, source in failing:
        bench.seen(BAD, key=key, source=source)
    (row,) = bench.health().parked()
    key, source = retry
    assert bench.seen(GOOD, key=key, source=source, at_s=59) == "parked"
    bench.restart()
    assert bench.seen(BAD, key=key, source=source, at_s=60) == "error"
    assert bench.seen(GOOD, key=key, source=source, at_s=179) == "parked"
    decided = bench.send(GOOD, key=key, source=source, at_s=180)
    assert verdicts(decided) == ["fired"]
    assert [(one.kind, one.scope) for one in decided.parking] == [
        (ParkingChangeKind.RETRY_SUCCEEDED, row.scope)
    ]
    assert not bench.health().counts.any
    assert bench.seen(GOOD, key=key, source=source, at_s=180) == "fired"


def test_an_event_under_two_scopes_waits_for_the_later_one() -> None:
    bench = ParkingBench()
    bench.park(at_s=0)  # until 60
    for n in range(3):
        bench.seen(BAD, key=f"k{n}", at_s=30)  # the producer as well, until 90
    assert len(list(bench.health().parked())) == 2
    (waiting,) = bench.send(GOOD, at_s=59).outcomes
    assert waiting.verdict.value == "parked"
    assert "from 1970-01-01T00:01:30Z on" in waiting.detail
    assert bench.seen(GOOD, at_s=60) == "parked"
    assert bench.seen(GOOD, at_s=90) == "fired"
    assert not bench.health().counts.any


def test_changes_are_told_once() -> None:
    bench = ParkingBench()
    told = [bench.send(BAD).parking for _ in range(3)]
    assert [len(one) for one in told] == [0, 0, 1]
    assert told[2][0] == ("r", ParkingChangeKind.PARKED, ParkingScope.KEY)
    assert bench.send(BAD).parking == ()
    (change,) = bench.send(BAD, at_s=60).parking
    assert change.kind is ParkingChangeKind.RETRY_FAILED


def test_an_event_without_an_answer_is_no_retry() -> None:
    bench = ParkingBench(RULE + "    max_age: 1m\n")
    bench.park(at_s=200)
    assert bench.seen(GOOD, at_s=1) == "parked"
    bench.rules.pass_to(300)
    assert bench.seen(GOOD, at_s=1) == "too-old"
    assert bench.health().counts.any
    assert bench.seen(GOOD, at_s=300) == "fired"
    assert not bench.health().counts.any


# Windows, joins, timers


@pytest.mark.parametrize(
    ("key", "source", "unparked", "left"),
    [
        pytest.param("", "", 4, [], id="everything"),
        pytest.param("k", "", 1, [("", "/b"), ("", "/d"), ("j", "/a")], id="a-key"),
        pytest.param("", "/a", 2, [("", "/b"), ("", "/d")], id="a-producer"),
        pytest.param("j", "/a", 1, [("", "/b"), ("", "/d"), ("k", "/a")], id="one-at-a-key"),
        pytest.param("j", "/b", 0, [("", "/b"), ("", "/d"), ("j", "/a"), ("k", "/a")], id="none"),
    ],
)
def test_what_is_unparked_by_hand(
    key: str, source: str, unparked: int, left: list[tuple[str, str]]
) -> None:
    health = RuleHealth(1)
    for name in (("k", "/a"), ("j", "/a"), ("", "/b"), ("", "/d")):
        health.rows[name] = FailureRow(*name, failures=3, parked_ms=0, retry_ms=60_000)
    health.rows["k", ""] = FailureRow("k", "", failures=2)
    assert health.unpark(key, source) == unparked
    assert sorted((row.key, row.source) for row in health.parked()) == left


def count(health: RuleHealth, *results: tuple[RuleVerdict, str], now_ms: int = 1_000) -> None:
    """Results of one event of producer /a, by verdict and key."""
    (rule,) = rules_of(RULE).rules.values()
    found = [
        RuleResult(RuleOutcome("r", 1, verdict, key, detail="no" * LONGEST_ERROR), rule)
        for verdict, key in results
    ]
    FailureCount(rule, health, now_ms).add(found, "/a")


def test_an_event_that_failed_at_one_key_and_not_at_another_has_failed_for_its_producer() -> None:
    health = RuleHealth(1)
    count(health, (RuleVerdict.ERROR, "k"))
    count(health, (RuleVerdict.ERROR, "j"), (RuleVerdict.NOT_MATCHED, "k"))
    assert set(health.rows) == {("j", "/a"), ("j", ""), ("", "/a"), ("", "")}
    assert len(health.rows["", "/a"].keys) == 2


def test_a_failure_before_the_retry_is_due_is_no_retry() -> None:
    """As of a debounced match, whose producer is only known when its timer comes."""
    health = RuleHealth(1)
    row = health.rows["k", "/a"] = FailureRow("k", "/a", 3, parked_ms=0, retry_ms=60_000)
    count(health, (RuleVerdict.ERROR, "k"), now_ms=59_999)
    assert (row.retry_ms, row.retries) == (60_000, 0)
    count(health, (RuleVerdict.ERROR, "k"), now_ms=60_000)
    assert (row.retry_ms, row.retries) == (180_000, 1)
    assert len(row.last_error) == LONGEST_ERROR


def test_failures_of_one_producer_park_no_key_for_others_where_its_own_row_is_gone() -> None:
    bench = ParkingBench()
    for _ in range(2):
        bench.seen(BAD)
    bench.health().unpark(source="/a")
    assert bench.seen(BAD) == "error"
    assert bench.seen(GOOD, source="/b") == "fired"


# What is said


@pytest.mark.parametrize(
    ("row", "words"),
    [
        pytest.param(
            FailureRow("a b", "/x", 3, last_error="no", parked_ms=0, retry_ms=60_000),
            ["rule r at key 'a b' for producer /x is parked since 1970-01-01T00:00:00Z",
             "3 failures in a row; the last: no.", "from 1970-01-01T00:01:00Z on",
             "`homeport rules retry r --key 'a b' --source /x`", "homeport dlq redrive"],
            id="a-producer-at-a-key",
        ),
        pytest.param(
            FailureRow("", "/x", keys=["1", "2"], retries=3, parked_ms=0),
            ["rule r for producer /x is parked", "5 failures",
             "`homeport rules retry r --source /x`"],
            id="a-producer",
        ),
        pytest.param(
            FailureRow(sources=["1"], parked_ms=0),
            ["rule r is parked", "`homeport rules retry r`"],
            id="the-rule",
        ),
    ],
)  # fmt: skip
def test_it_is_said_what_is_parked_until_when_and_what_to_do(
    row: FailureRow, words: list[str]
) -> None:
    said = parked_text("r", row)
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1_000, "1969-12-31T23:59:59Z"),
        (1 << 60, f"{1 << 60} ms after 1970"),
    ],
)
def test_any_time_can_be_said(at_ms: int, text: str) -> None:
    assert time_text(at_ms) == text


def test_a_parked_event_of_the_last_year_that_has_a_number_is_said_as_well() -> None:
    bench = ParkingBench(RULE.replace("retry_at_most: 5m", "retry_at_most: 400d"))
    end_s = 253_402_300_799
    bench.park(at_s=end_s)
    assert bench.seen(GOOD, at_s=end_s) == "parked"


# Properties

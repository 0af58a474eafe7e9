"""Parking: what of a rule is not run after failures in a row, and when it is tried again."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.event import Event
from data_sharing.rules.cell_cache import CellId
from data_sharing.rules.evaluation_context import RuleResult
from data_sharing.rules.parking import FailureCount
from data_sharing.rules.results import (
    EvaluationResult,
    ParkingChangeKind,
    RuleOutcome,
    RuleVerdict,
)
from data_sharing.rules.rule_health import (
    LONGEST_ERROR,
    LONGEST_NAME,
    MOST_ROWS,
    FailureRow,
    ParkingScope,
    RuleHealth,
    bounded_name,
    parked_text,
    time_text,
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


class Bench:
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


def test_a_producer_that_fails_in_a_row_at_a_key_is_parked_there_alone() -> None:
    bench = Bench()
    bench.park()
    assert bench.seen(GOOD) == "parked"
    assert bench.seen(GOOD, key="other") == "fired"
    assert bench.seen(GOOD, source="/b") == "fired"
    (row,) = bench.health().parked()
    assert (row.key, row.source, row.scope, row.in_a_row) == ("k", "/a", ParkingScope.KEY, 3)


def test_a_key_at_which_several_producers_fail_is_parked_for_all() -> None:
    bench = Bench()
    assert [bench.seen(BAD, source=one) for one in ("/a", "/b", "/a")] == ["error"] * 3
    assert bench.seen(GOOD, source="/c") == "parked"
    assert bench.seen(GOOD, key="other") == "fired"
    assert [(row.key, row.source) for row in bench.health().parked()] == [("k", "")]


def test_failures_of_a_parked_producer_are_not_held_against_the_next_one() -> None:
    bench = Bench()
    bench.park()
    assert [bench.seen(BAD, source="/b") for _ in range(2)] == ["error"] * 2
    assert bench.seen(GOOD, source="/b") == "fired"


def test_a_producer_that_fails_at_one_key_after_another_is_parked_at_all() -> None:
    bench = Bench()
    assert [bench.seen(BAD, key=f"k{n}") for n in range(4)] == ["error"] * 4
    assert bench.seen(GOOD, key="new") == "parked"
    assert bench.seen(GOOD, key="new", source="/b") == "fired"
    assert [(row.key, row.source) for row in bench.health().parked()] == [("", "/a")]


def test_a_producer_whose_keys_cannot_be_read_is_parked_at_all() -> None:
    bench = Bench(RULE.replace("{feed: traffic}", '{feed: traffic, key: "event.data.k[0]"}'))
    assert [bench.seen({"n": 1, "k": []}) for _ in range(3)] == ["error"] * 3
    assert bench.seen({"n": 1, "k": ["x"]}) == "parked"
    assert bench.seen({"n": 1, "k": ["x"]}, source="/b") == "fired"
    assert [(row.key, row.source) for row in bench.health().parked()] == [("", "/a")]


def test_a_rule_that_fails_for_one_producer_after_another_is_parked_as_a_whole() -> None:
    bench = Bench()
    assert [bench.seen(BAD, key=f"k{n}", source=f"/{n}") for n in range(4)] == ["error"] * 4
    assert bench.seen(GOOD, key="new", source="/new") == "parked"
    counts = bench.health().counts
    assert (counts.keys, counts.producers, counts.whole, counts.any) == (0, 0, True, True)


@pytest.mark.parametrize(
    "between",
    [
        pytest.param({"key": "k0", "source": "/0"}, id="of-the-same-producer-and-key"),
        pytest.param({"key": "other", "source": "/0"}, id="of-the-same-producer"),
        pytest.param({"key": "other", "source": "/other"}, id="of-any-producer"),
    ],
)
def test_a_success_in_between_ends_the_row_of_the_rule(between: dict[str, str]) -> None:
    bench = Bench()
    for n in range(3):
        bench.seen(BAD, key=f"k{n}", source=f"/{n}")
    assert bench.seen(GOOD, **between) == "fired"
    for n in range(3):
        assert bench.seen(BAD, key=f"k{n}", source=f"/{n}") == "error"
    assert not bench.health().counts.whole


def test_a_success_elsewhere_does_not_end_the_row_at_a_key() -> None:
    bench = Bench()
    for _ in range(3):
        assert bench.seen(BAD) == "error"
        assert bench.seen(GOOD, key="other") == "fired"
        assert bench.seen(GOOD, source="/b") == "fired"
    assert bench.seen(BAD) == "parked"


def test_a_success_ends_a_row() -> None:
    bench = Bench()
    for n in (0, 0, 1, 0, 0, 1, 0, 0):
        assert bench.seen({"n": n}) == ("fired" if n else "error")
    assert bench.seen(GOOD) == "fired"
    assert bench.health().rows == {}


def test_events_that_say_nothing_end_no_row() -> None:
    bench = Bench(RULE + "    max_age: 1m\n")
    bench.seen(BAD, at_s=100)
    bench.seen(BAD, at_s=100)
    assert bench.seen(GOOD, at_s=1) == "too-old"
    assert bench.seen(BAD, at_s=100) == "error"
    assert bench.seen(BAD, at_s=100) == "parked"


# Retries


def test_what_is_parked_is_tried_again_by_one_event_and_for_longer_each_time() -> None:
    bench = Bench()
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
    bench = Bench()
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
    bench = Bench()
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
    bench = Bench()
    told = [bench.send(BAD).parking for _ in range(3)]
    assert [len(one) for one in told] == [0, 0, 1]
    assert told[2][0] == ("r", ParkingChangeKind.PARKED, ParkingScope.KEY)
    assert bench.send(BAD).parking == ()
    (change,) = bench.send(BAD, at_s=60).parking
    assert change.kind is ParkingChangeKind.RETRY_FAILED


def test_an_event_without_an_answer_is_no_retry() -> None:
    bench = Bench(RULE + "    max_age: 1m\n")
    bench.park(at_s=200)
    assert bench.seen(GOOD, at_s=1) == "parked"
    bench.rules.pass_to(300)
    assert bench.seen(GOOD, at_s=1) == "too-old"
    assert bench.health().counts.any
    assert bench.seen(GOOD, at_s=300) == "fired"
    assert not bench.health().counts.any


# Windows, joins, timers

HOURLY = """
rules:
  - rule: r
    windows: {hour: {feed: traffic, every: 1h, value: 1 / int(event.data.n)}}
    at_end_of: hour
    park_after: 3
    retry_after: 1m
    when: 1 / (window.hour.count - 1) > 0
    do: [{invoke: {application: a, action: b}}]
"""


def test_a_value_that_no_window_can_take_parks_its_key_until_one_can() -> None:
    bench = Bench(HOURLY)
    for _ in range(2):
        bench.send(BAD)
    bench.send(GOOD)
    assert bench.health().rows == {}, "what goes into the window ends the row"
    for _ in range(3):
        assert bench.seen(BAD) == "error"
    assert bench.seen(GOOD) == "parked"
    assert verdicts(bench.send(GOOD, key="other")) == []
    assert verdicts(bench.send(GOOD, at_s=60)) == []
    assert not bench.health().counts.any


def test_windows_that_fill_do_not_end_the_failures_at_their_end() -> None:
    bench = Bench(HOURLY)
    for hour in range(3):
        bench.send(GOOD, at_s=hour * 3_600 + 1)
    bench.rules.pass_to(3 * 3_600)
    assert bench.health().rows["k", ""].failures == 3
    assert bench.seen(GOOD, at_s=3 * 3_600 + 2) == "parked"
    assert verdicts(bench.send(GOOD, at_s=3 * 3_600 + 60)) == []
    (ended,) = bench.rules.pass_to(4 * 3_600)
    assert verdicts(ended) == ["error"], "the end of the next window is the retry"
    bench.send(GOOD, at_s=4 * 3_600 + 121)
    bench.send(GOOD, at_s=4 * 3_600 + 122)
    (ended,) = bench.rules.pass_to(5 * 3_600)
    assert verdicts(ended) == ["fired"]
    assert bench.health().rows == {}


def test_a_debounced_match_outlives_the_parking_of_its_rule() -> None:
    text = RULE + "    debounce: {wait: 10s}\n"
    bench = Bench(text)
    assert bench.seen(GOOD, key="waits", source="/w", at_s=0) == "pending"
    for n in range(4):
        bench.seen(BAD, key=f"k{n}", source=f"/{n}", at_s=5)
    found = bench.rules.pass_to(64)
    assert [verdicts(one) for one in found] == [["parked"]]
    found = bench.rules.pass_to(65)
    assert [verdicts(one) for one in found] == [["fired"]]
    assert not bench.health().counts.any


JOIN = """
rules:
  - rule: r
    watch: {a: {feed: traffic}, b: {feed: weather}}
    join: {within: 1h, consume: recent}
    park_after: 3
    park_wider_after: 3
    when: int(a.data.n) / int(b.data.n) > 0
    do: [{invoke: {application: a, action: b}}]
"""


def test_a_join_that_fails_is_parked_at_its_key_and_neither_producer_elsewhere() -> None:
    bench = Bench(JOIN)
    for n in range(4):  # one producer's values are bad at many keys, one after another
        bench.send(BAD, key=f"k{n}", source="/b", feed="weather")
        assert bench.seen(GOOD, key=f"k{n}", source="/a") == "error"
    bench.send(GOOD, key="good", source="/c", feed="weather")
    assert bench.seen(GOOD, key="good", source="/a") == "fired"
    for _ in range(3):
        bench.send(GOOD, key="k0", source="/a")
    assert bench.seen(GOOD, key="k0", source="/a") == "parked"
    bench.send(GOOD, key="good", source="/b", feed="weather")
    assert bench.seen(GOOD, key="good", source="/a") == "fired"


# Bounds


def test_rows_are_bounded_whatever_keys_and_producers_come() -> None:
    bench = Bench(RULE.replace("park_after: 3", "park_after: 1"))
    for n in range(3 * MOST_ROWS):
        assert bench.seen(BAD, key=f"k{n}") in ("error", "parked")
        bench.seen(GOOD, key="good")  # keeps its producer and the rule going
        assert len(bench.health().rows) <= MOST_ROWS
    assert bench.health().counts.keys > MOST_ROWS // 2 - 2
    assert bench.seen(GOOD, key="good") == "fired"
    assert bench.seen(GOOD, key=f"k{n}") == "parked", "the newest is kept"


def test_what_is_parked_outlasts_rows_that_are_only_counted() -> None:
    bench = Bench()
    bench.park()
    for n in range(MOST_ROWS):
        assert bench.seen(BAD, key=f"k{n}") == "error"
        assert bench.seen(GOOD, key="good") == "fired"
    assert bench.seen(GOOD) == "parked"


def test_texts_in_rows_are_bounded() -> None:
    bench = Bench()
    key, source = "k" * 10_000, "/" + "s" * 5_000
    bench.park(key=key, source=source)
    (row,) = bench.health().parked()
    assert len(row.key) == len(row.source) == LONGEST_NAME
    assert len(row.last_error) <= LONGEST_ERROR
    assert bench.seen(GOOD, key=key, source=source) == "parked"
    assert bench.seen(GOOD, key=key[:-1] + "x", source=source) == "fired"
    assert bounded_name(row.key) == row.key, "as `rules retry` is given it"
    assert bench.health().unpark(key=row.key) == 1


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
    bench = Bench()
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
    bench = Bench(RULE.replace("retry_at_most: 5m", "retry_at_most: 400d"))
    end_s = 253_402_300_799
    bench.park(at_s=end_s)
    assert bench.seen(GOOD, at_s=end_s) == "parked"


# Properties

STEP = st.tuples(
    st.sampled_from(["/bad", "/good", "/mixed"]),
    st.sampled_from(["k", "j", "i"]),
    st.booleans(),  # of /mixed: whether it is a good one
    st.integers(0, 90),  # seconds since the one before
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(STEP, max_size=60), st.sampled_from([1, 2, 3]), st.integers(2, 4), st.integers(0, 59)
)
def test_one_producers_bad_events_never_stop_another_producer(
    steps: list[tuple[str, str, bool, int]], park_after: int, wider: int, restart_at: int
) -> None:
    text = RULE.replace("park_after: 3", f"park_after: {park_after}")
    bench = Bench(text.replace("park_wider_after: 4", f"park_wider_after: {wider}"))
    at_s = 0
    failing: set[str] = set()  # producers that have sent something bad
    for number, (source, key, good, pause_s) in enumerate(steps):
        at_s += pause_s
        if number == restart_at:
            bench.restart()
        bad = source == "/bad" or (source == "/mixed" and not good)
        seen = bench.seen(BAD if bad else GOOD, key=key, source=source, at_s=at_s)
        failing |= {source} if bad else set()
        if not failing - {"/bad"} and source != "/bad":
            assert seen == "fired"
        assert seen in ("parked", "error" if bad else "fired")
        assert all(row.retry_ms > (row.parked_ms or 0) for row in bench.health().parked())


@settings(max_examples=100, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=60))
def test_whatever_failed_everything_goes_on_after_the_longest_while(
    steps: list[tuple[str, str, bool, int]],
) -> None:
    bench = Bench()
    at_s = 0
    for source, key, _, pause_s in steps:
        at_s += pause_s
        bench.seen(BAD, key=key, source=source, at_s=at_s)
    at_s += 300
    for source, key, _, _ in steps:
        assert bench.seen(GOOD, key=key, source=source, at_s=at_s) == "fired"
    assert not bench.health().counts.any


@settings(max_examples=100, deadline=None)
@given(st.lists(STEP, max_size=60), st.sets(st.integers(0, 59)))
def test_a_restart_at_any_event_changes_nothing(
    steps: list[tuple[str, str, bool, int]], restarts: set[int]
) -> None:
    found: dict[bool, list[str]] = defaultdict(list)
    for restarting in (False, True):
        bench, at_s = Bench(), 0
        for number, (source, key, good, pause_s) in enumerate(steps):
            at_s += pause_s
            if restarting and number in restarts:
                bench.restart()
            found[restarting].append(
                bench.seen(GOOD if good else BAD, key=key, source=source, at_s=at_s)
            )
    assert found[True] == found[False]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.text(min_size=1, max_size=3)), max_size=200))
def test_adversarial_keys_and_producers_leave_a_bounded_cell(
    names: list[tuple[str, str]],
) -> None:
    bench = Bench(RULE.replace("park_after: 3", "park_after: 1"))
    for number, (key, source) in enumerate(names):
        bench.seen(BAD, key=key * 500, source=source * 500, at_s=number)
        bench.seen(GOOD, key="good", source="/good", at_s=number)
    bench.rules.store()
    size = len(bench.rules.stored.get(HEALTH, b""))
    assert size <= MOST_ROWS * 8 * LONGEST_NAME
    assert len(bench.health().rows) <= MOST_ROWS

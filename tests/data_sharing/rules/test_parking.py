"""Parking: what of a rule is not run after failures in a row, and when it is tried again."""

from __future__ import annotations

import pytest

from data_sharing.rules.rule_health import (
    LONGEST_ERROR,
    LONGEST_NAME,
    MOST_ROWS,
    ParkingScope,
    bounded_name,
)
from tests.support.parking_bench import BAD, GOOD, RULE, ParkingBench
from tests.support.rule_harness import verdicts


def test_a_producer_that_fails_in_a_row_at_a_key_is_parked_there_alone() -> None:
    bench = ParkingBench()
    bench.park()
    assert bench.seen(GOOD) == "parked"
    assert bench.seen(GOOD, key="other") == "fired"
    assert bench.seen(GOOD, source="/b") == "fired"
    (row,) = bench.health().parked()
    assert (row.key, row.source, row.scope, row.in_a_row) == ("k", "/a", ParkingScope.KEY, 3)


def test_a_key_at_which_several_producers_fail_is_parked_for_all() -> None:
    bench = ParkingBench()
    assert [bench.seen(BAD, source=one) for one in ("/a", "/b", "/a")] == ["error"] * 3
    assert bench.seen(GOOD, source="/c") == "parked"
    assert bench.seen(GOOD, key="other") == "fired"
    assert [(row.key, row.source) for row in bench.health().parked()] == [("k", "")]


def test_failures_of_a_parked_producer_are_not_held_against_the_next_one() -> None:
    bench = ParkingBench()
    bench.park()
    assert [bench.seen(BAD, source="/b") for _ in range(2)] == ["error"] * 2
    assert bench.seen(GOOD, source="/b") == "fired"


def test_a_producer_that_fails_at_one_key_after_another_is_parked_at_all() -> None:
    bench = ParkingBench()
    assert [bench.seen(BAD, key=f"k{n}") for n in range(4)] == ["error"] * 4
    assert bench.seen(GOOD, key="new") == "parked"
    assert bench.seen(GOOD, key="new", source="/b") == "fired"
    assert [(row.key, row.source) for row in bench.health().parked()] == [("", "/a")]


def test_a_producer_whose_keys_cannot_be_read_is_parked_at_all() -> None:
    bench = ParkingBench(RULE.replace("{feed: traffic}", '{feed: traffic, key: "event.data.k[0]"}'))
    assert [bench.seen({"n": 1, "k": []}) for _ in range(3)] == ["error"] * 3
    assert bench.seen({"n": 1, "k": ["x"]}) == "parked"
    assert bench.seen({"n": 1, "k": ["x"]}, source="/b") == "fired"
    assert [(row.key, row.source) for row in bench.health().parked()] == [("", "/a")]


def test_a_rule_that_fails_for_one_producer_after_another_is_parked_as_a_whole() -> None:
    bench = ParkingBench()
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
    bench = ParkingBench()
    for n in range(3):
        bench.seen(BAD, key=f"k{n}", source=f"/{n}")
    assert bench.seen(GOOD, **between) == "fired"
    for n in range(3):
        assert bench.seen(BAD, key=f"k{n}", source=f"/{n}") == "error"
    assert not bench.health().counts.whole


def test_a_success_elsewhere_does_not_end_the_row_at_a_key() -> None:
    bench = ParkingBench()
    for _ in range(3):
        assert bench.seen(BAD) == "error"
        assert bench.seen(GOOD, key="other") == "fired"
        assert bench.seen(GOOD, source="/b") == "fired"
    assert bench.seen(BAD) == "parked"


def test_a_success_ends_a_row() -> None:
    bench = ParkingBench()
    for n in (0, 0, 1, 0, 0, 1, 0, 0):
        assert bench.seen({"n": n}) == ("fired" if n else "error")
    assert bench.seen(GOOD) == "fired"
    assert bench.health().rows == {}


def test_events_that_say_nothing_end_no_row() -> None:
    bench = ParkingBench(RULE + "    max_age: 1m\n")
    bench.seen(BAD, at_s=100)
    bench.seen(BAD, at_s=100)
    assert bench.seen(GOOD, at_s=1) == "too-old"
    assert bench.seen(BAD, at_s=100) == "error"
    assert bench.seen(BAD, at_s=100) == "parked"


# Retries


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
    bench = ParkingBench(HOURLY)
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
    bench = ParkingBench(HOURLY)
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
    bench = ParkingBench(text)
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
    bench = ParkingBench(JOIN)
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
    bench = ParkingBench(RULE.replace("park_after: 3", "park_after: 1"))
    for n in range(3 * MOST_ROWS):
        assert bench.seen(BAD, key=f"k{n}") in ("error", "parked")
        bench.seen(GOOD, key="good")  # keeps its producer and the rule going
        assert len(bench.health().rows) <= MOST_ROWS
    assert bench.health().counts.keys > MOST_ROWS // 2 - 2
    assert bench.seen(GOOD, key="good") == "fired"
    assert bench.seen(GOOD, key=f"k{n}") == "parked", "the newest is kept"


def test_what_is_parked_outlasts_rows_that_are_only_counted() -> None:
    bench = ParkingBench()
    bench.park()
    for n in range(MOST_ROWS):
        assert bench.seen(BAD, key=f"k{n}") == "error"
        assert bench.seen(GOOD, key="good") == "fired"
    assert bench.seen(GOOD) == "parked"


@pytest.fixture
def full() -> ParkingBench:
    """With as many parked scopes as there can be rows, and a producer that is well."""
    bench = ParkingBench()
    for n in range(MOST_ROWS + 10):
        for _ in range(3):
            bench.seen(BAD, key=f"k{n}", source=f"/p{n}")
        bench.seen(GOOD, key="good", source="/good")
    assert bench.health().counts.keys > MOST_ROWS - 5
    return bench


def test_with_all_rows_parked_another_producer_is_parked_after_as_many_failures(full) -> None:
    full.park(key="new", source="/new")
    assert full.seen(GOOD, key="new", source="/new") == "parked"
    assert full.seen(GOOD, key="good", source="/good") == "fired"
    assert len(full.health().rows) <= MOST_ROWS


def test_with_all_rows_parked_a_rule_that_fails_for_everybody_is_parked_as_a_whole(full) -> None:
    seen = [full.seen(BAD, key=f"new{n}", source=f"/new{n}") for n in range(5)]
    assert seen == ["error"] * 4 + ["parked"]
    assert full.health().counts.whole
    assert len(full.health().rows) <= MOST_ROWS


def test_texts_in_rows_are_bounded() -> None:
    bench = ParkingBench()
    key, source = "k" * 10_000, "/" + "s" * 5_000
    bench.park(key=key, source=source)
    (row,) = bench.health().parked()
    assert len(row.key) == len(row.source) == LONGEST_NAME
    assert len(row.last_error) <= LONGEST_ERROR
    assert bench.seen(GOOD, key=key, source=source) == "parked"
    assert bench.seen(GOOD, key=key[:-1] + "x", source=source) == "fired"
    assert bounded_name(row.key) == row.key, "as `rules retry` is given it"
    assert bench.health().unpark(key=row.key) == 1

"""Watermarks: events that come late or out of order, and clocks that run ahead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.rules.cell_cache import CellId, RuleCell
from data_sharing.rules.watermarks import AHEAD_MS, PUNCTUAL, Lateness
from tests.support.rule_harness import TENANT, RuleHarness, fired, ids, rules_of, verdicts

LATE_S = 20

TUMBLING = f"""
rules:
  - rule: r
    windows: {{w: {{feed: f, every: 10s, value: event.data.x}}}}
    at_end_of: w
    late: {LATE_S}s
    when: window.w.count > 0
    do: [{{invoke: {{application: a, action: b, config: {{n: window.w.count, s: window.w.sum}}}}}}]
"""
SLIDING = f"""
rules:
  - rule: r
    watch: {{e: {{feed: f}}}}
    windows: {{w: {{over: 30s, value: event.data.x}}}}
    late: {LATE_S}s
    when: e.data.asked && window.w.count > 0
    do: [{{invoke: {{application: a, action: b, config: {{n: window.w.count, s: window.w.sum}}}}}}]
"""
JOINED = f"""
rules:
  - rule: r
    watch: {{a: {{feed: f}}, b: {{feed: g}}}}
    join: {{within: 15s, consume: unrestricted, keep: 256}}
    late: {LATE_S}s
    when: "true"
    do: [{{invoke: {{application: a, action: b}}}}]
"""


class Sample(NamedTuple):
    """An event, and how long after its time it comes."""

    name: int
    at_s: int
    delay_s: int
    key: str
    feed: str
    x: int


def samples(feeds: str = "f") -> st.SearchStrategy[list[Sample]]:
    one = st.tuples(
        st.integers(0, 120), st.integers(0, LATE_S - 1), st.sampled_from("kl"),
        st.sampled_from(feeds), st.integers(1, 5),
    )  # fmt: skip
    return st.lists(one, min_size=1, max_size=14).map(
        lambda found: [Sample(n, 1_000 + at, *rest) for n, (at, *rest) in enumerate(found)]
    )


def in_order(found: Iterable[Sample]) -> list[Sample]:
    return sorted(one._replace(delay_s=0) for one in sorted(found, key=lambda one: one.at_s))


def sent(text: str, found: Iterable[Sample]) -> RuleHarness:
    """Each comes when it does, with its number for an id; then the windows end."""
    bench = RuleHarness(rules_of(text))
    for one in sorted(found, key=lambda one: (one.at_s + one.delay_s, one.at_s, one.name)):
        bench.position = one.name
        bench.event(
            one.feed, {"x": one.x, "asked": False}, at_s=one.at_s, key=one.key,
            now_s=one.at_s + one.delay_s,
        )  # fmt: skip
    bench.pass_to(1_200)
    return bench


@settings(max_examples=60)
@given(samples())
def test_tumbling_windows_end_alike_in_whatever_order_events_came(found: list[Sample]) -> None:
    def ended(arrived: Iterable[Sample]) -> Counter[str]:
        return Counter(
            f"{one.key} {one.effects[0].effect.config}"  # type: ignore[union-attr]
            for one in fired(sent(TUMBLING, arrived).decided)
        )

    assert ended(found) == ended(in_order(found))
    assert sum(ended(found).values()) > 0


@settings(max_examples=60)
@given(samples())
def test_a_sliding_window_holds_the_same_in_whatever_order_events_came(
    found: list[Sample],
) -> None:
    newest_s = max(one.at_s for one in found)

    def held(arrived: Iterable[Sample]) -> list[object]:
        bench = sent(SLIDING, arrived)
        asked = [
            bench.event("f", {"x": 0, "asked": True}, at_s=newest_s, key=key, now_s=1_200)
            for key in "kl"
        ]
        return [one.effects[0].effect.config for each in asked for one in fired(each)]  # type: ignore[union-attr]

    assert held(found) == held(in_order(found))


@settings(max_examples=60)
@given(samples("fg"))
def test_a_join_meets_the_same_events_in_whatever_order_they_came(found: list[Sample]) -> None:
    def met(arrived: Iterable[Sample]) -> Counter[tuple[str, ...]]:
        return Counter(tuple(sorted(ids(one))) for one in fired(sent(JOINED, arrived).decided))

    assert met(found) == met(in_order(found))


@settings(max_examples=40)
@given(samples(), st.lists(st.tuples(st.integers(0, 120), st.integers(0, 10**6)), max_size=5))
@pytest.mark.parametrize("text", [TUMBLING, SLIDING], ids=["tumbling", "sliding"])
def test_a_clock_that_is_ahead_changes_nothing_at_other_keys(
    text: str, found: list[Sample], ahead: list[tuple[int, int]]
) -> None:
    others = [
        Sample(100 + n, 1_000 + at + far, -far, "ahead", "f", 1)
        for n, (at, far) in enumerate(ahead)
    ]

    def seen(arrived: Iterable[Sample]) -> list[object]:
        decided = sent(text, arrived).decided
        return [
            (one.key, one.verdict, one.detail, one.effects)
            for each in decided
            for one in each.outcomes
            if one.key != "ahead"
        ]

    assert seen([*found, *others]) == seen(found)


def cell(bench: RuleHarness, key: str = "k") -> RuleCell:
    found = bench.state.get(CellId(TENANT, "rule", "r", key))
    assert isinstance(found, RuleCell)
    return found


@pytest.mark.parametrize(
    ("late", "ahead_s"),
    [
        pytest.param("0s", AHEAD_MS // 1_000, id="by-default"),
        pytest.param("{ahead: 2s}", 2, id="as-the-rule-says"),
    ],
)
def test_a_time_too_far_ahead_of_the_clock_makes_nobody_late(late: str, ahead_s: int) -> None:
    text = SLIDING.replace(f"late: {LATE_S}s", f"late: {late}").replace("e.data.asked &&", "")
    bench = RuleHarness(rules_of(text))
    bench.event("f", {"x": 1}, at_s=100)
    decided = bench.event("f", {"x": 1}, at_s=101 + ahead_s, now_s=100)
    assert verdicts(decided) == ["fired"]
    assert "ahead of the clock" in decided.outcomes[0].detail
    assert decided.ahead == ("r",)
    assert verdicts(bench.event("f", {"x": 1}, at_s=100, now_s=100)) == ["fired"]
    allowed = bench.event("f", {"x": 1}, at_s=100 + ahead_s, now_s=100)
    assert (allowed.ahead, allowed.outcomes[0].detail) == ((), "")
    assert verdicts(bench.event("f", {"x": 1}, at_s=100, now_s=100)) == ["late"]


@pytest.mark.parametrize("then", ["drop", "dead_letter", "decide"])
def test_what_comes_too_late_is_counted_and_left_decided_or_kept(then: str) -> None:
    text = SLIDING.replace(f"late: {LATE_S}s", f"late: {{allowed: 5s, then: {then}}}")
    bench = RuleHarness(rules_of(text.replace("e.data.asked &&", "")))
    bench.event("f", {"x": 1}, at_s=100)
    decided = bench.event("f", {"x": 1}, at_s=90, now_s=100)
    (outcome,) = decided.outcomes
    assert outcome.verdict == ("fired" if then == "decide" else "late")
    assert outcome.detail.startswith(
        "10s older than the newest event of its key; 5s are allowed (`late`)"
    )
    assert outcome.dead_letter == (then == "dead_letter")
    assert (decided.late, cell(bench).late) == (("r",), 1)
    assert cell(bench).newest_ms == 100_000


def test_a_late_event_of_a_window_that_has_ended_is_not_counted_into_another() -> None:
    text = TUMBLING.replace(f"late: {LATE_S}s", "late: {then: decide}")
    bench = RuleHarness(rules_of(text))
    bench.event("f", {"x": 1}, at_s=105)
    bench.pass_to(111)
    decided = bench.event("f", {"x": 1}, at_s=109, now_s=112)
    assert (decided.late, decided.outcomes) == (("r",), ())
    assert not fired(bench.pass_to(200))


def test_a_watermark_is_the_newest_time_less_what_is_allowed() -> None:
    lateness = Lateness(allowed_ms=5, ahead_ms=10)
    assert lateness.watermark(100) == 95
    assert [lateness.late_by(100, time_ms) for time_ms in (101, 95, 94, 0)] == [0, 0, 1, 95]
    assert [lateness.ahead_by(time_ms, 100) for time_ms in (0, 110, 111)] == [0, 0, 1]
    assert [lateness.newest(100, time_ms, 100) for time_ms in (99, 100, 110, 111)] == [
        100, 100, 110, 100,
    ]  # fmt: skip
    assert (PUNCTUAL.allowed_ms, PUNCTUAL.then) == (0, "drop")

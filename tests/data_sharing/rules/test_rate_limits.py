"""Rate limits agree with counting by hand, at each key and for a rule, and say what comes next."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.rules.rate_limits import RateLimit, add, exceeded
from data_sharing.rules.results import RuleVerdict
from tests.support.rule_harness import RuleHarness, faults_of, rules_of, verdicts

LIMITED = """
rules:
  - rule: r
    watch: {t: {feed: f}}
    limits: [{at_most: 2, per: 10s}, {at_most: 3, per: 1m, of: rule}]
    when: t.data.x > 0.0
    do: [{invoke: {application: a, action: b}}]
"""


def test_what_is_beyond_a_limit_is_held_back_and_says_how_many_since_when_and_until_when() -> None:
    bench = RuleHarness(rules_of(LIMITED))
    found = [verdicts(bench.event("f", {"x": 1}, at_s=at_s)) for at_s in (0, 4, 5)]
    assert found == [["fired"], ["fired"], ["limited"]]
    assert bench.decided[-1].outcomes[0].detail == (
        "fired 2 times at this key since 1970-01-01T00:00:00+00:00, of at most 2 in 10s; "
        "the next may be at 1970-01-01T00:00:10+00:00"
    )
    assert verdicts(bench.event("f", {"x": 1}, at_s=9.999)) == ["limited"]
    assert verdicts(bench.event("f", {"x": 1}, at_s=10)) == ["fired"]
    assert verdicts(bench.event("f", {"x": 1}, at_s=12, key="other")) == ["limited"]
    assert "fired 3 times at all keys" in bench.decided[-1].outcomes[0].detail
    assert verdicts(bench.event("f", {"x": 1}, at_s=60, key="other")) == ["fired"]


def test_what_does_not_match_or_is_held_back_counts_for_no_limit() -> None:
    bench = RuleHarness(rules_of(LIMITED.replace(", of: rule", "")))
    for at_s in range(5):
        bench.event("f", {"x": 0}, at_s=at_s)
    assert verdicts(bench.event("f", {"x": 1}, at_s=6)) == ["fired"]


def test_a_limit_survives_a_restart() -> None:
    bench = RuleHarness(rules_of(LIMITED))
    for key in ("k", "l", "k"):
        bench.event("f", {"x": 1}, key=key)
    bench.store()
    bench.restart()
    assert verdicts(bench.event("f", {"x": 1}, at_s=11, key="m")) == ["limited"]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from("kl"), st.booleans()), max_size=60),
    st.integers(1, 4),
    st.integers(1, 12),
    st.integers(1, 6),
    st.integers(1, 20),
)
@settings(max_examples=40, deadline=None)
def test_a_rule_fires_as_often_as_counting_by_hand_allows(
    steps: list[tuple[int, str, bool]], most: int, per_s: int, all_most: int, all_per_s: int
) -> None:
    text = LIMITED.replace("at_most: 2, per: 10s", f"at_most: {most}, per: {per_s}s")
    text = text.replace("at_most: 3, per: 1m", f"at_most: {all_most}, per: {all_per_s}s")
    bench, fired, at_s = RuleHarness(rules_of(text)), defaultdict[str, list[int]](list), 0
    for wait, key, restart in steps:
        at_s += wait
        if restart:
            bench.store()
            bench.restart()
        (outcome,) = bench.event("f", {"x": 1}, at_s=at_s, key=key).outcomes
        everywhere = [one for times in fired.values() for one in times]
        may = sum(at_s - per_s < one <= at_s for one in fired[key]) < most
        may = may and sum(at_s - all_per_s < one <= at_s for one in everywhere) < all_most
        assert outcome.verdict is (RuleVerdict.FIRED if may else RuleVerdict.LIMITED)
        if may:
            fired[key].append(at_s)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=40), st.integers(1, 5), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_the_next_may_be_exactly_then(waits: list[int], most: int, per_ms: int) -> None:
    limits, fired, now_ms = [RateLimit(at_most=most, per_ms=per_ms)], list[int](), 0
    for wait in waits:
        now_ms += wait
        found = exceeded(limits, fired, now_ms)
        if found is None:
            add(limits, fired, now_ms)
            assert len(fired) <= most
            continue
        assert exceeded(limits, fired, found.next_ms) is None
        assert exceeded(limits, fired, found.next_ms - 1) is not None


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("{at_most: 0, per: 1m}", "rules.r.limits[0].at_most: 0 is not within 1 to 1,000"),
        ("{at_most: 1, per: 1ms}", "rules.r.limits[0].per: 1ms is out of bounds"),
        (", ".join(["{at_most: 1, per: 1m}"] * 5), "rules.r.limits: 5 limits; at most 4"),
    ],
)
def test_what_is_no_limit_is_refused(limit: str, said: str) -> None:
    text = LIMITED.replace("{at_most: 2, per: 10s}, {at_most: 3, per: 1m, of: rule}", limit)
    assert any(one.startswith(said) for one in faults_of(text)), faults_of(text)

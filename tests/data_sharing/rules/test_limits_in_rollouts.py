"""Limits while two versions of a rule decide: what was done counts once, whichever version did it,
and what is only compared counts for whichever would have done it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.rules.rollout import Rollout, RolloutPhase
from tests.support.rollout_rules import NEW, acting, both, moved
from tests.support.rule_harness import RuleHarness

BEFORE = replace(NEW, phase=RolloutPhase.ABORTED)  # as if none had begun
PROMOTED = replace(NEW, phase=RolloutPhase.PROMOTED)
HALF = replace(NEW, step=2)
OF_KEY = "limits: [{at_most: 2, per: 1h}]"
OF_RULE = "limits: [{at_most: 2, per: 1h, of: rule}]"
KEYS = [f"key-{number}" for number in range(6)]


def fire(bench: RuleHarness, at_s: float, key: str = "key-0") -> list[str]:
    """What each version made of an event that both match."""
    found = bench.event("traffic", {"minutes": 50}, at_s=at_s, key=key)
    return [f"{one.verdict.value} {one.version}" for one in (*found.outcomes, *found.shadow)]


def of_version(number: int) -> str:
    """A key for which it acts while each has half of them."""
    return next(key for key in map(str, range(100)) if acting(HALF, key) == number)


@pytest.mark.parametrize("limits", [OF_KEY, OF_RULE])
def test_what_the_version_before_did_counts_for_the_next(limits: str) -> None:
    bench = RuleHarness(both(BEFORE, extra=limits))
    assert fire(bench, 0) == ["fired 1"]
    bench.rules = both(NEW, extra=limits)
    assert fire(bench, 10) == ["fired 1", "fired 2"]
    bench.rules = both(PROMOTED, extra=limits)
    assert fire(bench, 20) == ["limited 2"]
    assert fire(bench, 3_601) == ["fired 2"]
    assert fire(bench, 3_602) == ["limited 2"]


@pytest.mark.parametrize("limits", [OF_KEY, OF_RULE])
def test_what_the_new_version_did_counts_when_it_goes_back(limits: str) -> None:
    key, bench = of_version(2), RuleHarness(both(HALF, old=90, extra=limits))
    for at_s in (0, 1):  # the version in force would not: its condition is another
        assert fire(bench, at_s, key) == ["fired 2"]
    bench.store()
    bench.restart(both(replace(HALF, phase=RolloutPhase.ABORTED), extra=limits))
    assert fire(bench, 2, key) == ["limited 1"]


def test_a_limit_of_the_rule_is_one_for_both_versions_together() -> None:
    bench = RuleHarness(both(HALF, extra=OF_RULE))
    theirs, ours = of_version(1), of_version(2)
    assert fire(bench, 0, theirs)[0] == "fired 1"
    assert fire(bench, 1, ours)[0] == "fired 2"
    assert fire(bench, 2, theirs)[0] == "limited 1"
    assert fire(bench, 3, ours)[0] == "limited 2"


@pytest.mark.parametrize("limits", [OF_KEY, OF_RULE])
def test_what_a_version_in_shadow_would_have_done_limits_nobody_else(limits: str) -> None:
    bench = RuleHarness(both(NEW, old=90, extra=limits))
    for at_s in (0, 1):
        assert fire(bench, at_s) == ["fired 2"]
    assert fire(bench, 2) == ["limited 2"]
    bench.rules = both(PROMOTED, extra=limits)
    assert fire(bench, 3) == ["fired 2"]


MOVES = st.one_of(
    st.tuples(st.just("event"), st.sampled_from(KEYS)),
    st.tuples(st.sampled_from(["promote", "full", "hold", "abort", "restart"]), st.just("")),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(MOVES, max_size=40), st.sampled_from([OF_KEY, OF_RULE]))
def test_a_rollout_changes_nothing_of_what_limits_let_through(
    moves: list[tuple[str, str]], limits: str
) -> None:
    """Of two versions that say the same, what is done is what one of them would do alone."""
    rollout: Rollout = NEW
    bench = RuleHarness(both(rollout, extra=limits))
    alone = RuleHarness(both(BEFORE, extra=limits))
    for number, (move, key) in enumerate(moves):
        if move == "event":
            (verdict, *_) = fire(bench, 300 * number, key)
            (expected,) = fire(alone, 300 * number, key)
            assert verdict.split()[0] == expected.split()[0]
        elif move == "restart":
            bench.store()
            bench.restart(both(rollout, extra=limits))
        elif rollout.live:
            rollout = moved(rollout, move)
            bench.rules = both(rollout, extra=limits)

"""Rollouts: which version acts for which key, and what by itself or an operator comes next."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.rules.cell_cache import CellId
from data_sharing.rules.rollout import (
    BUCKETS,
    Activation,
    RolloutFacts,
    RolloutPhase,
    aborted,
    advanced,
    bucket_of,
    promoted,
    share_of,
)
from data_sharing.rules.shadow import counts_cell
from tests.support.rollout_rules import NEW, STEPS, acting, both, moved
from tests.support.rule_harness import TENANT, RuleHarness, faults_of

MINUTE_MS = 60_000


def counts(bench: RuleHarness) -> tuple[int, int, int, int]:
    """same, more, less, other."""
    found = bench.state.get(counts_cell(TENANT, "slow", 2))
    return found.same, found.more, found.less, found.other


def test_in_shadow_the_version_in_force_acts_and_the_new_one_is_compared() -> None:
    bench = RuleHarness(both(NEW, new=60))
    for minutes in (45, 90, 10):
        decided = bench.event("traffic", {"minutes": minutes})
        acting = [one.cause.rule_version for one in decided.effects]
        assert acting == ([1] if minutes > 30 else [])
        assert {one.version for one in decided.outcomes} <= {1}
        assert {one.version for one in decided.shadow} <= {2}
    assert counts(bench) == (1, 0, 1, 0)


def test_what_only_the_new_version_would_do_is_more_and_something_else_is_other() -> None:
    bench = RuleHarness(both(NEW, old=60, new=30))
    bench.event("traffic", {"minutes": 45})
    assert counts(bench) == (0, 1, 0, 0)
    found = bench.state.get(counts_cell(TENANT, "slow", 2)).examples[-1]
    assert (found.kind, found.stable) == ("more", ())
    assert found.candidate == ('at k: invoke lamp blink {"times":45}',)


def test_timers_of_both_versions_are_compared_when_the_second_one_has_come() -> None:
    debounce = "debounce: {wait: 10s}"
    bench = RuleHarness(both(NEW, extra=debounce))
    bench.event("traffic", {"minutes": 45}, at_s=1)
    assert len(bench.timers) == 2
    decided = bench.pass_to(20)
    assert [one.cause.rule_version for each in decided for one in each.effects] == [1]
    assert counts(bench) == (1, 0, 0, 0)


def test_a_timer_whose_counterpart_does_not_come_is_counted_after_a_minute() -> None:
    bench = RuleHarness(both(NEW, new=60, extra="debounce: {wait: 10s}"))
    bench.event("traffic", {"minutes": 45}, at_s=1)
    bench.pass_to(20)
    assert bench.state.get(counts_cell(TENANT, "slow", 2)).less == 0
    bench.event("traffic", {"minutes": 70}, at_s=120)
    assert counts(bench)[2] == 1


def test_a_promoted_version_goes_on_with_the_state_that_it_made_in_shadow() -> None:
    """Its cells and timers keep their name; those of the version before mean nothing any more."""
    bench = RuleHarness(both(NEW, extra="debounce: {wait: 10s}"))
    bench.event("traffic", {"minutes": 45}, at_s=1)
    bench.rules = both(replace(NEW, phase=RolloutPhase.PROMOTED), extra="debounce: {wait: 10s}")
    acted = [one.cause.rule_version for each in bench.pass_to(20) for one in each.effects]
    assert acted == [2]
    assert bench.timers == {}


def test_an_aborted_version_leaves_what_the_other_one_remembers() -> None:
    bench = RuleHarness(both(NEW, extra="debounce: {wait: 10s}"))
    bench.event("traffic", {"minutes": 45}, at_s=1)
    bench.rules = both(aborted(NEW, "no"), extra="debounce: {wait: 10s}")
    acted = [one.cause.rule_version for each in bench.pass_to(20) for one in each.effects]
    assert acted == [1]


KEYS = st.sampled_from([f"key-{n}" for n in range(12)])
MOVES = st.one_of(
    st.tuples(st.just("event"), KEYS),
    st.tuples(st.sampled_from(["promote", "full", "hold", "abort", "again", "crash"]), st.just("")),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(MOVES, max_size=40))
def test_exactly_one_version_acts_at_any_key_whatever_happens(
    moves: list[tuple[str, str]],
) -> None:
    """Over events, steps, holds, aborts, rollouts begun anew and crashes before a commit."""
    rollout, bench, at_s = NEW, RuleHarness(both(NEW)), 0.0
    for move, key in moves:
        at_s += 1
        if move == "event":
            decided = bench.event("traffic", {"minutes": 45}, key=key, at_s=at_s)
            (effect,) = decided.effects
            assert effect.cause.rule_version == acting(rollout, key)
            assert len(decided.shadow) == rollout.live
        elif move == "crash":  # what was not stored is read again, and decided alike
            before = bench.event("traffic", {"minutes": 45}, key="key-0", at_s=at_s).effects
            bench.state.forget()
            bench.position -= 1
            again = bench.event("traffic", {"minutes": 45}, key="key-0", at_s=at_s).effects
            assert [one.id for one in again] == [one.id for one in before]
        elif rollout.live:
            after = moved(rollout, move)
            assert share_of(after, STEPS) >= share_of(rollout, STEPS) or move == "abort"
            rollout = after
        elif move == "again":
            rollout = NEW
        bench.rules = both(rollout)


@given(st.text(max_size=40), st.integers(0, BUCKETS), st.integers(0, BUCKETS))
def test_a_share_that_grows_only_adds_keys(key: str, one: int, other: int) -> None:
    less, more = sorted((one, other))
    new, old = Activation(acts_to=less), Activation(acts_from=less)
    assert new.acts_for("r", key) is not old.acts_for("r", key)
    assert not new.acts_for("r", key) or Activation(acts_to=more).acts_for("r", key)


def test_a_hash_spreads_keys_evenly_and_otherwise_for_each_rule() -> None:
    keys = [f"user-{n}" for n in range(4_000)]
    first = {key for key in keys if bucket_of("one", key) < 1_000}
    second = {key for key in keys if bucket_of("two", key) < 1_000}
    assert 320 < len(first) < 480
    assert len(first & second) < 100


def test_a_step_is_over_by_time_or_by_decisions_and_the_last_ones_by_an_operator() -> None:
    assert advanced(NEW, STEPS, RolloutFacts(), MINUTE_MS - 1) is None
    first = advanced(NEW, STEPS, RolloutFacts(compared=3), MINUTE_MS)
    assert first is not None
    assert (first.step, first.step_began_ms, first.compared) == (1, MINUTE_MS, 3)
    assert advanced(first, STEPS, RolloutFacts(compared=7), 10 * MINUTE_MS) is None
    second = advanced(first, STEPS, RolloutFacts(compared=8), 10 * MINUTE_MS)
    assert second is not None
    assert share_of(second, STEPS) == BUCKETS // 2
    assert advanced(second, STEPS, RolloutFacts(compared=9_999), 1 << 40) is None
    last = promoted(second, STEPS, RolloutFacts(), 1, "by an operator")
    assert last.phase is RolloutPhase.PROMOTED


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        pytest.param(RolloutFacts(compared=4, differing=3), "3 of 4 decisions", id="they-differ"),
        pytest.param(RolloutFacts(done=3, failed=2), "2 of 5 instructions", id="a-share-failed"),
        pytest.param(RolloutFacts(done=900, failed=9), "9 instructions", id="so-many-failed"),
    ],
)
def test_a_rollout_is_held_where_a_condition_is_met(facts: RolloutFacts, reason: str) -> None:
    found = advanced(NEW, STEPS, facts, MINUTE_MS)
    assert found is not None
    assert (found.phase, found.step) == (RolloutPhase.HELD, 0)
    assert reason in found.reason
    assert advanced(found, STEPS, facts, 1 << 40) is None
    aborting = msgspec.structs.replace(
        STEPS, hold=msgspec.structs.replace(STEPS.hold, then="abort")
    )
    gone = advanced(NEW, aborting, facts, MINUTE_MS)
    assert gone is not None
    assert gone.phase is RolloutPhase.ABORTED


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(RolloutFacts(compared=3, differing=3), id="too-few-were-compared"),
        pytest.param(RolloutFacts(done=0, failed=4), id="too-few-ended"),
        pytest.param(RolloutFacts(compared=8, differing=4), id="not-more-than-the-share"),
    ],
)
def test_too_little_is_no_reason_to_hold(facts: RolloutFacts) -> None:
    assert advanced(NEW, STEPS, facts, 0) is None


def test_only_decisions_of_this_step_count() -> None:
    step = replace(NEW, compared=100, differing=90)
    assert advanced(step, STEPS, RolloutFacts(compared=104, differing=92), 0) is None
    found = advanced(step, STEPS, RolloutFacts(compared=104, differing=93), 0)
    assert found is not None
    assert found.phase is RolloutPhase.HELD


@pytest.mark.parametrize(
    ("rollout", "fault"),
    [
        pytest.param("{steps: []}", "0 steps; 1 to 16", id="no-step"),
        pytest.param("{steps: [{share: 20}, {share: 10}]}", "greater than 20", id="it-shrinks"),
        pytest.param("{steps: [{share: 100}]}", "below 100", id="all-is-no-share"),
        pytest.param("{steps: [{shadow: true, share: 5}]}", "exactly one of", id="both"),
        pytest.param("{steps: [{share: 5}, {shadow: true}]}", "only the first", id="shadow-later"),
        pytest.param("{steps: [{share: 5, for: soon}]}", "steps[0].for", id="no-duration"),
        pytest.param("{steps: [{share: 5, decisions: 0}]}", "0 decisions", id="no-decisions"),
        pytest.param(
            "{steps: [{share: 5}], hold: {differs: {share: 2}}}", "within 0 to 1", id="over-all"
        ),
    ],
)
def test_what_is_no_rollout_is_refused_with_its_place(rollout: str, fault: str) -> None:
    text = f"""
rules:
  - {{rule: r, watch: {{t: {{feed: traffic}}}}, when: true, rollout: {rollout},
      do: [{{invoke: {{application: lamp, action: blink}}}}]}}
"""
    (found,) = faults_of(text)
    assert fault in found


def test_counts_are_a_cell_of_their_own() -> None:
    assert counts_cell("t", "r", 3) == CellId("t", "rollout", "r", "3")


def test_in_a_rollout_each_version_has_partial_matches_and_limits_of_its_own() -> None:
    """The one that does not act at the key has the same matches, and acts on none."""
    extra = "absent_for: 1m\n    limits: [{at_most: 1, per: 1h}]"
    bench = RuleHarness(both(NEW, old=1, new=1, extra=extra))
    bench.event("traffic", {"minutes": 50}, at_s=0)
    assert len(bench.timers) == 2
    (first, second) = bench.pass_to(60)
    assert sorted([len(first.effects), len(second.effects)]) == [0, 1]
    told = [*first.outcomes, *first.shadow, *second.outcomes, *second.shadow]
    assert [one.verdict for one in told] == ["fired", "fired"]
    assert counts(bench)[0] == 1
    bench.event("traffic", {"minutes": 50}, at_s=70)
    again = bench.pass_to(200)
    told = [one for each in again for one in (*each.outcomes, *each.shadow)]
    assert [one.verdict for one in told] == ["limited", "limited"]

"""Flows: an event's correlation and cause go through decisions, instructions and outcomes; rules
that set each other off are cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from data_sharing.correlation import Correlation, kept_correlation, with_correlation
from data_sharing.decisions import ancestry_tables, history
from data_sharing.decisions.outbox import StoredInstruction
from data_sharing.delivery.outcome_events import outcome_event
from data_sharing.event import Event
from data_sharing.feeds import log_tables
from data_sharing.feeds.port import Candidate
from data_sharing.instruction import Performance, Performed
from data_sharing.plans.plan import created
from data_sharing.plans.spec import parse_plan
from data_sharing.rules.cell_cache import CellCache
from data_sharing.rules.evaluation_context import NoPlans
from data_sharing.rules.results import EvaluationResult, RuleVerdict
from data_sharing.rules.ruleset import MOST_HOPS, RuleSet
from tests.support.decisions_harness import TENANT, DecisionHarness, decision_harness, event
from tests.support.instructions import NOW_MS
from tests.support.rule_harness import rules_of

START = """
rules:
  - rule: start
    watch: {e: {feed: traffic}}
    when: "true"
    do: [{invoke: {application: lamp, action: blink, config: {times: 1}}}]
"""
AGAIN = """
  - rule: again
    watch: {o: {feed: homeport.instruction.outcome}}
    when: o.data.status == "done"
    do: [{invoke: {application: lamp, action: blink, config: {times: 2}}}]
"""
NOTED = """
  - rule: note
    watch: {o: {feed: homeport.instruction.outcome}}
    windows: {w: {over: 1h}}
    when: window.w.count > 1000
    do: [{invoke: {application: lamp, action: blink, config: {times: 3}}}]
"""


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DecisionHarness]:
    async with decision_harness(tmp_path) as made:
        yield made


async def perform(harness: DecisionHarness, stored: StoredInstruction) -> Candidate:
    """The lamp does it, and its outcome is an event."""
    told = outcome_event(
        stored,
        Performed(
            instruction=stored.instruction.id, attempt=1, status=Performance.DONE, platform="p",
            output="1", started_at_ms=NOW_MS, ended_at_ms=NOW_MS,
        ),
    )  # fmt: skip
    await harness.log.append([told])
    return told


async def perform_all(harness: DecisionHarness, most: int = 200) -> int:
    """Until nothing new is ordered; how many were performed."""
    performed = 0
    while performed < most and performed < len(harness.instructions()):
        await perform(harness, harness.instructions()[performed])
        performed += 1
    return performed


def record(harness: DecisionHarness, position: int) -> Event:
    found = harness.read(lambda db: log_tables.record_at(db, TENANT, position))
    assert found is not None
    return found.event()


@pytest.mark.parametrize("given_id", ["", "order-7"])
async def test_a_flow_is_one_from_its_first_event_to_the_last_outcome(
    harness: DecisionHarness, given_id: str
) -> None:
    harness.rules(START)
    await harness.publish(replace(event(), correlation=given_id))
    flow = given_id or "e1"
    (decision,) = harness.decisions()
    (stored,) = harness.instructions()
    assert (decision.correlation, decision.hops) == (flow, 1)
    what = stored.instruction
    assert (what.correlation, what.decision, what.hops) == (flow, decision.id, 1)
    await perform(harness, stored)
    outcome = record(harness, 2)
    assert (outcome.correlation, outcome.causation, outcome.hops) == (flow, what.id, 1)
    found = harness.read(lambda db: ancestry_tables.caused_by(db, TENANT, what.id, 10))
    assert found == [2]


async def test_rules_that_set_each_other_off_are_cut_and_nothing_else_is(
    harness: DecisionHarness,
) -> None:
    harness.rules(START + AGAIN + NOTED)
    await harness.publish(event())
    assert await perform_all(harness) == MOST_HOPS
    (letter,) = harness.letters()
    assert letter.reason.startswith(
        "loop: again → again: 16 decisions have led to this one after another"
    )
    assert (letter.rule, letter.event.id if letter.event else "") == (
        "again", f"{harness.instructions()[-1].instruction.id}/1",
    )  # fmt: skip
    assert harness.worker.counts.loops == {(TENANT, "again"): 1}
    last = record(harness, MOST_HOPS + 1)
    assert last.hops == MOST_HOPS
    judged = harness.read(lambda db: history.judgements_of(db, TENANT, MOST_HOPS + 1))
    assert [(one.rule, one.verdict) for one in judged] == [
        ("again", "loop"), ("note", "not-matched"),
    ]  # fmt: skip
    assert judged[0].detail.startswith("again → again: ")
    assert {one.correlation for one in harness.decisions()} == {"e1"}


async def test_what_was_cut_goes_on_where_somebody_redrives_it(harness: DecisionHarness) -> None:
    harness.rules(START + AGAIN)
    await harness.publish(event())
    await perform_all(harness)
    last = record(harness, MOST_HOPS + 1)
    await harness.database.transact(lambda db: harness.worker.decide_again(db, last, "again"))
    assert len(harness.instructions()) == MOST_HOPS + 1
    assert await perform(harness, harness.instructions()[-1])
    assert [one.reason[:5] for one in harness.letters()] == ["loop:", "loop:"]


async def test_an_application_that_names_the_instruction_is_in_its_flow(
    harness: DecisionHarness,
) -> None:
    harness.rules(START)
    rounds = 0
    causation = ""
    while not harness.letters() and rounds < 40:
        mine = replace(event(id=f"e{rounds}"), causation=causation)
        await harness.publish(mine)
        causation = harness.instructions()[-1].instruction.id
        rounds += 1
    (letter,) = harness.letters()
    assert (rounds, letter.reason[:22]) == (MOST_HOPS + 1, "loop: start → start: 1")
    assert record(harness, rounds).correlation == "e0"


@pytest.mark.parametrize(
    ("claimed", "hops"), [(0, 1), (1, 1), (12, 12)], ids=["less", "the-same", "more"]
)
async def test_what_a_producer_claims_can_only_shorten_its_flow(
    harness: DecisionHarness, claimed: int, hops: int
) -> None:
    harness.rules(START)
    await harness.publish(event())
    (stored,) = harness.instructions()
    later = event(id="later", feed="other")
    await harness.publish(replace(later, causation=f"{stored.instruction.id}/1", hops=claimed))
    kept = record(harness, 2)
    assert (kept.hops, kept.correlation) == (hops, "e1")


async def test_an_event_of_the_same_source_is_a_cause_and_one_of_another_tenant_is_none(
    harness: DecisionHarness,
) -> None:
    harness.rules(START)
    await harness.publish(replace(event(feed="other"), hops=3, correlation="flow"))
    await harness.publish(replace(event(id="e2", feed="other"), causation="e1"))
    kept = record(harness, 2)
    assert (kept.hops, kept.correlation) == (3, "flow")
    await harness.publish(event(id="e3"))
    (stored,) = harness.instructions()
    foreign = event(id="e4", tenant="office", feed="other")
    await harness.publish(replace(foreign, causation=stored.instruction.id))
    found = harness.read(lambda db: log_tables.record_at(db, "office", 1))
    assert found is not None
    assert (found.event().hops, found.event().correlation) == (0, "")


PLANNED = """
rules:
  - rule: earlier
    watch: {o: {feed: homeport.instruction.outcome}, }
    plan: {of: '"k"'}
    when: "true"
    do: [{change: {config: {light: {times: "7"}}}}]
"""
PLAN = """
plan: wake-up
owner: k
at: 2027-01-15T09:00
actions:
  light: {application: lamp, action: blink, config: {times: 3}}
"""


async def test_a_flow_goes_on_through_a_plan_that_a_rule_has_changed(
    harness: DecisionHarness,
) -> None:
    harness.rules(START + PLANNED.removeprefix("\nrules:"))

    def work(db: object) -> None:
        harness.worker.join_transaction(db)  # type: ignore[arg-type]
        plan = created(TENANT, parse_plan(PLAN), harness.clock())
        harness.worker.plans.put(plan, None, now_ms=harness.clock())

    await harness.database.transact(work)
    await harness.publish(replace(event(), correlation="flow"))
    await perform(harness, harness.instructions()[0])
    harness.clock.now_ms += 3_600_000
    assert await harness.worker.tick()
    planned = harness.instructions()[-1].instruction
    assert (planned.plan, planned.correlation, planned.hops) == ("wake-up", "flow", 3)
    assert planned.decision == harness.decisions()[-1].id
    assert harness.decisions()[-1].correlation == "flow"


# Graphs of rules, without a database: an instruction's outcome is an event of its own feed.


def decided(rules: RuleSet, one: Event) -> EvaluationResult:
    return rules.decide(
        one, now_ms=NOW_MS, state=CellCache(lambda cell: None), plans=NoPlans(), explaining=True
    )


def follow(rules: RuleSet, first: Event, most: int) -> tuple[int, int]:
    """Breadth first: how many rules fired, and how many were cut; at most so many."""
    todo, fired, cut = [first], 0, 0
    while todo and fired < most:
        one = todo.pop(0)
        for outcome in decided(rules, one).outcomes:
            cut += outcome.verdict is RuleVerdict.LOOP
            if outcome.verdict is not RuleVerdict.FIRED:
                continue
            fired += 1
            for each in outcome.effects:
                cause = each.effect.cause
                todo.append(
                    replace(
                        one, id=f"{one.id}.{fired}", type=each.effect.action,  # type: ignore[union-attr]
                        hops=cause.hops + 1, correlation=cause.correlation,
                    )
                )  # fmt: skip
    return fired, cut


def graph(edges: list[tuple[int, int]]) -> RuleSet:
    """A rule for each edge: it watches feed `f<a>`, and what it has done is an event of `f<b>`."""
    rules = "".join(
        f"""
  - rule: r{n}
    watch: {{e: {{feed: f{a}}}}}
    when: "true"
    do: [{{invoke: {{application: app, action: f{b}}}}}]
"""
        for n, (a, b) in enumerate(edges)
    )
    return rules_of(f"rules:{rules}")


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(0, 5), st.integers(1, 12))
def test_a_circle_of_rules_is_cut_at_the_bound_wherever_it_begins(
    around: int, before: int, most_hops: int
) -> None:
    edges = [(n, n + 1) for n in range(before)]
    edges += [(before + n, before + (n + 1) % around) for n in range(around)]
    rules = graph(edges)
    rules.most_hops = most_hops
    assert follow(rules, event(feed="f0"), 10_000) == (most_hops, 1)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3)), min_size=1, max_size=5))
def test_rules_without_a_circle_are_never_cut_below_the_bound(
    steps: list[tuple[int, int]],
) -> None:
    edges = [(a, a + by) for a, by in steps]  # feeds only ever grow, to 7 at most
    assert follow(graph(edges), event(feed="f0"), 10_000)[1] == 0


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=4, unique=True)
)
def test_no_graph_of_rules_goes_on_for_ever(edges: list[tuple[int, int]]) -> None:
    rules = graph(edges)
    rules.most_hops = 5
    fired, cut = follow(rules, event(feed="f0"), 10_000)
    assert fired < 10_000
    reached = {0}
    for _ in range(rules.most_hops):
        reached = {b for a, b in edges if a in reached}
    assert (cut > 0) == any(a in reached for a, _ in edges)


def test_a_window_that_ends_is_as_far_in_its_flow_as_the_farthest_of_its_events() -> None:
    rules = rules_of("""
rules:
  - rule: r
    windows: {w: {feed: traffic, every: 10s}}
    at_end_of: w
    when: window.w.count > 0
    do: [{invoke: {application: app, action: act}}]
""")
    state = CellCache(lambda cell: None)
    far = replace(event(id="e1"), hops=MOST_HOPS - 1)
    (timer,) = rules.decide(far, now_ms=NOW_MS, state=state, plans=NoPlans()).timers
    rules.decide(event(id="e2"), now_ms=NOW_MS, state=state, plans=NoPlans())
    (outcome,) = rules.due(timer, now_ms=timer.due_ms, state=state, plans=NoPlans()).outcomes
    assert (outcome.verdict, outcome.hops) == (RuleVerdict.FIRED, MOST_HOPS - 1)
    assert outcome.effects[0].effect.cause.hops == MOST_HOPS - 1


def test_what_an_event_says_is_kept_with_it() -> None:
    told = Correlation("flow", "i-1", 3)
    kept = with_correlation(b'{"a":1}', told)
    assert msgspec.json.decode(kept) == {
        "a": 1, "correlationid": "flow", "causationid": "i-1", "homeporthops": 3,
    }  # fmt: skip
    assert kept_correlation(kept) == told

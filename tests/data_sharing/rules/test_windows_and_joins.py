"""Windows and joins: which events count, which meet, which are used up; late ones; bounds."""

from __future__ import annotations

import random

import pytest

from data_sharing.event import Event
from data_sharing.rules.cell_cache import CellCache, CellId, RuleCell
from tests.support.rule_harness import (
    TENANT,
    RuleHarness,
    Shelf,
    fired,
    ids,
    rules_of,
    verdicts,
)


def windowed(window: str, when: str, more: str = "") -> str:
    return f"""
rules:
  - rule: r
    watch: {{t: {{feed: f}}}}
    windows: {{w: {window}}}
    when: {when}
    {more}
    do: [{{invoke: {{application: a, action: b, config: {{n: window.w.count}}}}}}]
"""


def cell(bench: RuleHarness, key: str = "k") -> RuleCell:
    found = bench.state.get(CellId(TENANT, "rule", "r", key))
    assert isinstance(found, RuleCell)
    return found


def test_a_sliding_window_agrees_with_brute_force() -> None:
    rng, bench = (
        random.Random(3),
        RuleHarness(rules_of(windowed("{over: 10s, value: event.data.x}", "true"))),
    )
    seen: list[tuple[float, float]] = []
    at_s = 0.0
    for _ in range(300):
        at_s += rng.choice((0.0, 0.5, 3.0, 11.0))
        value = rng.uniform(-5, 5)
        seen.append((at_s, value))
        bench.event("f", {"x": value}, at_s=at_s)
        inside = [one for when, one in seen if at_s - 10 < when <= at_s]
        state = cell(bench).windows["w"]
        shown = bench.rules.rules[TENANT, "r"].windows["w"].window.read(state, round(at_s * 1000))
        assert shown["count"] == len(inside)
        assert shown["sum"] == pytest.approx(sum(inside))
        assert shown["min"] == min(inside)
        assert shown["max"] == max(inside)
        assert shown["mean"] == pytest.approx(sum(inside) / len(inside))


def test_a_window_counts_only_what_its_where_lets_in() -> None:
    bench = RuleHarness(
        rules_of(windowed("{over: 1m, where: event.data.x > 3}", "window.w.count == 2"))
    )
    seen = [verdicts(bench.event("f", {"x": x}, at_s=n)) for n, x in enumerate((1, 4, 2, 5))]
    assert seen == [["not-matched"], ["not-matched"], ["not-matched"], ["fired"]]


def test_aggregates_without_values_are_missing_not_zero() -> None:
    bench = RuleHarness(
        rules_of(windowed("{over: 1m, where: event.data.x > 3, value: event.data.x}",
                          "window.w.mean < 100.0"))
    )  # fmt: skip
    assert verdicts(bench.event("f", {"x": 1})) == ["not-matched"]
    assert verdicts(bench.event("f", {"x": 4})) == ["fired"]


def test_a_window_of_another_feed_is_read_at_the_same_key() -> None:
    text = windowed("{feed: g, key: event.data.who, over: 1m}", "window.w.count >= 1")
    bench = RuleHarness(rules_of(text))
    assert verdicts(bench.event("f", at_s=0)) == ["not-matched"]
    assert bench.event("g", {"who": "k"}, at_s=1, key="other").outcomes == ()
    assert verdicts(bench.event("f", at_s=2)) == ["fired"]
    assert verdicts(bench.event("f", at_s=2, key="nobody")) == ["not-matched"]
    assert verdicts(bench.event("f", at_s=62)) == ["not-matched"]


ENDING = """
rules:
  - rule: r
    windows: {w: {feed: f, every: 1m, value: event.data.x}}
    at_end_of: w
    late: 5s
    when: window.w.count >= 2 && window.w.mean > 1.0
    do: [{invoke: {application: a, action: b, config: {sum: window.w.sum, of: key}}}]
"""


def test_a_tumbling_window_decides_at_its_end_once() -> None:
    bench = RuleHarness(rules_of(ENDING))
    for at_s, x in ((1, 1), (59, 2), (61, 7)):
        assert bench.event("f", {"x": x}, at_s=at_s).effects == ()
    assert not fired(bench.pass_to(64.9))
    (outcome,) = fired(bench.pass_to(65))
    assert outcome.effects[0].effect.config == {"sum": 3, "of": "k"}  # type: ignore[union-attr]
    (second,) = bench.pass_to(125)
    assert verdicts(second) == ["not-matched"]  # one event only
    assert not bench.timers


def test_late_events_find_their_window_until_it_is_closed() -> None:
    bench = RuleHarness(rules_of(ENDING))
    bench.event("f", {"x": 1}, at_s=30)
    bench.event("f", {"x": 5}, at_s=62)
    bench.event("f", {"x": 9}, at_s=58, now_s=63)
    (outcome,) = fired(bench.pass_to(65))
    assert outcome.read["window.w.count"] == 2
    late = bench.event("f", {"x": 9}, at_s=59, now_s=66)
    assert verdicts(late) == ["late"]
    assert cell(bench).late == 1


def test_a_late_event_is_refused_by_a_sliding_window_and_counted() -> None:
    bench = RuleHarness(rules_of(windowed("{over: 1m}", "window.w.count > 0", "late: 10s")))
    assert verdicts(bench.event("f", at_s=100)) == ["fired"]
    assert verdicts(bench.event("f", at_s=90, now_s=100)) == ["fired"]
    assert verdicts(bench.event("f", at_s=89, now_s=100)) == ["late"]
    assert verdicts(bench.event("f", at_s=20, now_s=100, key="other")) == ["fired"]
    assert cell(bench).late == 1


def test_a_window_keeps_no_more_than_its_limit_and_counts_what_it_drops() -> None:
    bench = RuleHarness(rules_of(windowed("{over: 1h, limit: 50}", "true")))
    for n in range(120):
        bench.event("f", at_s=n)
    assert len(cell(bench).windows["w"].entries) == 50
    assert cell(bench).evicted == 70
    assert sum(count for decided in bench.decided for _, count in decided.evicted) == 70
    said = [decided.outcomes[0].detail for decided in bench.decided]
    assert said[49] == ""
    assert said[50] == "older events made room, 1 so far at this key (`limit`, `keep`)"
    assert said[119].startswith("older events made room, 70 so far")


def joined(consume: str, more: str = "", when: str = "a.data.x == b.data.x", keep: int = 16) -> str:
    return f"""
rules:
  - rule: r
    watch: {{a: {{feed: a}}, b: {{feed: b}}}}
    join: {{within: 1m, consume: {consume}, keep: {keep}}}
    when: {when}
    {more}
    do: [{{invoke: {{application: app, action: act}}}}]
"""


@pytest.mark.parametrize(
    ("consume", "expected"),
    [
        # a1 a2 b1 b2 a3, all of them equal: which pairs fire, in order
        pytest.param(
            "unrestricted",
            ["a1b1", "a2b1", "a1b2", "a2b2", "a3b1", "a3b2"], id="unrestricted-uses-nothing-up"),
        pytest.param("recent", ["a2b1", "a2b2", "a3b2"], id="recent-takes-the-newest-of-each"),
        pytest.param("chronicle", ["a1b1", "a2b2"], id="chronicle-pairs-the-oldest"),
        pytest.param("continuous", ["a1b1", "a2b1", "a3b2"], id="continuous-fires-with-each"),
    ],
)  # fmt: skip
def test_the_contexts_of_consumption(consume: str, expected: list[str]) -> None:
    bench = RuleHarness(rules_of(joined(consume)))
    names = {}
    found = []
    for n, name in enumerate(("a1", "a2", "b1", "b2", "a3")):
        decided = bench.event(name[0], {"x": 1}, at_s=n)
        names[f"e{n + 1}"] = name
        found += ["".join(sorted(names[one] for one in ids(each))) for each in fired(decided)]
    assert found == expected


def test_cumulative_fires_once_with_all_and_uses_them_up() -> None:
    text = joined("cumulative", when="size(a) >= 2 && size(b) >= 1 && a.all(e, e.data.x == 1)")
    bench = RuleHarness(rules_of(text))
    found = []
    for n, name in enumerate("abaab"):
        found.append([ids(one) for one in fired(bench.event(name, {"x": 1}, at_s=n))])
    assert found[:2] == [[], []]
    assert sorted(found[2][0]) == ["e1", "e2", "e3"]
    assert found[3:] == [[], []]


def test_a_false_condition_uses_nothing_up() -> None:
    bench = RuleHarness(rules_of(joined("chronicle")))
    bench.event("a", {"x": 1}, at_s=0)
    bench.event("a", {"x": 2}, at_s=1)
    (outcome,) = fired(bench.event("b", {"x": 2}, at_s=2))
    assert ids(outcome) == ["e3", "e2"] or sorted(ids(outcome)) == ["e2", "e3"]
    assert {one.id for one in outcome.consumed} == {"e2", "e3"}
    assert fired(bench.event("b", {"x": 1}, at_s=3))
    assert not fired(bench.event("b", {"x": 1}, at_s=4))


def test_events_too_far_apart_do_not_meet_and_what_is_missing_is_said() -> None:
    bench = RuleHarness(rules_of(joined("chronicle")))
    waiting = bench.event("a", {"x": 1}, at_s=0)
    assert waiting.outcomes[0].detail == "waits for b"
    assert not fired(bench.event("b", {"x": 1}, at_s=61))
    assert not fired(bench.event("b", {"x": 1}, at_s=1, key="other"))
    assert fired(bench.event("a", {"x": 1}, at_s=121))


def test_a_join_keeps_no_more_than_its_limit() -> None:
    bench = RuleHarness(rules_of(joined("unrestricted", keep=5)))
    for n in range(20):
        bench.event("a", {"x": n}, at_s=n)
    state = cell(bench).join
    assert state is not None
    assert len(state.buffers["a"]) == 5
    assert cell(bench).evicted == 15
    assert bench.decided[-1].evicted == (("r", 1),)
    assert "15 so far at this key" in bench.decided[-1].outcomes[0].detail


def test_what_when_asks_of_one_input_keeps_other_events_out_of_the_join() -> None:
    bench = RuleHarness(rules_of(joined("chronicle", when="a.data.x > 5 && b.data.x > 5")))
    assert bench.event("a", {"x": 1}).outcomes == ()
    assert verdicts(bench.event("a", {"x": 6})) == ["waiting"]


def test_what_a_join_keeps_does_not_depend_on_the_other_rules_there_are() -> None:
    """The index lets more or fewer events through with each rule set; what counts stays."""
    when = 'a.data.x > 5 && a.data.kind == "t" && b.data.x > 0'
    alone = rules_of(joined("recent", when=when))
    crowd = [
        f"""
  - rule: other-{n}
    watch: {{a: {{feed: a}}}}
    when: a.data.kind == "t" && a.data.n == {n}
    do: [{{invoke: {{application: a, action: b}}}}]"""
        for n in range(40)
    ]
    many = rules_of(joined("recent", when=when) + "".join(crowd))
    story = [("a", {"x": 6, "kind": "t"}), ("a", {"x": 7, "kind": "u"}),
             ("a", {"x": 1, "kind": "t"}), ("b", {"x": 1})]  # fmt: skip
    for rules in (alone, many):
        bench = RuleHarness(rules)
        decided = [bench.event(feed, data, at_s=n) for n, (feed, data) in enumerate(story)]
        assert [ids(one) for each in decided for one in fired(each)] == [["e4", "e1"]]


def test_an_event_never_meets_itself() -> None:
    text = joined("unrestricted").replace("feed: b", "feed: a")
    bench = RuleHarness(rules_of(text))
    assert not fired(bench.event("a", {"x": 1}, at_s=0))
    pairs = [sorted(ids(one)) for one in fired(bench.event("a", {"x": 1}, at_s=1))]
    assert pairs == [["e1", "e2"], ["e1", "e2"]]


@pytest.mark.parametrize("text", [pytest.param("EVERYTHING", id="windows-joins-forecasts")])
def test_asking_rules_that_the_index_leaves_out_changes_nothing(text: str) -> None:
    rules = rules_of(globals()[text])

    def run(whole: bool) -> list[object]:
        rng, state, shelf = random.Random(23), CellCache(lambda _: None), Shelf()
        effects: list[object] = []
        for n in range(600):
            data = rng.choice([{"x": rng.randint(0, 3)}, {}, {"x": "text"}])
            event = Event(TENANT, "app", f"e{n}", rng.choice("ab"), "k", n * 700, data, "", n)
            decided = rules.decide(
                event, now_ms=n * 700, state=state, plans=shelf, explaining=whole, whole=whole
            )
            effects += decided.effects
        return [effects, state.drain()]

    assert run(whole=True) == run(whole=False)


ABSENT = """
rules:
  - rule: r
    watch: {order: {feed: order}, paid: {feed: paid, absent: true}}
    join: {within: 1m, consume: chronicle}
    when: order.data.sum > 10
    do: [{invoke: {application: mail, action: remind, config: {sum: order.data.sum}}}]
"""


@pytest.mark.parametrize(
    ("events", "fires"),
    [
        pytest.param([("order", 0)], True, id="nothing-came"),
        pytest.param([("order", 0), ("paid", 30)], False, id="it-came"),
        pytest.param([("paid", 0), ("order", 5)], True, id="an-earlier-one-does-not-count"),
        pytest.param([("order", 0), ("paid", 30), ("order", 31)], True, id="for-another-order"),
    ],
)
def test_what_stays_absent_fires_when_its_time_is_over(
    events: list[tuple[str, int]], fires: bool
) -> None:
    bench = RuleHarness(rules_of(ABSENT))
    for feed, at_s in events:
        assert not fired(bench.event(feed, {"sum": 20}, at_s=at_s))
    bench.store()
    bench.restart()
    assert bool(fired(bench.pass_to(200))) is fires
    assert not bench.timers


def test_state_lives_on_through_an_update_that_leaves_its_shape() -> None:
    before = windowed("{over: 1h}", "window.w.count > 100")
    bench = RuleHarness(rules_of(before))
    for n in range(3):
        bench.event("f", at_s=n)
    bench.store()
    bench.restart(rules_of(windowed("{over: 1h}", "window.w.count > 3"), version=2))
    assert verdicts(bench.event("f", at_s=4)) == ["fired"]
    bench.restart(rules_of(windowed("{over: 2h}", "window.w.count > 3"), version=3))
    assert verdicts(bench.event("f", at_s=5)) == ["not-matched"]


EVERYTHING = """
forecasts:
  - {forecast: x, feed: a, value: event.data.x, half_life: 10s, step: 5s}
rules:
  - rule: r
    watch: {a: {feed: a}, b: {feed: b}}
    join: {within: 20s, consume: continuous, keep: 4}
    late: 3s
    when: a.data.x >= b.data.x
    do: [{invoke: {application: app, action: act, config: {x: a.data.x}}}]
  - rule: w
    watch: {a: {feed: a}}
    windows: {s: {over: 15s, value: event.data.x}, t: {every: 10s}}
    late: 2s
    when: window.s.mean > 1.0 && forecast.x.p50 >= 1.0
    debounce: {wait: 4s}
    do: [{invoke: {application: app, action: act, config: {n: window.t.count, m: forecast.x.mean}}}]
  - rule: e
    windows: {t: {feed: b, every: 10s}}
    at_end_of: t
    when: window.t.count > 1
    cooldown: 15s
    do: [{invoke: {application: app, action: act}}]
"""


@pytest.mark.parametrize("every", [1, 7, 50])
def test_a_worker_that_restarts_decides_as_one_that_does_not(every: int) -> None:
    def run(restart_every: int) -> list[object]:
        rng, bench = random.Random(11), RuleHarness(rules_of(EVERYTHING))
        at_s = 0.0
        for n in range(400):
            at_s += rng.uniform(0, 2)
            early = rng.choice((0, 0, 0, 1, 4))
            bench.event(
                rng.choice("ab"), {"x": rng.randint(0, 3)}, at_s=max(0, at_s - early),
                now_s=at_s, key=rng.choice("kl"),
            )  # fmt: skip
            if n % restart_every == 0:
                bench.store()
                bench.restart(rules_of(EVERYTHING))
        bench.pass_to(at_s + 100)
        return [effect for one in bench.decided for effect in one.effects]

    reference = run(10_000)
    assert len(reference) > 50
    assert run(every) == reference


def test_a_batch_that_failed_is_decided_again_alike() -> None:
    bench = RuleHarness(rules_of(windowed("{over: 1h}", "window.w.count == 3")))
    bench.event("f", at_s=1)
    bench.store()
    bench.event("f", at_s=2)
    bench.state.forget()  # its transaction failed
    bench.event("f", at_s=2)
    assert fired(bench.event("f", at_s=3))

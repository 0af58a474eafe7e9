"""Rules over feeds with a sharing policy: each decides by what its audience is shown, and learns
nothing of the rest, whether from an index, a window, a join, a forecast, or what was kept."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.event import Event
from data_sharing.rules.feed_subscribers import FeedSubscribers
from data_sharing.rules.index import FeedIndex, Subscription
from data_sharing.rules.predicates import Equals, Prefix, Present, Range
from data_sharing.rules.results import EvaluationResult
from data_sharing.rules.ruleset import RuleSet
from data_sharing.rules.shown_decision import Seer
from data_sharing.sharing.audience import Audience
from data_sharing.sharing.consent import Consent
from data_sharing.sharing.field_view import FieldView, Selection
from data_sharing.sharing.policies import GovernedFeed, Memory, SharingPolicies
from data_sharing.sharing.policy import FeedPolicy
from tests.support.rule_harness import TENANT, RuleHarness, rules_of, verdicts

PURPOSE = "Be on time."
SECRET = b"s" * 32


def policies(*grants: dict[str, Any], feed: str = "traffic") -> SharingPolicies:
    policy = msgspec.convert({"feed": feed, "grants": list(grants)}, FeedPolicy)
    return SharingPolicies({(TENANT, feed): GovernedFeed.of(policy, SECRET)})


def grant(*fields: str, to: list[str] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "purpose": PURPOSE, "fields": list(fields), "applications": ["lamp"] if to is None else to,
        "tenant": ["rules"], "basis": "contract",
    } | more  # fmt: skip


def rule(when: str, more: str = "", config: str = "{}", purpose: str = PURPOSE) -> str:
    stated = f"purpose: {purpose}" if purpose else ""
    return f"""
rules:
  - rule: r
    watch: {{traffic: {{feed: traffic}}}}
    when: {when!r}
    do: [{{invoke: {{application: lamp, action: blink, config: {config}}}}}]
    {stated}
{more}"""


def harness(text: str, made: SharingPolicies) -> RuleHarness:
    found = rules_of(text)
    return RuleHarness(RuleSet(found.rules.values(), found.forecasts.values(), made))


class Given:
    def __init__(self, *consents: Consent) -> None:
        self.consents = list(consents)

    def of(self, tenant: str, subject: str, /) -> list[Consent]:
        return [one for one in self.consents if one.subject == subject]


def configs(decided: EvaluationResult) -> list[Any]:
    return [one.config for one in decided.effects]  # type: ignore[union-attr]


HIDDEN = ("traffic.data.name == \"Anna\"", "traffic.data.name.startsWith(\"A\")",
          "has(traffic.data.name)", "event.data.name in [\"Anna\"]", "event.key == \"k\"",
          "key == \"k\"", "size(traffic.data.name) > 0", "event.subject != \"\"")  # fmt: skip


@pytest.mark.parametrize("when", HIDDEN)
def test_no_condition_tells_a_hidden_field(when: str) -> None:
    """Not even by whether the rule was asked: that is as for an event that never had the field."""
    here = harness(rule(when), policies(grant("/minutes")))
    there = harness(rule(when), policies(grant("/minutes")))
    has = here.event("traffic", {"minutes": 50, "name": "Anna"}, explaining=True, whole=True)
    has_not = there.event("traffic", {"minutes": 50}, explaining=True, whole=True)
    assert has == has_not
    assert "fired" not in verdicts(has)
    assert here.state.drain() == there.state.drain()


HIDDEN_IN_STEPS = ("b.data.name == \"Anna\"", "has(b.data.name)", "b.data.name == a.data.name",
                   "has(a.data.name)", "b.key == \"k\"", "b.subject != \"\"")  # fmt: skip


@pytest.mark.parametrize("when", HIDDEN_IN_STEPS)
@pytest.mark.parametrize("part", ["step", "without"])
def test_no_step_of_a_sequence_tells_a_hidden_field(when: str, part: str) -> None:
    """Of its own event, nor of one that was kept; nor whether a match was ended by it."""
    text = f"""
rules:
  - rule: r
    watch:
      a: {{feed: traffic, key: event.data.road}}
      b: {{feed: traffic, key: event.data.road}}
    sequence: {{within: 1m, steps: [{{step: a}}, {{{part}: b, when: {when!r}}}]}}
    when: "true"
    do: [{{invoke: {{application: lamp, action: blink, config: {{}}}}}}]
    purpose: {PURPOSE}
"""
    made = [harness(text, policies(grant("/minutes", "/road"))) for _ in range(2)]
    for number in range(3):
        has = made[0].event("traffic", {"road": "x", "name": "Anna"}, explaining=True, whole=True)
        has_not = made[1].event("traffic", {"road": "x"}, explaining=True, whole=True)
        assert has == has_not, number
        assert "fired" not in verdicts(has)
    assert made[0].state.drain() == made[1].state.drain()
    assert made[0].timers == made[1].timers


def test_what_is_granted_decides_as_without_a_policy() -> None:
    text = rule("traffic.data.minutes > 45.0", config="{minutes: traffic.data.minutes}")
    governed = harness(text, policies(grant("/minutes"))).event("traffic", {"minutes": 50})
    open_ = harness(text, SharingPolicies()).event("traffic", {"minutes": 50})
    assert governed.effects == open_.effects
    assert configs(governed) == [{"minutes": 50}]
    assert [one.fields for one in governed.reads] == [("/minutes",)]


def test_a_whole_event_is_what_is_shown_of_it() -> None:
    text = rule("true", config="{all: event.data}")
    decided = harness(text, policies(grant("/minutes"))).event("traffic", {"minutes": 1, "x": 2})
    assert configs(decided) == [{"all": {"minutes": 1}}]


@pytest.mark.parametrize(
    ("purpose", "to"),
    [
        pytest.param("", ["lamp"], id="no-purpose"),
        pytest.param("Advertise.", ["lamp"], id="another-purpose"),
        pytest.param(PURPOSE, ["heating"], id="not-to-whom-it-invokes"),
    ],
)
def test_who_is_granted_nothing_does_not_hear_of_events(purpose: str, to: list[str]) -> None:
    made = harness(rule("true", purpose=purpose), policies(grant("/minutes", to=to)))
    assert not made.event("traffic", {"minutes": 50}, whole=True).outcomes


def test_each_audience_decides_by_its_own_view_and_all_in_their_order() -> None:
    text = """
rules:
  - {rule: a, priority: 1, purpose: Be on time., watch: {t: {feed: traffic}}, when: has(t.data.x),
     do: [{invoke: {application: lamp, action: blink}}]}
  - {rule: b, priority: 2, purpose: Save., watch: {t: {feed: traffic}}, when: has(t.data.y),
     do: [{invoke: {application: lamp, action: blink}}]}
  - {rule: c, priority: 3, purpose: Save., watch: {t: {feed: traffic}}, when: has(t.data.x),
     do: [{invoke: {application: lamp, action: blink}}]}
"""
    made = harness(text, policies(grant("/x"), grant("/y", purpose="Save.")))
    decided = made.event("traffic", {"x": 1, "y": 2})
    fired = [one.rule for one in decided.outcomes if one.verdict == "fired"]
    assert fired == ["b", "a"]


def test_withdrawn_consent_stops_the_next_decision() -> None:
    made = harness(rule("traffic.data.minutes > 1.0"), policies(grant("/minutes", basis="consent")))
    consents = Given(
        *(
            Consent(id=who, tenant=TENANT, subject="k", consumer=who, purpose=PURPOSE)
            for who in ("", "lamp")
        )
    )

    def decided() -> list[str]:
        made.position += 1
        return verdicts(
            made.rules.decide(
                made_event(made.position), now_ms=1, state=made.state, plans=made.plans,
                consents=consents,
            )
        )  # fmt: skip

    assert decided() == ["fired"]
    consents.consents.pop()
    assert decided() == []


def made_event(position: int) -> Any:
    from data_sharing.event import Event

    return Event(TENANT, "app", f"e{position}", "traffic", "k", 1, {"minutes": 50}, "", position)


def test_what_a_producer_calls_its_flow_is_not_told() -> None:
    made = harness(rule("true"), policies(grant("/minutes")))
    named = msgspec.structs.replace(made_event(1), correlation="flow-of-anna")
    decided = made.rules.decide(named, now_ms=1, state=made.state, plans=made.plans)
    assert verdicts(decided) == ["fired"]
    assert "flow-of-anna" not in str(decided)


WINDOW = """
    windows: {w: {over: 1h, value: event.data.minutes}}
"""


def test_a_window_holds_what_is_shown_alone() -> None:
    text = rule("window.w.count > 0", WINDOW, "{sum: window.w.sum}")
    hidden = harness(text, policies(grant("/name")))
    shown = harness(text, policies(grant("/minutes")))
    assert configs(hidden.event("traffic", {"minutes": 50, "name": "x"})) == []
    assert configs(shown.event("traffic", {"minutes": 50, "name": "x"})) == [{"sum": 50}]


def test_what_was_kept_is_not_read_by_a_narrower_audience_or_policy() -> None:
    text = rule("window.w.count > 1", WINDOW, "{count: window.w.count}")
    made = harness(text, policies(grant("/minutes", "key")))
    made.event("traffic", {"minutes": 1})
    made.store()
    # The same rule under a policy that shows as much still starts anew: it may have shown more.
    made.restart(made.rules.with_policies(policies(grant("/minutes", "key", "/name"))))
    assert configs(made.event("traffic", {"minutes": 1})) == []
    assert configs(made.event("traffic", {"minutes": 1})) == [{"count": 2}]
    made.store()
    other = rules_of(text.replace("blink", "unlock").replace("lamp", "heating"))
    wider = policies(grant("/minutes", "key", to=["lamp", "heating"]))
    made.restart(RuleSet(other.rules.values(), (), wider))
    assert configs(made.event("traffic", {"minutes": 1})) == []


def test_a_join_keeps_what_is_shown_alone() -> None:
    text = """
rules:
  - rule: r
    purpose: Be on time.
    watch: {traffic: {feed: traffic}, weather: {feed: weather}}
    join: {within: 1h, consume: recent}
    when: weather.data.frost
    do: [{invoke: {application: lamp, action: blink, config: {all: traffic.data}}}]
"""
    made = harness(text, policies(grant("/minutes", "key")))
    made.event("traffic", {"minutes": 1, "name": "Anna"})
    made.store()
    assert not any(b"Anna" in one.content for one in made.stored.values())
    decided = made.event("weather", {"frost": True})
    assert configs(decided) == [{"all": {"minutes": 1}}]


FORECAST = """
forecasts:
  - {{forecast: f, feed: traffic, value: event.data.minutes{more}}}
"""


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param(", purpose: Be on time., readers: [lamp]", [{"n": 1}], id="for-all-it-tells"),
        pytest.param(", purpose: Be on time.", [], id="not-for-whom-the-rule-invokes"),
        pytest.param(", purpose: Save., readers: [lamp]", [], id="for-another-purpose"),
        pytest.param("", [], id="without-a-purpose"),
    ],
)
def test_a_forecast_tells_those_alone_for_whom_it_is_made(more: str, expected: Any) -> None:
    text = rule("has(forecast.f.count)", FORECAST.format(more=more), "{n: forecast.f.count}")
    saving = grant("/minutes", "key", purpose="Save.")
    made = harness(text, policies(grant("/minutes", "key"), saving))
    assert configs(made.event("traffic", {"minutes": 50})) == expected


def test_what_a_forecast_was_made_of_under_another_policy_is_not_told() -> None:
    more = ", purpose: Be on time., readers: [lamp]"
    text = rule("has(forecast.f.count)", FORECAST.format(more=more), "{n: forecast.f.count}")
    made = harness(text, policies(grant("/minutes", "key", "/name")))
    made.event("traffic", {"minutes": 50})
    assert configs(made.event("traffic", {"minutes": 50})) == [{"n": 2}]
    made.store()
    made.restart(made.rules.with_policies(policies(grant("/minutes", "key"))))
    assert configs(made.event("traffic", {"minutes": 50})) == [{"n": 1}]


def test_a_memory_that_begins_anew_has_nothing_of_before() -> None:
    more = ", purpose: Be on time., readers: [lamp]"
    text = rule(
        "window.w.count > 0 && has(forecast.f.count)", WINDOW + FORECAST.format(more=more),
        "{w: window.w.count, f: forecast.f.count}",
    )  # fmt: skip
    made = harness(text, policies(grant("/minutes", "key")))
    made.event("traffic", {"minutes": 50})
    for number, (kind, name, expected) in enumerate(
        [("rule", "r", {"w": 1, "f": 2}), ("forecast", "f", {"w": 2, "f": 1})], start=1
    ):
        made.store()
        resets = {Memory(TENANT, kind, name): number}
        made.restart(made.rules.with_policies(made.rules.policies.with_resets(resets)))
        assert configs(made.event("traffic", {"minutes": 50})) == [expected]


def test_a_rule_that_changes_plans_tells_them() -> None:
    text = """
rules:
  - {rule: r, purpose: Be on time., watch: {t: {feed: traffic}}, plan: {of: key}, when: "true",
     do: [{change: {cancel: t.data.minutes > 1.0}}]}
"""
    without = harness(text, policies(grant("/minutes", "key", to=[])))
    with_plans = policies(grant("/minutes", "key", to=[], tenant=["rules", "plans"]))
    assert not without.event("traffic", {"minutes": 5}).outcomes
    assert verdicts(harness(text, with_plans).event("traffic", {"minutes": 5})) == ["no-plan"]


def test_policies_come_and_go_without_a_trace() -> None:
    text = rule("traffic.data.minutes > 45.0")
    made = harness(text, SharingPolicies())
    closed = made.rules.with_policies(policies(grant("/name")))
    made.restart(closed)
    assert verdicts(made.event("traffic", {"minutes": 50})) == []
    made.restart(closed.with_policies(SharingPolicies()))
    assert verdicts(made.event("traffic", {"minutes": 50})) == ["fired"]
    assert not made.rules._audiences
    assert not made.rules._seals


def test_an_error_quotes_nothing_that_is_hidden() -> None:
    text = rule("true", config="{n: int(string(event.data))}")
    decided = harness(text, policies(grant("/minutes"))).event(
        "traffic", {"minutes": 1, "name": "Anna"}
    )
    assert verdicts(decided) == ["error"]
    assert "Anna" not in decided.outcomes[0].detail


NAMED = ("/a", "/b", "/b/c", "/b/d", "", "key", "subject")
fields_of_events = st.sampled_from(NAMED)
masks = st.sampled_from(["hash", "drop", {"prefix": 1}])
values = st.sampled_from([None, 0, 1, "x", "xy", True, ["x"], {}, {"c": "x"}, {"c": 1, "d": "y"}])
asked_of = st.builds(
    lambda make, path: make(path),
    st.sampled_from([
        lambda path: Equals(path, ("x", 1)), lambda path: Range(path, 0, 1),
        lambda path: Prefix(path, "x"), Present,
    ]),
    st.sampled_from([("data", "a"), ("data", "b"), ("data", "b", "c"), ("data", "b", "d"),
                     ("key",), ("subject",), ("id",), ("source",)]),
)  # fmt: skip


@given(
    fields=st.lists(fields_of_events, max_size=4, unique=True),
    masked=st.dictionaries(fields_of_events.filter(bool), masks, max_size=3),
    asked=st.lists(st.lists(asked_of, min_size=1, max_size=3), min_size=1, max_size=5),
    data=st.dictionaries(st.sampled_from(["a", "b", "other"]), values),
    names=st.tuples(*3 * [st.sampled_from(["x", "xyz", ""])]),
)
def test_an_index_is_asked_of_the_event_itself_only_where_it_finds_the_same(
    fields: list[str], masked: dict[str, Any], asked: list[Any], data: dict[str, Any], names: Any
) -> None:
    made = msgspec.convert(
        {"feed": "traffic", "grants": [grant(*fields, masks=masked)]}, FeedPolicy
    )
    view = FieldView(made, Audience(frozenset(("lamp",)), PURPOSE), SECRET)
    selection = view.selection(())
    if selection is None:
        return
    index = FeedIndex(
        Subscription(number, tuple((one,) for one in conjuncts))
        for number, conjuncts in enumerate(asked)
    )
    seer = Seer(FeedSubscribers(index, {}, ()), view)  # type: ignore[arg-type]
    event = Event(TENANT, names[0], names[1], "traffic", names[2], 1, data, names[2])
    shown = sorted(index.touched(selection.event_of(event)))
    if seer.finds_by_itself(event, selection):
        assert sorted(index.touched(event)) == shown
    everything = {path[:2] for path in index.paths} <= {("id",), ("source",)}
    assert seer.finds_by_itself(event, selection) or not everything


def test_what_concerns_nobody_is_not_shown_to_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is anything but what the index looks at in the way of that."""
    here = harness(rule("traffic.data.minutes > 40"), policies(grant("/minutes", "key")))
    made = []
    whole = Selection.event_of
    monkeypatch.setattr(
        Selection, "event_of", lambda self, event: made.append(event) or whole(self, event)
    )
    assert not here.event("traffic", {"minutes": 5, "name": "Anna"}).outcomes
    assert not made
    assert verdicts(here.event("traffic", {"minutes": 50, "name": "Anna"})) == ["fired"]
    assert len(made) == 1

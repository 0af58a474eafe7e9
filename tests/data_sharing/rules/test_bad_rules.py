"""Rules that cannot be: each is refused with its place and what to do, all faults at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from control_plane.errors import InvalidInput
from data_sharing.rules.compiler import check_document, compile_forecast, compile_rule, parse
from data_sharing.rules.feed_schema import FeedSchema
from tests.support.rule_harness import AnyFeed, faults_of, rules_of

SCHEMA: dict[str, Any] = {
    "type": "object",
    "$defs": {"place": {"type": "object", "properties": {"road": {"type": "string"}}}},
    "properties": {
        "minutes": {"type": "number"},
        "note": {"type": "string"},
        "kind": {"enum": ["a", "b"]},
        "where": {"$ref": "#/$defs/place"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "more": {"type": "object", "additionalProperties": {"type": "integer"}},
        "either": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
    },
    "additionalProperties": False,
}
ONE = """
rules:
  - rule: r
    watch: {t: {feed: traffic}}
    when: WHEN
    do: [{invoke: {application: a, action: b}}]
"""


def said(when: str) -> str:
    text = ONE.replace("WHEN", "|-\n      " + when.replace("\n", "\n      "))
    return " / ".join(faults_of(text, {"traffic": SCHEMA}))


@pytest.mark.parametrize(
    ("when", "words"),
    [
        pytest.param("t.data.minutes >", "line 1, column 17", id="what-does-not-parse"),
        pytest.param("t.data.minutes > 1 &&\nfoo", "line 2, column 1", id="an-unknown-name"),
        pytest.param("'a' + 1 == 2", "no matching overload", id="a-text-and-a-number"),
        pytest.param("t.data.minutes", "is number", id="when-is-a-number-by-the-schema"),
        pytest.param("'yes'", "must give bool", id="when-is-a-text"),
        pytest.param("t.data.minuets > 3", 'did you mean "minutes"', id="a-misspelt-field"),
        pytest.param("t.daat.minutes > 3", '"daat"', id="a-misspelt-attribute"),
        pytest.param("t.data.where.raod == 'x'", '"data.where.raod"', id="behind-a-reference"),
        pytest.param("has(t.data.minuets)", "minuets", id="also-inside-has"),
        pytest.param("event.data.minuets > 3", "minuets", id="also-as-event"),
        pytest.param("t.data.tags.all(x, t.data.tgas == x)", "tgas", id="also-inside-a-loop"),
        pytest.param("t.data.minutes == 'x'", "is number, and is compared with string",
                     id="a-comparison-that-never-holds"),
        pytest.param("t.data.note > 3", "string", id="a-text-that-is-ordered-with-a-number"),
        pytest.param("t.data.kind == 3", "string", id="an-enum-of-texts"),
        pytest.param("t.data.minutes.startsWith('x')", "needs a text", id="a-number-with-a-prefix"),
        pytest.param("t.data.note * 2 > 3", "no number", id="a-text-times-two"),
        pytest.param("window.w.count > 3", 'no window "w"', id="a-window-that-is-not-there"),
        pytest.param("forecast.x.mean > 3.0", 'no forecast "x"', id="a-forecast-that-is-not-there"),
        pytest.param("forecast == {}", "alone", id="forecasts-as-a-whole"),
        pytest.param("plan.id == 'x'", "add `plan:`", id="a-plan-without-saying-whose"),
        pytest.param("t.data.note.matches('(')", "missing )", id="a-pattern-that-is-none"),
        pytest.param("t.data.note.matches(t.data.note)", "constant", id="a-pattern-from-an-event"),
        pytest.param("t.data.note.matches('" + "a" * 300 + "')", "256", id="a-long-pattern"),
        pytest.param("t.data.note.matches('((a{100}){100}){100}')", "repetition",
                     id="a-pattern-that-explodes"),
        pytest.param("t.data.minutes > " + "1" * 5_000, "4096", id="a-text-too-long"),
        pytest.param("&&".join(["1<2"] * 600), "parts", id="too-many-parts"),
        pytest.param("(" * 60 + "true" + ")" * 60, "nested", id="nested-too-deeply"),
        pytest.param("t.data.tags.all(a, t.data.tags.all(b, t.data.tags.all(c, a == c)))",
                     "two levels", id="loops-in-loops-in-loops"),
        pytest.param("", "empty", id="nothing"),
    ],
)  # fmt: skip
def test_a_condition_that_cannot_be(when: str, words: str) -> None:
    assert words in said(when)
    assert "rules.r.when" in said(when)


@pytest.mark.parametrize(
    "when",
    [
        "t.data.minutes > 30 && t.data.minutes < 30.5",
        "t.data.either == 3 || t.data.either == 'x'",
        "t.data.more.anything > 3",
        "t.data.kind in ['a', 'b'] && t.data.note.matches('^A[0-9]+')",
        "size(t.data.tags) > 1 && t.data.tags.exists(x, x == t.key)",
        "t.data.where.road.startsWith('A') && t.time < now - duration('5m')",
        "t.data.tags.all(a, t.data.tags.all(b, a == b))",
        "(t.data.minutes > 3 ? 'a' : 'b') == key",
    ],
)
def test_a_condition_that_can_be(when: str) -> None:
    assert said(when) == ""


def test_a_loop_over_more_than_its_budget_is_the_rules_failure() -> None:
    from tests.support.rule_harness import RuleHarness, verdicts

    rules = rules_of(ONE.replace("WHEN", "t.data.l.all(a, t.data.l.all(b, a + b >= 0))"))
    decided = RuleHarness(rules).event("traffic", {"l": list(range(1_000))})
    assert verdicts(decided) == ["error"]
    assert "budget" in decided.outcomes[0].detail


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param("rule: R_1", "an id is", id="a-bad-id"),
        pytest.param("priority: 1000", "0 to 999", id="a-users-priority"),
        pytest.param("park_after: 0", "park_after", id="never-parked"),
        pytest.param("park_wider_after: 1", "2 to 50", id="parked-by-one-producer"),
        pytest.param("park_wider_after: 51", "2 to 50", id="parked-by-very-many-producers"),
        pytest.param("retry_after: 10ms", "out of bounds", id="retried-without-a-pause"),
        pytest.param("retry_after: soon", "no duration", id="retried-after-a-word"),
        pytest.param("retry_at_most: 30s", "shorter", id="a-retry-at-odds"),
        pytest.param("retry_at_most: 500d", "out of bounds", id="retried-after-years"),
        pytest.param("windows: {w: {}}", "unbounded", id="a-window-without-bounds"),
        pytest.param("windows: {w: {over: 1h, every: 1h}}", "unbounded", id="a-window-with-two"),
        pytest.param("windows: {w: {over: 500d}}", "out of bounds", id="a-window-of-years"),
        pytest.param("windows: {w: {over: 1h, limit: 1000000}}", "10,000", id="a-huge-window"),
        pytest.param("windows: {w: {over: tomorrow}}", "no duration", id="a-window-of-words"),
        pytest.param("windows: {w: {over: 1h, value: event.data.note}}", "must give|number|note",
                     id="a-window-over-texts"),
        pytest.param("watch: {}", "watches no feed", id="nothing-watched"),
        pytest.param("watch: {plan: {feed: traffic}}", "means something else", id="a-taken-name"),
        pytest.param("watch: {t: {feed: traffic}, u: {feed: traffic}}", "join", id="no-join"),
        pytest.param("join: {within: 1m, consume: recent}", "two inputs", id="a-join-of-one"),
        pytest.param("late: 5m", "max_age", id="late-without-state"),
        pytest.param("do: []", "effects", id="no-effect"),
        pytest.param("do: [{}]", "either", id="an-empty-effect"),
        pytest.param("do: [{change: {shift: duration('1m')}}]", "add `plan:`", id="of-no-plan"),
        pytest.param("do: [{invoke: {application: a, action: b, config: {x: t.data.nix}}}]",
                     "do[0].invoke.config.x", id="an-effect-that-reads-nothing"),
        pytest.param("debounce: {wait: 5m, at_most: 1m}", "shorter", id="a-debounce-at-odds"),
        pytest.param("at_end_of: w", "no window", id="the-end-of-no-window"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be(change: str, words: str) -> None:
    field = change.partition(":")[0]
    lines = [
        line for line in ONE.replace("WHEN", "true").splitlines()
        if not line.strip(" -").startswith(f"{field}:")
    ]  # fmt: skip
    if field == "rule":
        text = ONE.replace("WHEN", "true").replace("rule: r", change)
    else:
        text = "\n".join([*lines, f"    {change}"])
    found = " / ".join(faults_of(text, {"traffic": SCHEMA}))
    assert any(word in found for word in words.split("|")), found


def test_all_faults_are_said_at_once() -> None:
    text = ONE.replace("WHEN", "foo").replace("rule: r", "rule: r\n    priority: -1")
    text = text.replace("action: b", "action: b, config: {x: bar}")
    assert len(faults_of(text)) == 3


def test_ids_are_given_once() -> None:
    text = ONE.replace("WHEN", "true")
    twice = text + text.replace("rules:\n", "")
    assert "2 times" in " ".join(faults_of(twice))


def test_a_feed_that_may_not_be_read_is_as_if_it_were_not_there() -> None:
    (spec,) = parse(ONE.replace("WHEN", "true")).rules
    schemas: dict[str, FeedSchema] = {"weather": FeedSchema("weather", None)}
    with pytest.raises(InvalidInput, match='no feed "traffic" that may be read'):
        compile_rule(spec, tenant="t", version=1, schemas=schemas, forecasts={})


def test_a_forecast_over_a_feed_that_may_not_be_read_may_not_be_read_either() -> None:
    text = (
        ONE.replace("WHEN", "forecast.secret.mean > 3.0")
        + """
forecasts:
  - {forecast: secret, feed: salaries, value: event.data.x}
"""
    )
    document, everything = parse(text), AnyFeed()
    secret = compile_forecast(document.forecasts[0], tenant="t", schemas=everything)
    (spec,) = document.rules
    schemas: dict[str, FeedSchema] = {"traffic": FeedSchema("traffic", None)}
    with pytest.raises(InvalidInput, match="salaries"):
        compile_rule(spec, tenant="t", version=1, schemas=schemas, forecasts={"secret": secret})
    compile_rule(spec, tenant="t", version=1, schemas=everything, forecasts={"secret": secret})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("rules: [{rule: r, whne: x}]", "whne", id="an-unknown-key"),
        pytest.param("rules: [{rule: 3, when: x, do: []}]", "rules\\[0\\].rule", id="a-wrong-type"),
        pytest.param("rules: [", "not YAML", id="no-yaml"),
        pytest.param('{"rules": [}', "not JSON", id="no-json"),
        pytest.param("rules: []\nrules: []", "twice", id="a-key-twice"),
        pytest.param('{"rules": [], "rules": []}', "twice", id="a-key-twice-in-json"),
        pytest.param("a: &a [x]\nrules: *a", "anchors", id="aliases"),
        pytest.param("[1, 2]", "object", id="a-list"),
        pytest.param("x" * 1_100_000, "larger", id="a-megabyte"),
        pytest.param("[" * 10_000, "nested deeper", id="brackets-without-end"),
        pytest.param("rules: !!python/object:os.system {}", "not YAML|Expected", id="a-python-tag"),
    ],
)
def test_documents_that_are_none(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse(text)


SMALL = {
    "rule": "r", "watch": {"e": {"feed": "a"}}, "when": True,
    "do": [{"invoke": {"application": "a", "action": "b"}}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "words"),
    [
        pytest.param({"rules": [{**SMALL, "rule": f"r{n}"} for n in range(1_001)]},
                     "rules: 1,001 in one document", id="many-rules"),
        pytest.param({"forecasts": [{"forecast": f"f{n}", "feed": "a", "value": "1.0"}
                                    for n in range(1_001)]},
                     "forecasts: 1,001 in one document", id="many-forecasts"),
        pytest.param({"rules": [{**SMALL, "description": "x" * 17_000}]}, "bytes as JSON",
                     id="a-large-rule"),
        pytest.param({"rules": [{**SMALL, "do": [{"invoke": {"application": "a", "action": "b",
                      "config": {f"k{n}": n for n in range(65)}}}]}]}, "65 settings",
                     id="many-settings"),
        pytest.param({"rules": [{**SMALL, "do": [{"change": {"config": {
                      f"a{n}": {"x": n} for n in range(65)}}}]}]}, "65 settings",
                     id="many-settings-of-a-change"),
    ],
)  # fmt: skip
def test_what_is_too_much_is_told_before_it_is_compiled(document: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        check_document(parse(json.dumps(document)))


def test_on_and_no_are_words_and_dates_are_texts() -> None:
    from data_sharing.documents import value_of

    assert value_of("on: no\nat: 2026-03-02\nx: 010\ny: 1e3\nz: ~", "x") == {
        "on": "no", "at": "2026-03-02", "x": 10, "y": 1_000.0, "z": None,
    }  # fmt: skip

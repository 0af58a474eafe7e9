"""Numbers however they are written, in every type of a schema, through all that a rule reads: its
condition, `where`, windows, forecasts, joins, debounced events, and what it gives out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from data_sharing.rules.effects import PlanView
from tests.support.rule_harness import RuleHarness, Shelf, fired, ids, rules_of, verdicts

WAYS = ["21", "21.0", "2.1e1", "210e-1"]
KINDS: list[Any] = [{"type": "number"}, {"type": "integer"}, {}, {"type": ["integer", "null"]},
                    {"enum": [21, 1, 2]}, {"type": ["number", "string"]}]  # fmt: skip
HUGE = "993143214321423154315154321"


def data(text: str) -> dict[str, Any]:
    """As the intake decodes it."""
    found: dict[str, Any] = msgspec.json.decode(text)
    return found


def rule(body: str, *, of_n: Any = None, forecasts: str = "") -> RuleHarness:
    schema: dict[str, Any] = {"additionalProperties": True}
    if of_n is not None:
        schema["properties"] = {"n": of_n}
    text = f"{forecasts}\nrules:\n  - rule: r\n" + "\n".join(
        f"    {line}" for line in body.strip().splitlines()
    )
    return RuleHarness(rules_of(text, schemas={"f": schema, "g": schema}))


INVOKE = "do: [{invoke: {application: a, action: b, config: {v: CONFIG}}}]"


def config(harness: RuleHarness) -> Any:
    (outcome,) = fired(harness.decided[-1])
    return outcome.effects[0].effect.config["v"]  # type: ignore[union-attr]


@pytest.mark.parametrize("of_n", KINDS, ids=str)
@pytest.mark.parametrize("written", WAYS)
@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("x.data.n > 20", True), ("x.data.n > 20.5", True), ("x.data.n <= 21", True),
        ("x.data.n == 21", True), ("x.data.n == 21.0", True), ("x.data.n != 21", False),
        ("x.data.n in [1, 21]", True), ("x.data.n in [21.0]", True), ("!(x.data.n < 21.5)", False),
        ("has(x.data.n) && 22 > x.data.n", True), ("double(x.data.n) - 0.5 > 20.0", True),
        ("int(x.data.n) % 2 == 1", True), ("double(x.data.n) / 2.0 > 10.4", True),
        ("[x.data.n].exists(v, v > 20)", True), ("x.data.exists(k, x.data[k] == 21)", True),
    ],
)  # fmt: skip
def test_a_condition_does_not_mind_how_a_number_is_written(
    of_n: Any, written: str, when: str, holds: bool
) -> None:
    expected = ["fired" if holds else "not-matched"]
    for place in (
        f"when: '{when}'",
        f"when: true\nwhere: '{when.replace('x.data', 'event.data')}'",
    ):
        condition, _, where = place.partition("\nwhere: ")
        watch = f"watch: {{x: {{feed: f{', where: ' + where if where else ''}}}}}"
        harness = rule(f"{watch}\n{condition}\n{INVOKE.replace('CONFIG', 'x.data.n')}", of_n=of_n)
        decided = harness.event("f", data(f'{{"n": {written}}}'), explaining=True)
        found = verdicts(decided)
        assert (found or ["not-matched"]) == expected
        if holds:
            assert msgspec.json.encode(config(harness)) == b"21"


def test_the_readings_of_a_schema_of_numbers() -> None:
    harness = rule("watch: {x: {feed: f}}\nwhen: x.data.n - 0.5 > 20.0\n" + INVOKE.replace(
        "CONFIG", "x.data.n / 2.0"), of_n={"type": "number"})  # fmt: skip
    for written, sent in (("21.2", b"10.6"), ("21", b"10.5"), ("22", b"11"), (HUGE, None)):
        assert verdicts(harness.event("f", data(f'{{"n": {written}}}'))) == ["fired"]
        if sent:
            assert msgspec.json.encode(config(harness)) == sent


@pytest.mark.parametrize("written", [HUGE, "9" * 400, "-" + HUGE])
def test_a_number_beyond_64_bits_breaks_no_rule(written: str) -> None:
    body = "watch: {x: {feed: f}}\nwhen: x.data.s.contains('a') WHEN\n" + INVOKE.replace(
        "CONFIG", "x.data.s"
    )
    text = f'{{"s": "a", "n": {written}}}'
    for when in ("", "&& x.data.n != 3", "&& (x.data.n > 1e20 || x.data.n < -1e20)"):
        for of_n in ({"type": "number"}, {"type": "integer"}, None):
            harness = rule(body.replace("WHEN", when), of_n=of_n)
            assert verdicts(harness.event("f", data(text), explaining=True)) == ["fired"]


@pytest.mark.parametrize("of_n", [{"type": ["number", "null"]}, {"type": ["integer", "null"]}, {}])
def test_a_null_is_as_if_the_field_were_not_there(of_n: Any) -> None:
    harness = rule("watch: {x: {feed: f}}\nwhen: x.data.n > 1\n" + INVOKE.replace("CONFIG", "1"),
                   of_n=of_n)  # fmt: skip
    seen = [harness.event("f", data(text)) for text in ('{"n": null}', "{}", '{"n": 2}')]
    assert [verdicts(one) for one in seen][-1] == ["fired"]
    assert all(set(verdicts(one)) <= {"not-matched"} for one in seen[:2])


@pytest.mark.parametrize("of_n", KINDS[:3], ids=str)
@pytest.mark.parametrize("over", ["over: 1h", "every: 1h"])
def test_a_window_over_whole_readings_is_that_over_decimals(of_n: Any, over: str) -> None:
    answers = []
    for ways in ("1|2|21", "1.0|2.0|21.0", "1|2.0|21e0"):
        harness = rule(
            f"watch: {{x: {{feed: f}}}}\nwindows: {{w: {{{over}, value: event.data.n}}}}\n"
            "when: window.w.sum / double(window.w.count) > 0.5 && window.w.max - 1.0 >= 0.0 "
            "&& window.w.min + window.w.mean > 1.5 && window.w.count % 2 == 1\n"
            + INVOKE.replace("CONFIG", '"[window.w.sum, window.w.mean, window.w.count / 2]"'),
            of_n=of_n,
        )  # fmt: skip
        for at, written in enumerate(ways.split("|")):
            harness.event("f", data(f'{{"n": {written}}}'), at_s=at)
            harness.store()
            harness.restart()
        answers.append(msgspec.json.encode(config(harness)))
    assert answers == [b"[24,8,1]"] * 3


def test_a_window_whose_sum_no_double_holds_has_none() -> None:
    harness = rule(
        "watch: {x: {feed: f}}\nwindows: {w: {over: 1h, value: event.data.n}}\n"
        "when: window.w.sum > 0.0 || window.w.count == 2\n"
        + INVOKE.replace("CONFIG", '"has(window.w.sum) || has(window.w.mean)"')
    )
    harness.event("f", data('{"n": 1.7e308}'))
    harness.event("f", data('{"n": 1.7e308}'), explaining=True)
    assert config(harness) is False
    assert b"Infinity" not in msgspec.json.encode(harness.decided[-1].outcomes[0].read)


@pytest.mark.parametrize("of_n", [{"type": "number"}, {"type": "integer"}, None], ids=str)
def test_a_forecast_over_whole_readings_is_that_over_decimals(of_n: Any) -> None:
    answers = []
    for ways in ("1|2|21", "1.0|2.0|21.0"):
        harness = rule(
            "watch: {x: {feed: f}}\nwhen: forecast.z.surprise - 0.5 > 1.0 && "
            "forecast.z.last / 2.0 > 10.0 && forecast.z.count % 2 == 1\n"
            + INVOKE.replace("CONFIG", "forecast.z.mean"),
            of_n=of_n,
            forecasts="forecasts: [{forecast: z, feed: f, value: event.data.n}]",
        )
        for at, written in enumerate(ways.split("|")):
            harness.event("f", data(f'{{"n": {written}}}'), at_s=at)
            harness.store()
            harness.restart()
        answers.append(config(harness))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("consume", ["recent", "chronicle", "cumulative"])
def test_events_that_a_join_keeps_are_read_like_those_that_arrive(consume: str) -> None:
    one = "x.data.n - 1.0 > 19.0 && y.data.n - 1.0 > 19.0"
    every = "x.exists(e, e.data.n - 1.0 > 19.0) && y.exists(e, e.data.n - 1.0 > 19.0)"
    body = (
        "watch: {x: {feed: f}, y: {feed: g}}\n"
        f"join: {{within: 1h, consume: {consume}}}\n"
        f"when: {every if consume == 'cumulative' else one}\n"
    ) + INVOKE.replace("CONFIG", "1")
    for first in ("21", "21.0", HUGE, "9" * 400):
        harness = rule(body, of_n={"type": "number"})
        harness.event("f", data(f'{{"n": {first}, "unread": {HUGE}}}'), at_s=1)
        harness.store()  # as msgpack, which has no more than 64 bits
        harness.restart()
        decided = harness.event("g", data('{"n": 21}'), at_s=2)
        assert ids(fired(decided)[0]) == ["e2", "e1"]


def test_a_debounced_match_is_read_as_it_was() -> None:
    harness = rule("watch: {x: {feed: f}}\nwhen: x.data.n > 1\ndebounce: {wait: 5m}\n"
                   + INVOKE.replace("CONFIG", "x.data.n - 1.0"))  # fmt: skip
    harness.event("f", data('{"n": 3}'))
    harness.store()
    harness.restart()
    harness.pass_to(400)
    assert config(harness) == 2


@pytest.mark.parametrize("written", ["10", "10.0"])
def test_settings_of_a_plan_are_doubles_and_go_out_whole(written: str) -> None:
    from data_sharing.rules.event_view import seen_without_schema

    settings = seen_without_schema(data(f'{{"minutes": {written}}}'))
    plan = PlanView(
        "p", 1, "p", "k", 1_000, {"actions": {"heat": {"config": settings}}},
        frozenset(("heat",)), {"actions.heat.config.minutes": 10}, {}, {}, {},
    )  # fmt: skip
    text = """
rules:
  - rule: r
    watch: {x: {feed: f}}
    plan: {}
    when: plan.actions.heat.config.minutes / 4.0 == 2.5
    do: [{change: {config: {heat: {minutes: PLUS}}}}]
"""
    for plus, became in (("plan.actions.heat.config.minutes + x.data.n", "taken"),
                         ("plan.actions.heat.config.minutes", "unchanged")):  # fmt: skip
        harness = RuleHarness(rules_of(text.replace("PLUS", plus)), Shelf({"k": [plan]}))
        (outcome,) = fired(harness.event("f", {"n": 2}))
        (effect,) = outcome.effects
        assert effect.status.value == became
    harness = RuleHarness(rules_of(text.replace("PLUS", "12.0")), Shelf({"k": [plan]}))
    (outcome,) = fired(harness.event("f", {"n": 2}))
    assert msgspec.json.encode(outcome.effects[0].effect.fields) == (  # type: ignore[union-attr]
        b'[["actions.heat.config.minutes",12]]'
    )


def test_what_is_shown_is_what_json_says() -> None:
    harness = rule("watch: {x: {feed: f}}\nwhen: x.data.n > 1 || x.data.m > 1\n"
                   + INVOKE.replace("CONFIG", "1"))  # fmt: skip
    decided = harness.event("f", data('{"n": 2.0, "m": 0.5}'), explaining=True)
    clauses = decided.outcomes[0].clauses
    assert clauses is not None
    assert msgspec.json.encode([one.read for one in clauses.parts]) == (
        b'[{"x.data.n":2},{"x.data.m":0.5}]'
    )


@pytest.mark.parametrize("value", ["1.0 / 0.0", "-1.0 / 0.0", "0.0 / 0.0", "x.data.n * 1e308"])
def test_what_is_no_number_of_json_does_not_go_out(value: str) -> None:
    harness = rule(f"watch: {{x: {{feed: f}}}}\nwhen: true\n{INVOKE.replace('CONFIG', value)}")
    decided = harness.event("f", {"n": 1e10})
    assert verdicts(decided) == ["error"]
    assert "no number that can be sent" in decided.outcomes[0].detail


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("{true: 1, false: 2}", b'{"true":1,"false":2}'),
        ("{1: 'a', 2: 'b'}", b'{"1":"a","2":"b"}'),
        ("{'a': {true: [{-1: null}]}}", b'{"a":{"true":[{"-1":null}]}}'),
        ("{2u: 1}", b'{"2":1}'),
        ("{1: 'a', '1': 'b'}", None),
        ("{true: 'a', 'true': 'b'}", None),
    ],
)
def test_keys_of_a_map_go_out_as_their_texts_and_none_is_lost(
    written: str, sent: bytes | None
) -> None:
    do = INVOKE.replace("CONFIG", f'"{written}"')
    harness = rule(f"watch: {{x: {{feed: f}}}}\nwhen: true\n{do}")
    decided = harness.event("f", {})
    if sent is None:
        assert verdicts(decided) == ["error"]
        assert "for two keys of the map" in decided.outcomes[0].detail
    else:
        found = msgspec.json.decode(msgspec.json.encode(config(harness)))
        assert found == msgspec.json.decode(sent)

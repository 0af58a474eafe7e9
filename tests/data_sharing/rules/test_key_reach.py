"""Which rules reach over keys: they are refused where keys are spread, each clause by its name."""

from __future__ import annotations

import pytest

from data_sharing.rules.compiler import parse
from data_sharing.rules.document_faults import InvalidDocument
from data_sharing.rules.key_reach import check

RULE = """
  - rule: r
    watch: {a: {feed: f.a%s}%s}
    when: "true"
    do: [{invoke: {application: x, action: y}}]
"""


def rules(watch: str = "", other: str = "", more: str = "") -> str:
    return "rules:" + RULE % (watch, other) + more


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(rules(), id="a-rule-at-its-feeds-key"),
        pytest.param(rules(", key: event.key"), id="the-key-said"),
        pytest.param(
            rules("", ", b: {feed: f.b}", "    join: {within: 1h, consume: recent}\n"),
            id="a-join-by-key",
        ),
        pytest.param(rules(more="    plan: {named: work}\n"), id="plans-of-the-key"),
        pytest.param(rules(more="    limits: [{at_most: 1, per: 1h}]\n"), id="a-limit-of-a-key"),
        pytest.param(
            rules(more="    windows: {w: {feed: f.b, over: 1h, key: event.key}}\n"),
            id="a-window-over-another-feed-by-key",
        ),
        pytest.param(
            "forecasts:\n  - {forecast: x, feed: f.a, value: event.data.v, half_life: 1h}",
            id="a-forecast-of-a-key",
        ),
    ],
)
def test_what_stays_within_a_key_is_taken(text: str) -> None:
    check(parse(text))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        pytest.param(rules(", key: event.source"), "rules.r.watch.a.key", id="another-key"),
        pytest.param(
            rules(more="    windows: {w: {over: 1h, key: event.source}}\n"),
            "rules.r.windows.w.key", id="a-window-by-another-key",
        ),
        pytest.param(
            rules(more="    plan: {of: a.data.friend}\n"), "rules.r.plan.of", id="others-plans"
        ),
        pytest.param(
            rules(more="    limits: [{at_most: 1, per: 1h}, {at_most: 9, per: 1h, of: rule}]\n"),
            "rules.r.limits[1].of", id="a-limit-of-all-keys",
        ),
        pytest.param(
            rules("", ", b: {feed: homeport.instruction.outcome}",
                  "    join: {within: 1h, consume: recent}\n"),
            "rules.r.watch", id="outcomes-that-meet-other-events",
        ),
        pytest.param(
            "forecasts:\n  - {forecast: x, feed: f.a, key: event.source, value: event.data.v, "
            "half_life: 1h}",
            "forecasts.x.key", id="a-forecast-by-another-key",
        ),
    ],
)  # fmt: skip
def test_what_reaches_over_keys_is_refused_by_its_clause(text: str, field: str) -> None:
    with pytest.raises(InvalidDocument) as refused:
        check(parse(text))
    assert [one.field for one in refused.value.faults] == [field]


def test_all_of_them_are_told_at_once() -> None:
    text = rules(", key: event.source", more="    plan: {of: a.data.friend}\n")
    with pytest.raises(InvalidDocument) as refused:
        check(parse(text))
    assert len(refused.value.faults) == 2

"""Expressions of events: what many rules have alike is there once, and is told of in each."""

from __future__ import annotations

import pytest

from control_plane.errors import InvalidInput
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.compiler import compile_rule, parse
from data_sharing.rules.feed_schema import FeedSchema

FEED = "traffic.jams"
SCHEMA = {"type": "object", "properties": {"road": {"type": "string"}, "km": {"type": "integer"}}}


def compiled(number: int, feed: FeedSchema, key: str = "event.key") -> CompiledRule:
    (spec,) = parse(f"""
rules:
  - rule: rule-{number}
    watch: {{e: {{feed: {FEED}, key: '{key}'}}}}
    when: 'e.data.km > {number}'
    do: [{{invoke: {{application: lamp, action: blink}}}}]
""").rules
    return compile_rule(spec, tenant="default", version=1, schemas={FEED: feed}, forecasts={})


def test_rules_share_the_path_that_is_their_key() -> None:
    feed = FeedSchema(FEED, SCHEMA)
    first, second = compiled(1, feed), compiled(2, feed)
    assert first.inputs["e"].key is second.inputs["e"].key
    assert first.when is not second.when


def test_another_schema_of_the_feed_has_its_own() -> None:
    first, second = compiled(1, FeedSchema(FEED, SCHEMA)), compiled(1, FeedSchema(FEED, None))
    assert first.inputs["e"].key is not second.inputs["e"].key


def test_what_may_go_wrong_is_told_of_each_rule() -> None:
    feed = FeedSchema(FEED, SCHEMA)
    for number in (1, 2):
        (warning,) = compiled(number, feed, "event.data.lane").warnings
        assert warning.startswith(f"rules.rule-{number}.watch.e.key: ")


def test_what_is_wrong_is_told_of_each_rule() -> None:
    feed = FeedSchema(FEED, SCHEMA)
    for number in (1, 2):
        said = rf"rules\.rule-{number}\.watch\.e\.key: .* must be string"
        with pytest.raises(InvalidInput, match=said):
            compiled(number, feed, "event.data.km")


def test_a_rule_has_its_fields_in_slots() -> None:
    """So that what it remembers beside them fits a table that rules share."""
    rule = compiled(1, FeedSchema(FEED, SCHEMA))
    assert rule.slot == "rule-1"
    assert set(vars(rule)) == {"id", "slot"}

"""Our side of the measurement of rules: matching and deciding find the rules that a walk over all
patterns finds, and the patterns for event-ruler say the same as the conditions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from bench.load.rule_population import MATCHING, event_texts, mixed_rules
from bench.suite.measurement import Failed
from bench.suite.rule_matching import Matching, compiled, per_s, specs

RULES = mixed_rules(200)
TEXTS = event_texts(60, 200)


def matches(pattern: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """As event-ruler documents its patterns."""
    return all(
        any(_one(wanted, name in data, data.get(name)) for wanted in those)
        for name, those in pattern.items()
    )


def _one(wanted: Any, there: bool, value: Any) -> bool:
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    if "exists" in wanted:
        return there
    if "prefix" in wanted:
        return isinstance(value, str) and value.startswith(wanted["prefix"])
    _, low, _, high = wanted["numeric"]
    return isinstance(value, int) and low <= value < high


EXPECTED = [
    frozenset(one.name for one in RULES if matches(one.pattern, json.loads(text))) for text in TEXTS
]


def test_an_event_matches_about_as_many_rules_as_it_should() -> None:
    assert 0.6 * MATCHING < sum(map(len, EXPECTED)) / len(EXPECTED) < 1.6 * MATCHING


def test_matching_and_deciding_find_the_rules_that_patterns_say() -> None:
    ours = Matching(compiled(specs(RULES)), TEXTS)
    assert per_s(ours.matched, EXPECTED) > 0
    assert per_s(ours.decided, EXPECTED) > 0


def test_there_is_no_figure_where_other_rules_match() -> None:
    gone = min(frozenset.union(*EXPECTED))
    ours = Matching(compiled(specs([one for one in RULES if one.name != gone])), TEXTS)
    with pytest.raises(Failed, match="matches"):
        per_s(ours.matched, EXPECTED)

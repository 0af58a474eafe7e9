"""Circles of rules are told when they are applied: through outcomes and through feeds that the
applications publish, and only where conditions do not exclude them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.decisions.loop_check import loop_warnings
from data_sharing.registry.catalogue import Catalogue
from tests.support.decisions_harness import CATALOGUE
from tests.support.rule_harness import rules_of


def rule(name: str, feed: str, when: str = "true", application: str = "lamp") -> str:
    return f"""
  - rule: {name}
    watch: {{e: {{feed: {feed}}}}}
    when: '{when}'
    do: [{{invoke: {{application: {application}, action: blink}}}}]
"""


def told(
    *applied: str, others: tuple[str, ...] = (), catalogue: Catalogue = CATALOGUE
) -> list[str]:
    made = [list(rules_of("rules:" + "".join(some)).rules.values()) if some else []
            for some in (applied, others)]  # fmt: skip
    return loop_warnings(catalogue, *made)


OUTCOME = "homeport.instruction.outcome"


@pytest.mark.parametrize(
    "when",
    [
        "true",
        'e.data.status == "done"',
        'e.data.application == "lamp"',
        'e.data.rule in ["r", "s"]',
        'e.data.application == "horn" || e.data.action == "blink"',
    ],
)
def test_a_rule_that_watches_what_it_invokes_may_set_itself_off(when: str) -> None:
    assert told(rule("r", OUTCOME, when)) == [
        "rules.r: may set itself off: rule r → lamp blink → its outcome → rule r"
    ]


@pytest.mark.parametrize(
    "when",
    [
        'e.data.application == "horn"',
        'e.data.action == "unlock"',
        'e.data.rule in ["s", "t"]',
        'e.data.rule.startsWith("s") && e.data.status == "done"',
        'e.subject == "horn"',
    ],
)
def test_conditions_that_exclude_its_own_outcome_exclude_the_circle(when: str) -> None:
    assert told(rule("r", OUTCOME, when)) == []


def test_a_circle_through_a_feed_of_the_application_is_told_once_with_its_rules_in_order() -> None:
    found = told(
        rule("off", "tick", application="horn"),
        rule("on", "switched"),
        rule("back", OUTCOME, 'e.data.application == "horn"', application="horn"),
    )
    assert found == [
        "rules.on: may set itself off: rule on → lamp blink → feed switched → rule on",
        "rules.back: may set itself off: rule back → horn blink → its outcome → rule back",
    ]
    both = told(
        rule("on", "switched", application="horn"),
        rule("then", OUTCOME, 'e.data.application == "horn"'),
    )
    assert both == [
        "rules.on: may set itself off: rule on → horn blink → its outcome → rule then → "
        "lamp blink → feed switched → rule on"
    ]


def test_rules_in_force_close_a_circle_and_their_own_are_not_told_again() -> None:
    mine, theirs = rule("on", "switched", application="horn"), rule("then", OUTCOME)
    assert len(told(mine, others=(theirs,))) == 1
    assert told(rule("start", "tick"), others=(mine, theirs)) == []
    # What is applied takes the place of what was in force.
    assert told(rule("on", "tick"), others=(rule("on", OUTCOME),)) == []


def test_without_the_application_nothing_is_known_of_its_feeds() -> None:
    assert told(rule("on", "switched"), catalogue=Catalogue([])) == []


@given(st.integers(1, 8), st.integers(0, 8))
def test_any_circle_is_found_and_no_chain_is_one(around: int, chain: int) -> None:
    rules = [rule(f"r{n}", OUTCOME, f'e.data.rule == "r{(n - 1) % around}"') for n in range(around)]
    rules += [rule(f"c{n}", OUTCOME, f'e.data.rule == "c{n - 1}"') for n in range(chain)]
    found = told(*rules)
    assert len(found) == 1
    assert found[0].count("its outcome") == around

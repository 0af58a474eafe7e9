"""Circles of rules are told when they are applied: through outcomes, through feeds that the
applications publish and through plans that rules change, and only where conditions do not exclude
them."""

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
    *applied: str,
    others: tuple[str, ...] = (),
    catalogue: Catalogue = CATALOGUE,
    planned: tuple[tuple[str, str, str], ...] = (),
) -> list[str]:
    made = [list(rules_of("rules:" + "".join(some)).rules.values()) if some else []
            for some in (applied, others)]  # fmt: skip
    return loop_warnings(catalogue, *made, planned)


def changes(name: str, feed: str, when: str = "true", plan: str = "{named: work}") -> str:
    return f"""
  - rule: {name}
    watch: {{e: {{feed: {feed}}}}}
    plan: {plan}
    when: '{when}'
    do: [{{change: {{shift: 'duration("-5m")'}}}}]
"""


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


WORK, OTHER = ("work", "lamp", "blink"), ("party", "horn", "blow")


def test_a_circle_through_a_plan_is_told_with_the_plan() -> None:
    through = "plan work → lamp blink → its outcome"
    assert told(changes("r", OUTCOME), planned=(WORK, OTHER)) == [
        f"rules.r: may set itself off: rule r → {through} → rule r"
    ]
    assert told(changes("r", "switched", plan="{}"), planned=(WORK, OTHER)) == [
        "rules.r: may set itself off: rule r → plan work → lamp blink → feed switched → rule r"
    ]
    both = told(changes("r", "tick"), rule("s", OUTCOME, application="horn"), planned=(WORK,))
    assert both == ["rules.s: may set itself off: rule s → horn blink → its outcome → rule s"]
    assert told(
        changes("r", OUTCOME, 'e.data.application == "horn"'),
        rule("s", OUTCOME, 'e.data.application == "lamp"', application="horn"),
        planned=(WORK,),
    ) == [
        f"rules.r: may set itself off: rule r → {through} → rule s → horn blink → its outcome → "
        "rule r"
    ]


@pytest.mark.parametrize(
    ("when", "planned"),
    [
        pytest.param("true", (), id="there-is-no-plan"),
        pytest.param("true", (OTHER,), id="it-changes-another-plan"),
        pytest.param('e.data.application == "horn"', (WORK,), id="of-another-application"),
        pytest.param('e.data.rule == "r"', (WORK,), id="what-a-plan-does-is-no-rules"),
    ],
)
def test_what_no_plan_does_is_no_circle(
    when: str, planned: tuple[tuple[str, str, str], ...]
) -> None:
    assert told(changes("r", OUTCOME, when), planned=planned) == []


def test_without_the_application_nothing_is_known_of_its_feeds() -> None:
    assert told(rule("on", "switched"), catalogue=Catalogue([])) == []


@given(st.integers(1, 8), st.integers(0, 8))
def test_any_circle_is_found_and_no_chain_is_one(around: int, chain: int) -> None:
    rules = [rule(f"r{n}", OUTCOME, f'e.data.rule == "r{(n - 1) % around}"') for n in range(around)]
    rules += [rule(f"c{n}", OUTCOME, f'e.data.rule == "c{n - 1}"') for n in range(chain)]
    found = told(*rules)
    assert len(found) == 1
    assert found[0].count("its outcome") == around

"""Who publishes what, when and which way: drawn from the seed alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulation.load.events.event_kinds import (
    EventKind,
    EventSettings,
    Way,
    event_settings_of,
    kind_in,
    kind_of,
    parse_event_mix,
    way_in,
)
from simulation.load.events.event_plan import event_plan_of
from simulation.load.settings import LoadSettings, Scenario

SETTINGS = LoadSettings(users=1_000, rate_per_s=500.0, duration_s=10.0, processes=2)
EVENTS = EventSettings(http_share=0.25, rules=7, plans=20)


def nowhere(users: np.ndarray) -> np.ndarray:
    return np.zeros(len(users))


def test_a_call_has_its_kind_and_its_way_in_one_number() -> None:
    pairs = [(kind, way) for kind in EventKind for way in Way]
    numbers = [kind_of(kind, way) for kind, way in pairs]
    assert len(set(numbers)) == len(pairs)
    assert [(kind_in(number), way_in(number)) for number in numbers] == pairs


def test_shares_are_those_that_were_asked_for() -> None:
    plan = event_plan_of(SETTINGS, EVENTS, 0, nowhere)
    count = len(plan.at_s)
    kinds, ways = plan.kinds >> 1, plan.kinds & 1
    assert np.mean(kinds == EventKind.QUIET) == pytest.approx(0.8, abs=0.05)
    assert np.mean(ways == Way.HTTP) == pytest.approx(0.25, abs=0.05)
    invoking = kinds == EventKind.INVOKING
    assert set(plan.places[invoking].tolist()) == set(range(7))
    assert not plan.places[~invoking].any()
    assert set(plan.users[kinds == EventKind.CHANGING].tolist()) <= set(range(20))
    assert count == pytest.approx(2_500, rel=0.1)
    assert not len(plan.prepared)


def test_the_same_users_come_at_the_same_times_with_any_mix() -> None:
    first = event_plan_of(SETTINGS, EVENTS, 1, nowhere)
    second = event_plan_of(SETTINGS, replace(EVENTS, mix={EventKind.QUIET: 1.0}), 1, nowhere)
    assert np.array_equal(first.at_s, second.at_s)
    same = (first.kinds >> 1) != EventKind.CHANGING
    assert np.array_equal(first.users[same], second.users[same])
    assert np.array_equal(first.kinds & 1, second.kinds & 1)


def test_a_herd_publishes_once_each_when_it_is_back() -> None:
    herd = replace(SETTINGS, scenario=Scenario.HERD, processes=1, rate_per_s=0.01)
    plan = event_plan_of(herd, replace(EVENTS, mix={EventKind.QUIET: 1.0}), 0, nowhere)
    assert np.array_equal(np.unique(plan.users), np.arange(1_000))


def test_settings_survive_a_report() -> None:
    made = replace(EVENTS, mix=parse_event_mix("quiet=3, invoking=1"))
    assert event_settings_of(made.document()) == made


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("loud=1", "no kind of event", id="a-kind-that-is-not-there"),
        pytest.param("quiet=x", "a weight is a number", id="no-number"),
        pytest.param("quiet=1,quiet=2", "twice", id="twice"),
        pytest.param("quiet=0", "above 0", id="nothing-at-all"),
    ],
)
def test_what_is_wrong_with_a_mix_is_said(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_event_mix(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": 0}, {"plans": 10_001}, {"http_share": 1.5}, {"mix": {}}, {"more": 1},
        {"rules": 1.5}, {"plans": True}, {"mix": {"quiet": -5, "invoking": 10}},
        {"mix": {"quiet": float("nan"), "invoking": 1}}, {"mix": {"quiet": 10**400}},
    ],
)  # fmt: skip
def test_what_is_wrong_with_settings_is_said(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"it can be|above 0|from 0 on|whole|no settings of"):
        event_settings_of({**EVENTS.document(), **wrong})

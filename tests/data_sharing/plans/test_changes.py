"""Plans: due actions, each once; changes and their undoing; what rules see."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.errors import Conflict, InvalidInput, NotFound, Refused
from data_sharing.plans.changes import (
    ChangeRecord,
    apply,
    cancel,
    explain,
    replay,
    undo,
    undone,
    user_change,
)
from data_sharing.plans.due_actions import advance
from data_sharing.plans.plan_view import view
from data_sharing.plans.spec import parse_plan
from data_sharing.rules.effects import USER_PRIORITY
from tests.support.event_plans import DAILY, DAY, MINUTE, NINE, WORK, by_rule, plan


def test_a_change_is_recorded_with_its_cause_and_explained() -> None:
    changed = apply(plan(), by_rule({"shift_ms": -20 * MINUTE}), now_ms=5)
    record = changed.record
    assert record is not None
    assert (record.version, changed.plan.version, record.at_ms) == (2, 2, 5)
    assert explain([record], record) == (
        "rule leave-earlier (version 3) changed shift_ms from as planned to -1200000 "
        "because of event traffic e1"
    )


def test_the_same_change_twice_changes_once() -> None:
    first = apply(plan(), by_rule({"shift_ms": 5}), now_ms=0)
    assert apply(first.plan, by_rule({"shift_ms": 5}), now_ms=1).record is None
    assert apply(first.plan, by_rule({"shift_ms": 5}, number=2), now_ms=1).record is None


class Story:
    """A plan with its history."""

    def __init__(self, text: str = WORK) -> None:
        self.plan = plan(text)
        self.history: list[ChangeRecord] = []
        self._ids = itertools.count(1)

    def rule(self, fields: dict[str, Any], priority: int = 100) -> str:
        change = by_rule(fields, number=next(self._ids), priority=priority)
        return self._keep(apply(self.plan, change, now_ms=0), change.id)

    def user(self, fields: dict[str, Any]) -> str:
        name = f"c{next(self._ids)}"
        change = user_change(self.plan, change_id=name, occurrence_ms=NINE, fields=fields, user="u")
        return self._keep(apply(self.plan, change, now_ms=0), name)

    def undo(self, change: str) -> str:
        name = f"c{next(self._ids)}"
        done = undo(self.plan, self.history, change, undo_id=name, user="u", now_ms=0)
        return self._keep(done, name)

    def _keep(self, changed: Any, name: str) -> str:
        self.plan = changed.plan
        if changed.record is not None:
            self.history.append(changed.record)
        return name

    @property
    def shift(self) -> int:
        occurrence = self.plan.occurrence(NINE)
        return occurrence.at_ms - occurrence.planned_ms


def test_undo_gives_back_what_was_before() -> None:
    story = Story()
    story.rule({"shift_ms": 1})
    second = story.rule({"shift_ms": 2})
    story.undo(second)
    assert story.shift == 1
    assert len(story.history) == 3


def test_undo_beneath_a_later_change_leaves_that_and_is_not_brought_back() -> None:
    story = Story()
    first = story.rule({"shift_ms": 1, "cancelled": True})
    second = story.user({"shift_ms": 2})
    story.undo(first)
    assert story.shift == 2
    assert not story.plan.occurrence(NINE).cancelled
    story.undo(second)
    assert story.shift == 0


def test_undoing_twice_changes_nothing_and_undoing_the_undo_does_it_again() -> None:
    story = Story()
    change = story.rule({"shift_ms": 1})
    back = story.undo(change)
    assert story.shift == 0
    before = len(story.history)
    story.undo(change)
    assert (story.shift, len(story.history)) == (0, before)
    story.undo(back)
    assert story.shift == 1
    assert "took back change" in explain(story.history, story.history[-1])


def test_what_a_user_took_back_from_a_rule_no_rule_sets_again_until_that_is_undone() -> None:
    story = Story()
    change = story.rule({"shift_ms": 1})
    back = story.undo(change)
    seen = view(story.plan, now_ms=NINE - DAY)
    assert seen.holds["shift_ms"].priority == USER_PRIORITY
    assert seen.values["shift_ms"] == 0
    story.undo(back)
    assert view(story.plan, now_ms=NINE - DAY).holds["shift_ms"].priority == 100
    assert story.shift == 1


def test_taking_back_ones_own_change_lets_rules_in_again() -> None:
    story = Story()
    mine = story.user({"shift_ms": 7})
    story.undo(mine)
    assert view(story.plan, now_ms=NINE - DAY).holds == {}


steps = st.lists(
    st.one_of(
        st.tuples(st.just("rule"), st.sampled_from(["shift_ms", "cancelled"]), st.integers(0, 3)),
        st.tuples(st.just("user"), st.sampled_from(["shift_ms", "cancelled"]), st.integers(0, 3)),
        st.tuples(st.just("undo"), st.just(""), st.integers(0, 12)),
    ),
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_the_plan_is_always_what_its_history_says(todo: list[tuple[str, str, int]]) -> None:
    story = Story()
    for what, field, number in todo:
        value = number % 2 == 0 if field == "cancelled" else number
        if what == "rule":
            story.rule({field: value})
        elif what == "user":
            story.user({field: value})
        elif story.history:
            story.undo(story.history[number % len(story.history)].id)
        kept = story.plan.settings.get(str(NINE), {})
        replayed = replay(story.history, str(NINE))
        for name in ("shift_ms", "cancelled"):
            one, other = kept.get(name), replayed.get(name)
            assert (one and one.value) == (other and other.value)
        gone = undone(story.history)
        active = [
            field.after
            for record in story.history
            if not record.undoes and record.id not in gone
            for field in record.fields
            if field.field == "shift_ms"
        ]
        assert story.shift == (active[-1] if active else 0)


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        pytest.param({"expected_version": 9}, Conflict, "version", id="another-version"),
        pytest.param(
            {"occurrence_ms": NINE + 1},
            NotFound,
            "no occurrence.*nearest .*09:00",
            id="no-occurrence",
        ),
        pytest.param({"fields": {}}, InvalidInput, "sets nothing", id="nothing"),
        pytest.param({"fields": {"shift_ms": 1.5}}, InvalidInput, "shift", id="half-a-millisecond"),
        pytest.param({"fields": {"shift_ms": True}}, InvalidInput, "shift", id="true"),
        pytest.param({"fields": {"actions.tea.config.x": 1}}, InvalidInput, "tea", id="no-action"),
        pytest.param({"fields": {"owner": "me"}}, InvalidInput, "owner", id="another-field"),
    ],
)
def test_changes_that_cannot_be(more: dict[str, Any], error: type[Exception], words: str) -> None:
    wanted = {"change_id": "c", "occurrence_ms": NINE, "fields": {"shift_ms": 1}, "user": "u"}
    with pytest.raises(error, match=words):
        user_change(plan(), **{**wanted, **more})


def test_a_cancelled_plan_stays_so() -> None:
    off = cancel(plan(DAILY), change_id="x", user="u", now_ms=0)
    assert off.record is not None
    assert advance(off.plan, now_ms=NINE).due == ()
    assert view(off.plan, now_ms=NINE).occurrence_ms is None
    assert cancel(off.plan, change_id="y", user="u", now_ms=0).record is None
    with pytest.raises(Refused):
        user_change(off.plan, change_id="c", occurrence_ms=NINE, fields={"shift_ms": 1}, user="u")


# What rules see


def test_rules_see_the_next_occurrence_as_it_is() -> None:
    changed = apply(plan(DAILY), by_rule({"actions.heating.config.minutes": 20}), now_ms=0).plan
    seen = view(changed, now_ms=NINE - DAY)
    assert seen.occurrence_ms == NINE
    assert seen.fields["actions"]["heating"]["config"] == {"minutes": 20}
    assert seen.values["actions.heating.config.minutes"] == 20
    assert seen.values["actions.coffee.config.cups"] == 2
    tomorrow = view(changed, now_ms=NINE + 1)
    assert tomorrow.occurrence_ms == NINE + DAY
    assert tomorrow.values["actions.heating.config.minutes"] == 10


def test_what_is_set_for_one_occurrence_outweighs_what_is_set_for_all() -> None:
    every = apply(plan(DAILY), by_rule({"shift_ms": 5}, occurrence=None), now_ms=0).plan
    one = apply(every, by_rule({"shift_ms": 7}, number=2), now_ms=0).plan
    assert one.occurrence(NINE).at_ms == NINE + 7
    assert one.occurrence(NINE + DAY).at_ms == NINE + DAY + 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(("plan: work", "plan: ''"), "id", id="no-id"),
        pytest.param(("owner: user-1", "owner: ''"), "owner", id="no-owner"),
        pytest.param(("zone: Europe/Berlin", "zone: Mars/Base"), "zone", id="another-planet"),
        pytest.param(("zone: Europe/Berlin", "zone: ../../etc/passwd"), "zone", id="a-path"),
        pytest.param(("offset: -90m", "offset: -90"), "offset", id="no-unit"),
        pytest.param(("offset: -90m", "offset: -90d"), "offset", id="too-far"),
        pytest.param(("cups: 2", "cups: " + "x" * 20_000), "bytes", id="a-huge-setting"),
        pytest.param(("follows:", "folows:"), "folows", id="a-misspelt-key"),
    ],
)
def test_plans_that_cannot_be(change: tuple[str, str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        parse_plan(WORK.replace(*change))


@pytest.mark.parametrize("text", [WORK, DAILY, WORK + "repeats: FREQ=YEARLY\n"])
@pytest.mark.parametrize(
    "occurrence_ms", [-62_135_596_800_000, -1, 13_537_929_600_000, 253_402_300_799_999, 2**62]
)
def test_a_time_at_which_no_plan_can_be_is_no_occurrence(text: str, occurrence_ms: int) -> None:
    with pytest.raises(NotFound, match="no occurrence"):
        user_change(
            plan(text), change_id="c", occurrence_ms=occurrence_ms, fields={"shift_ms": 1}, user="u"
        )

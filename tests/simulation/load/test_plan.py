"""Who does what: each in one process, known before they are picked as known, the same again."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulation.load.plan import ROAMS, SETTLED_S, LoadPlan, plan_of
from simulation.load.settings import LoadSettings, Scenario
from simulation.load.user_kinds import UserKind, parse_mix


def around(users: NDArray[np.int64]) -> NDArray[np.float64]:
    """Users all around the world."""
    return (users * 37 % 360) - 180.0


SETTINGS = st.builds(
    LoadSettings,
    scenario=st.sampled_from(list(Scenario)),
    users=st.integers(8, 3_000),
    rate_per_s=st.floats(1.0, 300.0),
    duration_s=st.floats(12.0, 30.0),
    seed=st.integers(0, 1_000),
    processes=st.integers(1, 4),
)


def plans(settings: LoadSettings) -> list[LoadPlan]:
    return [plan_of(settings, number, around) for number in range(settings.processes)]


@given(SETTINGS)
def test_no_user_is_in_two_processes_and_all_are_in_time(settings: LoadSettings) -> None:
    for number, plan in enumerate(plans(settings)):
        for users in (plan.users, plan.prepared):
            assert np.all(users % settings.processes == number)
            assert np.all((users >= 0) & (users < settings.users))
        assert np.all(np.diff(plan.at_s) >= 0)
        assert len(plan.at_s) == len(plan.kinds) == len(plan.users) == len(plan.places)


@given(SETTINGS)
def test_who_asks_for_a_home_has_one_or_is_new(settings: LoadSettings) -> None:
    for plan in plans(settings):
        has = dict.fromkeys(plan.prepared.tolist(), -SETTLED_S)
        told: dict[int, str] = defaultdict(str)
        for at_s, kind, user in zip(
            plan.at_s.tolist(), plan.kinds.tolist(), plan.users.tolist(), strict=True
        ):
            if kind == UserKind.NEW:
                assert user not in has, told[user]
                has.setdefault(user, at_s)
            else:
                assert user in has
                if kind == UserKind.RELEASED:
                    del has[user]
            told[user] += UserKind(kind).word


@given(SETTINGS)
def test_the_same_settings_give_the_same_plan(settings: LoadSettings) -> None:
    for one, other in zip(plans(settings), plans(settings), strict=True):
        for name in ("at_s", "kinds", "users", "places", "prepared"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_another_seed_is_another_run() -> None:
    one, other = (plan_of(LoadSettings(seed=seed), 0, around) for seed in (1, 2))
    assert one.at_s[:10].tolist() != other.at_s[:10].tolist()


def test_new_users_are_used_up_and_then_known() -> None:
    settings = LoadSettings(users=100, rate_per_s=100.0, duration_s=30.0)
    plan = plan_of(settings, 0, around)
    kinds = Counter(plan.kinds.tolist())
    assert not len(plan.prepared)
    first = {user for user, kind in zip(plan.users, plan.kinds, strict=True) if kind == 0}
    assert len(first) == 100
    assert kinds[UserKind.KNOWN] > 10 * kinds[UserKind.ROAMING] / 2


def test_kinds_are_as_many_as_their_weights() -> None:
    mix = parse_mix("new=1,known=2,roaming=1")
    settings = LoadSettings(users=50_000, rate_per_s=1_000.0, duration_s=40.0, mix=mix)
    kinds = Counter(plan_of(settings, 0, around).kinds.tolist())
    shares = [kinds[kind] / kinds.total() for kind in (0, 1, 2)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_whoever_moves_stays_there_and_whoever_roams_is_back_the_next_time() -> None:
    mix = parse_mix("known=1,roaming=1,moving=1")
    plan = plan_of(LoadSettings(users=10, rate_per_s=50.0, mix=mix, duration_s=20.0), 0, around)
    lives: dict[int, int] = defaultdict(int)
    for kind, user, place in zip(plan.kinds, plan.users, plan.places, strict=True):
        if kind == UserKind.MOVING:
            lives[user] += 1
        assert (place >= ROAMS) == (kind == UserKind.ROAMING)
        if kind != UserKind.ROAMING:
            assert place == lives[user]


def test_all_of_a_herd_come_back_once_and_within_the_time() -> None:
    settings = LoadSettings(
        scenario=Scenario.HERD, users=500, rate_per_s=1.0, duration_s=100.0, herd_within_s=4.0
    )
    plan = plan_of(settings, 0, around)
    coming = (plan.at_s >= 30.0) & (plan.at_s <= 34.0)
    assert set(plan.users[coming].tolist()) == set(range(500))
    assert 500 <= np.count_nonzero(coming) < 520
    assert len(plan.prepared) == 500


def test_in_a_day_users_are_awake_when_they_arrive() -> None:
    settings = LoadSettings(
        scenario=Scenario.DAY, users=20_000, rate_per_s=1_000.0, duration_s=48.0
    )
    plan = plan_of(settings, 0, around)
    hours = np.mod(plan.at_s / 2.0 + around(plan.users) / 15.0, 24.0)
    counts = np.histogram(hours, 24, (0.0, 24.0))[0]
    assert counts[3:5].sum() * 8 < counts[19:21].sum()
    assert counts.argmax() in (19, 20)

"""When users arrive: as many as the rates come to, where the rates are, in order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulation.load.arrivals import (
    ACTIVITY,
    MEAN_ACTIVITY,
    Rates,
    activity,
    arrivals,
    day_rates,
    rates_of,
)
from simulation.load.settings import LoadSettings, Scenario

RATES = st.lists(
    st.tuples(st.floats(0.0, 20.0), st.floats(0.0, 200.0)), min_size=2, max_size=6
).map(lambda points: tuple(sorted(points)))


def made(rates: Rates, seed: int = 1) -> np.ndarray:  # type: ignore[type-arg]
    return arrivals(rates, np.random.default_rng(seed))


@given(RATES, st.integers(0, 1_000))
def test_arrivals_are_in_order_and_within_the_run(rates: Rates, seed: int) -> None:
    found = made(rates, seed)
    assert np.all(np.diff(found) >= 0)
    assert np.all((found >= rates[0][0]) & (found <= rates[-1][0] + 1e-9))


@given(RATES, st.integers(0, 1_000))
def test_nobody_arrives_where_the_rate_is_zero(rates: Rates, seed: int) -> None:
    quiet = (*rates, (rates[-1][0], 0.0), (rates[-1][0] + 5.0, 0.0))
    found = made(quiet, seed)
    assert np.all(found <= rates[-1][0] + 1e-9)


def test_there_are_as_many_as_the_rate_comes_to_and_evenly() -> None:
    found = made(((0.0, 1_000.0), (60.0, 1_000.0)))
    assert abs(len(found) - 60_000) < 5 * 60_000**0.5
    for count in np.histogram(found, 12, (0.0, 60.0))[0]:
        assert abs(count - 5_000) < 5 * 5_000**0.5


def test_gaps_are_those_of_a_poisson_process() -> None:
    gaps = np.diff(made(((0.0, 100.0), (1_000.0, 100.0))))
    assert np.std(gaps) == pytest.approx(np.mean(gaps), rel=0.05)  # of even arrivals: 0


def test_a_ramp_rises_in_a_straight_line() -> None:
    found = made(((0.0, 0.0), (60.0, 2_000.0)))
    counts = np.histogram(found, 4, (0.0, 60.0))[0] / len(found)
    assert counts == pytest.approx([1 / 16, 3 / 16, 5 / 16, 7 / 16], abs=0.01)


def test_during_the_outage_of_a_herd_nobody_arrives() -> None:
    settings = LoadSettings(scenario=Scenario.HERD, rate_per_s=1_000.0, duration_s=100.0)
    found = made(rates_of(settings))
    assert not np.any((found > 20.0) & (found < 30.0))
    assert np.count_nonzero(found < 20.0) > 19_000
    assert np.count_nonzero(found > 30.0) > 68_000


def test_a_day_is_busiest_in_the_evening_where_users_are() -> None:
    settings = LoadSettings(scenario=Scenario.DAY, rate_per_s=1_000.0, duration_s=240.0)
    for ahead in (0.0, 9.0, 19.0):
        rates = day_rates(settings, ahead, 1.0)
        busiest = max(rates, key=lambda point: point[1])[0] / 10.0
        assert (busiest + ahead) % 24.0 == pytest.approx(20.0, abs=0.5)


def test_a_day_comes_to_its_rate_on_average() -> None:
    settings = LoadSettings(scenario=Scenario.DAY, rate_per_s=500.0, duration_s=120.0)
    found = made(day_rates(settings, 3.0, 1.0))
    assert abs(len(found) - 60_000) < 6 * 60_000**0.5


def test_activity_goes_round_the_clock() -> None:
    midnight = ACTIVITY[0] / MEAN_ACTIVITY
    found = activity(np.array([0.0, 24.0, 48.0]))
    assert found.tolist() == pytest.approx([midnight] * 3)

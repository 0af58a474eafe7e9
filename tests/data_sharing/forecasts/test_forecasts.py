"""Forecasts: each estimate is held to a batch reference or to a simulation whose truth is known."""

from __future__ import annotations

import math
import random
from statistics import fmean, pstdev, quantiles

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from data_sharing.forecasts.forecast import FIELDS, Forecast, Method
from data_sharing.forecasts.mean import Mean
from data_sharing.forecasts.quantiles import ACCURACY, MOST_BINS, Quantiles
from data_sharing.forecasts.seasonal import Seasonal
from data_sharing.forecasts.spec import ForecastSpec, SeasonSpec, duration_ms, shown

HOUR_MS = 3_600_000
values = st.floats(-1e6, 1e6)


def batch(events: list[tuple[int, float]], half_life_ms: int) -> tuple[float, float]:
    """Weighted mean and standard deviation by their definition."""
    newest = max(when for when, _ in events)
    weights = [2.0 ** ((when - newest) / half_life_ms) for when, _ in events]
    total = sum(weights)
    mean = sum(w * x for w, (_, x) in zip(weights, events, strict=True)) / total
    spread = sum(w * (x - mean) ** 2 for w, (_, x) in zip(weights, events, strict=True))
    return mean, math.sqrt(spread / total)


@given(st.lists(st.tuples(st.integers(0, 10_000_000), values), min_size=1, max_size=60))
def test_the_mean_is_that_of_the_batch_also_for_late_events(
    events: list[tuple[int, float]],
) -> None:
    state = Mean()
    for when, value in events:
        state.add(value, when, HOUR_MS)
    mean, sd = batch(events, HOUR_MS)
    scale = 1.0 + max(abs(value) for _, value in events)
    assert state.mean == pytest.approx(mean, abs=1e-7 * scale)
    assert state.sd == pytest.approx(sd, abs=1e-5 * scale)


def test_an_event_of_long_ago_counts_nothing() -> None:
    state = Mean()
    state.add(1.0, 10**12, 1_000)
    state.add(9.0, 0, 1_000)
    assert state.mean == 1.0


def test_a_mean_follows_a_step_within_its_half_life() -> None:
    state = Mean()
    for n in range(2_000):
        state.add(10.0 if n < 1_000 else 20.0, n * 60_000, HOUR_MS)
        if n == 1_000 + 60:
            assert state.mean == pytest.approx(15.0, abs=0.2)


@settings(max_examples=60)
@given(st.lists(st.one_of(values, st.floats(-1, 1), st.integers(-5, 5)), min_size=1, max_size=300),
       st.sampled_from([0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0]))  # fmt: skip
def test_quantiles_are_within_one_percent_of_a_value_at_that_rank(
    given_values: list[float], share: float
) -> None:
    state = Quantiles()
    for value in given_values:
        state.add(value, 0, HOUR_MS)
    found = state.quantile(share)
    assert found is not None
    ordered = sorted(given_values)
    rank = share * len(ordered)
    ranks = (math.ceil(rank) - 1, math.floor(rank), math.ceil(rank - 1e-9) - 1)
    near = {ordered[max(0, min(len(ordered) - 1, at))] for at in ranks}
    assert any(abs(found - one) <= ACCURACY * abs(one) * 1.01 + 2e-9 for one in near)


def test_quantiles_of_a_known_distribution() -> None:
    rng, state = random.Random(7), Quantiles()
    sample = [rng.lognormvariate(3, 0.5) for _ in range(20_000)]
    for n, value in enumerate(sample):
        state.add(value, n, 10**12)
    cuts = quantiles(sample, n=100)
    for percent in (1, 25, 50, 90, 99):
        assert state.quantile(percent / 100) == pytest.approx(cuts[percent - 1], rel=0.012)


def test_quantiles_forget() -> None:
    state = Quantiles()
    for n in range(1_000):
        state.add(100.0, n * 1_000, 60_000)
    for n in range(1_000, 1_600):
        state.add(1.0, n * 1_000, 60_000)
    assert state.quantile(0.99) == pytest.approx(1.0, rel=0.01)


def test_quantiles_are_bounded_and_the_high_ones_keep_their_accuracy() -> None:
    rng, state = random.Random(1), Quantiles()
    sample = [10 ** rng.uniform(-8, 8) for _ in range(20_000)]
    for value in sample:
        state.add(value, 0, HOUR_MS)
    assert len(state.positive) <= MOST_BINS
    assert state.quantile(0.95) == pytest.approx(quantiles(sample, n=100)[94], rel=0.05)
    for huge in (1e308, -1e308, 5e-324):
        state.add(huge, 0, HOUR_MS)
    assert math.isfinite(state.quantile(1.0) or math.inf)


def test_a_trend_is_found_and_its_uncertainty_is_honest() -> None:
    rng, state = random.Random(2), Seasonal.of(1)
    errors, inside = [], 0
    for n in range(600):
        truth = 50 + 0.5 * n
        found = state.expected(0)
        value = truth + rng.gauss(0, 2)
        state.add(value, n * HOUR_MS, HOUR_MS)
        if n > 200 and found is not None:
            # The step that runs now; what was foretold was for it.
            mean, sd = state.expected(0) or (0.0, 0.0)
            errors.append(value - mean)
            inside += abs(value - mean) <= 1.96 * sd
    assert pstdev(errors) < 3.5
    assert abs(fmean(errors)) < 1.5  # the damped trend lags a little behind
    assert inside / len(errors) > 0.88


def test_a_season_is_learned_and_foretold() -> None:
    rng, state = random.Random(3), Seasonal.of(24)
    season = [20 + 10 * math.sin(2 * math.pi * hour / 24) for hour in range(24)]
    naive, seasonal = [], []
    for n in range(24 * 30):
        value = season[n % 24] + rng.gauss(0, 0.5)
        state.add(value, n * HOUR_MS, HOUR_MS)
        mean, _ = state.expected(0) or (0.0, 0.0)
        if n > 24 * 10:
            seasonal.append(abs(value - mean))
            naive.append(abs(value - 20))
    assert fmean(seasonal) < 0.8
    assert fmean(naive) > 5
    ahead, sd = state.expected(12) or (0.0, 0.0)
    assert ahead == pytest.approx(season[(24 * 30 - 1 + 12) % 24], abs=1.5)
    assert 0.3 < sd < 2.5


def test_a_gap_passes_along_the_trend_in_one_step() -> None:
    stepwise, jumped = Seasonal.of(1), Seasonal.of(1)
    for n in range(50):
        for state in (stepwise, jumped):
            state.add(10.0 + n, n * HOUR_MS, HOUR_MS)
    later_ms = 10**6 * HOUR_MS
    jumped.add(60.0, later_ms, HOUR_MS)
    assert math.isfinite(jumped.level)
    assert jumped.level < 60 + 50 / (1 - 0.98)


def test_the_first_value_is_what_is_expected_next() -> None:
    state = Seasonal.of(24)
    assert state.expected() is None
    state.add(42.0, 0, HOUR_MS)
    assert state.expected() is None  # its step still runs
    state.add(40.0, HOUR_MS, HOUR_MS)
    assert state.expected() == (42.0, 0.0)


def spec(**more: object) -> ForecastSpec:
    return ForecastSpec(forecast="f", feed="x", value="event.data.x", **more)  # type: ignore[arg-type]


def test_state_survives_being_stored_at_any_moment() -> None:
    method = Method.of(spec(season=SeasonSpec(every="1d", steps=24)))
    rng = random.Random(4)
    through, stored = Forecast.new(method), Forecast.new(method)
    for n in range(500):
        value = rng.gauss(5, 2)
        through.add(value, n * 1_000_000, method)
        stored.add(value, n * 1_000_000, method)
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=Forecast)
    for field in FIELDS:
        assert through.read(field, method) == stored.read(field, method)
    assert len(msgspec.msgpack.encode(stored)) < 20_000


def test_what_is_not_known_yet_is_not_there() -> None:
    method = Method.of(spec())
    state = Forecast.new(method)
    assert state.read("p50", method) is None
    state.add(3.0, 0, method)
    assert state.read("mean", method) == 3.0
    assert state.read("trend", method) is None


def test_surprise_is_in_standard_deviations_from_what_was_known_before() -> None:
    method = Method.of(spec(half_life="1d"))
    state, rng = Forecast.new(method), random.Random(5)
    for n in range(2_000):
        state.add(rng.gauss(100, 10), n * 1_000, method)
    state.add(150.0, 2_000_000, method)
    assert state.read("surprise", method) == pytest.approx(5.0, abs=0.5)


@pytest.mark.parametrize("constant", [10.0, 0.0, -7.5, 0.1, 1e-9, 1e130])
@pytest.mark.parametrize("jump", [1.0, -1.0, 1e6])
def test_a_jump_after_a_constant_history_is_a_great_surprise(constant: float, jump: float) -> None:
    method = Method.of(spec(half_life="1h"))
    state = Forecast.new(method)
    for n in range(20):
        state.add(constant, n * 60_000, method)
        assert state.read("surprise", method) == (None if n < 2 else 0.0)
    value = constant + jump * (abs(constant) or 1.0)
    state.add(value, 1_200_000, method)
    found = state.read("surprise", method)
    assert found is not None
    assert math.isfinite(found)
    assert found * jump > 1e6


def test_one_value_is_no_history_that_could_be_surprised() -> None:
    method = Method.of(spec())
    state = Forecast.new(method)
    for n, value in enumerate((10.0, 1_000.0)):
        state.add(value, n, method)
        assert state.read("surprise", method) is None
    state.add(10.0, 2, method)
    assert state.read("surprise", method) == pytest.approx(-1.0)


def test_rounding_is_no_surprise() -> None:
    """The deviation of an old jump fades away, what the mean is off by rounding does not."""
    method = Method.of(spec(half_life="1s"))
    state = Forecast.new(method)
    state.add(3.0, 0, method)
    for n in range(1, 4_000):
        state.add(0.1, n * 500, method)
        found = state.read("surprise", method)
        assert found is None or abs(found) < 3.0


any_finite = st.floats(allow_nan=False, allow_infinity=False)
every_size = any_finite | st.sampled_from([0.0, 1e308, -1e308, 5e-324])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 40), every_size), min_size=1, max_size=20))
def test_no_estimate_is_infinite_or_no_number(steps: list[tuple[int, float]]) -> None:
    method = Method.of(spec(half_life="1m", step="1m"))
    state, time_ms = Forecast.new(method), 0
    for minutes, value in steps:
        time_ms += minutes * 60_000
        state.add(value, time_ms, method)
        read = {field: state.read(field, method) for field in FIELDS}
        assert all(one is None or math.isfinite(one) for one in read.values()), read


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"half_life": "soon"}, "half_life"),
        ({"half_life": "0s"}, "half_life"),
        ({"season": SeasonSpec(every="1d", steps=1)}, "season.steps"),
        ({"season": SeasonSpec(every="1d", steps=10_000)}, "season.steps"),
        ({"season": SeasonSpec(every="10s", steps=20)}, "season.steps"),
        ({"step": "1h", "season": SeasonSpec(every="1d", steps=24)}, "step"),
    ],
)
def test_a_method_that_cannot_be(more: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        Method.of(spec(**more))
    assert error.value.field == field


@given(st.integers(0, 10**11))
def test_durations_are_read_as_they_are_shown(ms: int) -> None:
    assert duration_ms(shown(ms), "x", most_ms=10**12) == ms

"""Forecast: all estimates of one value at one key, updated with each event in O(1) and read
field by field, because a quantile costs more to read than a mean.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import msgspec

from control_plane.errors import InvalidInput
from data_sharing.forecasts.mean import Mean
from data_sharing.forecasts.quantiles import Quantiles
from data_sharing.forecasts.seasonal import Seasonal
from data_sharing.forecasts.spec import ForecastSpec, duration_ms

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
_QUANTILES = {"p01": 0.01, "p05": 0.05, "p10": 0.1, "p25": 0.25, "p50": 0.5,
              "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99}  # fmt: skip
_OF_SEASONS = ("trend", "expected", "expected_sd", "low", "high", "next", "next_sd")
FIELDS = frozenset(
    ("count", "last", "last_at_ms", "mean", "sd", "surprise", *_QUANTILES, *_OF_SEASONS)
)
_NORMAL_95 = 1.959964  # how many standard deviations around the mean hold 95 %
_MOST = 1e140  # greater magnitudes count as this one, so that sums of squares are doubles
_RESOLUTION = 2.0**-40  # relative: what the running mean of doubles tells apart, with a margin


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How a forecast is made, from its spec. step_ms 0: neither trend nor season.

    shape: state made with another shape cannot be carried on."""

    half_life_ms: int
    step_ms: int
    season_steps: int
    forget_ms: int
    shape: str

    @classmethod
    def of(cls, spec: ForecastSpec) -> Method:
        """Raises InvalidInput naming the field."""
        half_life_ms = duration_ms(spec.half_life, "half_life", least_ms=1_000)
        forget_ms = duration_ms(spec.forget, "forget", least_ms=1_000)
        step_ms, steps = 0, 1
        if spec.season is not None:
            if spec.step is not None:
                raise InvalidInput("step", "step: a season has steps of its own; leave one out")
            steps = spec.season.steps
            if not 2 <= steps <= 366:
                raise InvalidInput("season.steps", f"season.steps: {steps} is not within 2 to 366")
            step_ms = duration_ms(spec.season.every, "season.every", least_ms=1_000) // steps
            if step_ms < 1_000:
                raise InvalidInput("season.steps", "season.steps: a step must last a second")
        elif spec.step is not None:
            step_ms = duration_ms(spec.step, "step", least_ms=1_000)
        return cls(
            half_life_ms=half_life_ms,
            step_ms=step_ms,
            season_steps=steps,
            forget_ms=forget_ms,
            shape=f"{half_life_ms}/{step_ms}/{steps}/{spec.feed}/{spec.key}/{spec.value}",
        )


class Forecast(msgspec.Struct, array_like=True):
    """State at one key. surprise: how many standard deviations the newest value was away from
    the mean before it; None: not known yet."""

    shape: str
    mean: Mean
    quantiles: Quantiles
    seasonal: Seasonal | None = None
    count: int = 0
    last: float = 0.0
    last_ms: int = 0
    surprise: float | None = None

    @classmethod
    def new(cls, method: Method) -> Forecast:
        seasonal = Seasonal.of(method.season_steps) if method.step_ms else None
        return cls(method.shape, Mean(), Quantiles(), seasonal)

    def add(self, value: float, time_ms: int, method: Method) -> None:
        """`value` must be finite."""
        value = max(-_MOST, min(value, _MOST))
        self.surprise = surprise(value, self.mean) if self.count > 1 else None
        self.mean.add(value, time_ms, method.half_life_ms)
        self.quantiles.add(value, time_ms, method.half_life_ms)
        if self.seasonal is not None:
            self.seasonal.add(value, time_ms, method.step_ms)
        self.count += 1
        if time_ms >= self.last_ms:
            self.last, self.last_ms = value, time_ms

    def read(self, field: str, method: Method) -> float | int | None:
        """One of FIELDS, a finite number; None where too little is known yet."""
        if field in _QUANTILES:
            return self.quantiles.quantile(_QUANTILES[field])
        if field in _OF_SEASONS:
            return self._of_seasons(field, method)
        return {
            "count": self.count, "last": self.last, "last_at_ms": self.last_ms,
            "mean": self.mean.mean, "sd": self.mean.sd, "surprise": self.surprise,
        }[field]  # fmt: skip

    def _of_seasons(self, field: str, method: Method) -> float | None:
        if self.seasonal is None:
            return None
        if field == "trend":
            return self.seasonal.trend * HOUR_MS / method.step_ms if self.seasonal.steps else None
        found = self.seasonal.expected(1 if field.startswith("next") else 0)
        if found is None:
            return None
        mean, sd = found
        return {
            "expected": mean, "expected_sd": sd, "next": mean, "next_sd": sd,
            "low": mean - _NORMAL_95 * sd, "high": mean + _NORMAL_95 * sd,
        }[field]  # fmt: skip


def surprise(value: float, before: Mean) -> float:
    """How many standard deviations a value is away from the mean of those before it, of which
    there must be two at least: one has no deviation.

    A history that was constant has none either, though it says much. Its deviation is taken to be
    what the mean of doubles can tell apart (rounding of the updating formulas: Chan, Golub,
    LeVeque, "Algorithms for computing the sample variance", 1983), the least that could have been
    seen: the same value again is no surprise (0), any other a very great one, and always finite.

    >>> constant = Mean(weight=3.0, mean=10.0)
    >>> surprise(10.0, constant), surprise(11.0, constant) > 1e9
    (0.0, True)
    """
    away = value - before.mean
    least = max(_RESOLUTION * max(abs(value), abs(before.mean)), sys.float_info.min)
    return 0.0 if abs(away) <= least else away / max(before.sd, least)


def is_number(value: object) -> bool:
    """Whether a forecast or a window can take it."""
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]

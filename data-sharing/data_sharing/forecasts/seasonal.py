"""Seasonal: trend and season of a value by additive Holt-Winters with a damped trend.

Hyndman, Athanasopoulos, "Forecasting: principles and practice", 3rd ed., sections 8.2 to 8.4 and
8.7 for the variance of what is to come. Time goes in steps; a step's value is the mean of its
events. Steps without events pass in O(1): the level goes on along its trend, the season stays.
While little is known, each new step weighs 1/n, so that the first value does not stay for long.
"""

from __future__ import annotations

import math

import msgspec

ALPHA, BETA, GAMMA = 0.2, 0.05, 0.15  # how fast level, trend and season follow
PHI = 0.98  # how much of the trend is left after a step
_LAMBDA = 0.05  # how fast the variance of the errors follows


class Seasonal(msgspec.Struct, array_like=True):
    """season: what to add to the level at each step of the season; one zero without season."""

    season: list[float]
    visits: list[int]  # how often each step of the season has been seen
    level: float = 0.0
    trend: float = 0.0  # per step
    variance: float = 0.0  # of the error of one step ahead
    steps: int = 0  # seen and closed
    step: int = -1  # running: number since 1970
    total: float = 0.0  # of the events of the running step
    count: int = 0

    @classmethod
    def of(cls, steps: int) -> Seasonal:
        """`steps` of a season; 1: trend alone."""
        return cls([0.0] * steps, [0] * steps)

    def add(self, value: float, time_ms: int, step_ms: int) -> None:
        """Late values, of a step that is closed, count to the running one."""
        step = time_ms // step_ms
        if self.step < 0:
            self.step = step
        elif step > self.step:
            self._close()
            self._pass(step - self.step - 1)
            self.step = step
        self.total += value
        self.count += 1

    def expected(self, ahead: int = 0) -> tuple[float, float] | None:
        """Mean and standard deviation of the step `ahead` of the running one, as the closed
        steps foretell it; None before one has closed."""
        if self.steps == 0:
            return None
        steps = ahead + 1
        mean = self.level + self.trend * _damped(steps) + self._seasonal(self.step + ahead)
        grown = 1.0
        if steps > 1:  # class 1 model, section 8.7
            season = len(self.season)
            for j in range(1, min(steps, 1_000)):
                weight = ALPHA + ALPHA * BETA * _damped(j)
                weight += GAMMA * (1 - ALPHA) if season > 1 and j % season == 0 else 0.0
                grown += weight * weight
        return mean, math.sqrt(self.variance * grown)

    def _seasonal(self, step: int) -> float:
        return self.season[step % len(self.season)]

    def _close(self) -> None:
        if self.count == 0:
            return
        value = self.total / self.count
        self.total, self.count = 0.0, 0
        at = self.step % len(self.season)
        if self.steps == 0:
            self.level = value
        else:
            foretold = self.level + PHI * self.trend
            error = value - foretold - self.season[at]
            share = max(_LAMBDA, 1.0 / self.steps)
            self.variance += share * (error * error - self.variance)
            self._learn(error, foretold, at)
        self.visits[at] += 1
        self.steps += 1

    def _learn(self, error: float, foretold: float, at: int) -> None:
        season = len(self.season)
        if season > 1 and self.visits[at] == 0:
            # The first season: what the level cannot explain is the season's, and the level
            # is the running mean.
            share = 1.0 / (self.steps + 1)
            moved = share * error
            self._shift(moved)
            self.season[at] = error - moved
            self.level = foretold + moved
            return
        alpha = max(ALPHA, 1.0 / (self.steps + 1)) if season == 1 else ALPHA
        level = foretold + alpha * error
        self.trend = PHI * self.trend + alpha * BETA * error
        if season > 1:
            self.season[at] += max(GAMMA, 1.0 / (self.visits[at] + 1)) * (1 - alpha) * error
        self.level = level

    def _shift(self, by: float) -> None:
        """The level rises: what was learned of the season so far is relative to it."""
        for at, visits in enumerate(self.visits):
            if visits:
                self.season[at] -= by

    def _pass(self, steps: int) -> None:
        """Steps without events. _close has brought the level to the end of the running step."""
        if steps > 0 and self.steps:
            self.level += self.trend * _damped(steps)
            self.trend *= PHI ** min(steps, 10_000)


def _damped(steps: int) -> float:
    """PHI + PHI² + … of so many steps."""
    return PHI * (1.0 - PHI ** min(steps, 10_000)) / (1.0 - PHI)

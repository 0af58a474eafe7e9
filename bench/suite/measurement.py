"""Measurement: what the suite knows of one kind of figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median

ROUNDS, LONG_ROUNDS = 3, 5  # of a run that claims something, and of `--long`
WARM_UP = -1  # the number of the round before the first, which warms everything up
_SMALL = 5  # by what the work of a round is divided that claims nothing


def divisor(number: int, *, quick: bool) -> int:
    """By what the work of this round is divided."""
    return _SMALL if quick or number == WARM_UP else 1


@dataclass(slots=True, kw_only=True)
class Samples:
    """Figures by name, one value a round."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        return median(self.values[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """ours ÷ ceiling, medians of one run. target None: a figure, nothing is asked of it; `at_least`
    False: at most. paired: the median of the ratios of each pair of values, which were measured
    right after one another."""

    key: str
    ours: str
    ceiling: str
    target: float | None
    at_least: bool = True
    paired: bool = False

    def value(self, samples: Samples) -> float:
        if self.paired:
            return median(self.of_pairs(samples))
        return samples.median(self.ours) / samples.median(self.ceiling)

    def of_pairs(self, samples: Samples) -> list[float]:
        """The ratio of each pair of values, in their order."""
        ours, ceiling = samples.values[self.ours], samples.values[self.ceiling]
        return [mine / theirs for mine, theirs in zip(ours, ceiling, strict=True)]

    def met(self, samples: Samples) -> bool:
        """Whether its target is; one without is."""
        if self.target is None:
            return True
        value = self.value(samples)
        return value >= self.target if self.at_least else value <= self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is asked of a figure that stands by itself. `at_least` False: at most."""

    figure: str
    target: float
    at_least: bool = True

    def value(self, samples: Samples) -> float:
        return samples.median(self.figure)

    def met(self, samples: Samples) -> bool:
        value = self.value(samples)
        return value >= self.target if self.at_least else value <= self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """`run(samples, rounds, quick, tick)` adds figures, alternating ours and ceiling within
    each round; `tick()` after each step, `steps(rounds)` of them. It raises Failed when a
    figure would mean nothing. `units`: of each figure; `targets`: of those that stand by
    themselves."""

    name: str
    ratios: tuple[Ratio, ...]
    units: Mapping[str, str]
    run: Callable[[Samples, int, bool, Callable[[], None]], None]
    steps: Callable[[int], int]
    targets: tuple[Target, ...] = ()


class Skipped(Exception):
    """What a measurement needs is not on this machine; the words say what."""


class Failed(Exception):
    """A server answered wrongly under load: its figure would mean nothing."""

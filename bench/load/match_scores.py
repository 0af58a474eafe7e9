"""How well browsers were found on their devices, against a truth that is known. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

THRESHOLDS: Final = (0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.999)
SAME_F1: Final = 0.005  # two scores that differ by less are of the same work


class Prediction(NamedTuple):
    """The device on which a browser is most likely, and how likely that is, 0 to 1."""

    browser: str
    device: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """precision: of those that were found, the share that is right; recall: of those that could be,
    the share that was found rightly. Both 0 to 1."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 where nothing was found."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def score(found: Mapping[str, str], is_on: Mapping[str, str], possible: Collection[str]) -> Score:
    """found: browsers with the device that was said; is_on: all browsers with their device;
    possible: those that tell enough to be found, one at least. One that is guessed rightly
    without that is right, and was not missing."""
    right = [browser for browser, device in found.items() if is_on[browser] == device]
    return Score(
        precision=len(right) / len(found) if found else 0.0,
        recall=sum(browser in possible for browser in right) / len(possible),
    )


def best_score(
    predictions: Iterable[Prediction],
    is_on: Mapping[str, str],
    possible: Collection[str],
    thresholds: Sequence[float] = THRESHOLDS,
) -> Score:
    """The best by F1, of those that come of taking what is at least so likely as a threshold says.
    predictions: one of a browser."""
    known = list(predictions)
    return max(
        (
            score({p.browser: p.device for p in known if p.probability >= least}, is_on, possible)
            for least in thresholds
        ),
        key=lambda one: one.f1,
    )


def same_work(ours: Score, theirs: Score) -> bool:
    """Whether ours is as good as theirs, or nearly."""
    return ours.f1 >= theirs.f1 - SAME_F1

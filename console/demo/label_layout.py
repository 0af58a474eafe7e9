"""Where the labels of a map go so that they do not cover each other. Pure.

Greedy, in the order given: each label tries the places around its mark, nearest and most
readable first, and takes the one that covers least. Good for tens of labels; no search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Direction from the mark (degrees, 0 is right, 90 is up), best first.
_DIRECTIONS_DEG = (0, 180, -35, 35, 215, 145, -90, 90)
_FURTHER = (1.0, 2.2, 3.8, 7.0)  # how far from the mark, in gaps


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a label belongs to, and the label's size; one unit of length for all."""

    x: float
    y: float
    radius: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    left: float
    bottom: float
    width: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        return self.left + self.width / 2, self.bottom + self.height / 2


def overlap(a: Box, b: Box) -> float:
    """Area that two boxes share."""
    across = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    upwards = min(a.bottom + a.height, b.bottom + b.height) - max(a.bottom, b.bottom)
    return max(0.0, across) * max(0.0, upwards)


def place_labels(marks: Sequence[Mark], *, within: Box, gap: float) -> list[Box]:
    """A box for each mark's label, in the order of the marks. Boxes stay inside `within` where
    some place allows it, `gap` away from their mark, clear of all marks and earlier labels."""
    taken = [_around(mark) for mark in marks]
    placed: list[Box] = []
    for mark in marks:
        best = min(_places(mark, gap), key=lambda place: _cost(place, taken, within))
        placed.append(best)
        taken.append(best)
    return placed


def _around(mark: Mark) -> Box:
    return Box(
        left=mark.x - mark.radius,
        bottom=mark.y - mark.radius,
        width=2 * mark.radius,
        height=2 * mark.radius,
    )


def _places(mark: Mark, gap: float) -> list[Box]:
    places = []
    for further in _FURTHER:
        reach = mark.radius + gap * further
        for direction in _DIRECTIONS_DEG:
            right, up = math.cos(math.radians(direction)), math.sin(math.radians(direction))
            x, y = mark.x + reach * right, mark.y + reach * up
            places.append(
                Box(
                    left=x - mark.width * (1 - right) / 2,
                    bottom=y - mark.height * (1 - up) / 2,
                    width=mark.width,
                    height=mark.height,
                )
            )
    return places


def _cost(place: Box, taken: Sequence[Box], within: Box) -> float:
    """In areas of the label, rounded so that equally good places keep their order."""
    area = place.width * place.height
    outside = area - overlap(place, within)
    return round((sum(overlap(place, other) for other in taken) + 4 * outside) / area, 6)

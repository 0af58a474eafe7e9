"""Plots: curves over the seconds of a run, as SVG that stands in a page by itself. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 920.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 12.0, 10.0, 28.0
MOST_POINTS = 460  # of a curve: one for every second pixel
TICKS = 4
Scale = Callable[[float], float]  # from a value to its place in the picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One value a second; None: there is none. filled: the area below it is coloured."""

    name: str
    colour: str
    values: Sequence[float | None]
    filled: bool = False


def plot(curves: Sequence[Curve], *, title: str, unit: str = "", log: bool = False) -> str:
    """A chart with its legend. log: values from 0.1 up, by tens."""
    points = [value for curve in curves for value in curve.values if value is not None]
    top = max(1e-3, *points) if points else 1.0
    count = max((len(curve.values) for curve in curves), default=0)
    marks = _decades(top) if log else _even(top)
    low, high = (marks[0], marks[-1]) if log else (0.0, marks[-1])

    def y(value: float) -> float:
        above = math.log10(max(value, low) / low) if log else value
        share = above / (math.log10(high / low) if log else high)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def x(second: float) -> float:
        return LEFT + second / max(1, count - 1) * (WIDTH - LEFT - RIGHT)

    drawn = [
        f'<line x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>'
        f'<text x="{LEFT - 8:g}" y="{y(mark) + 4:.1f}" text-anchor="end">{plain(mark)}</text>'
        for mark in marks
    ]
    drawn += [
        f'<text x="{x(second):.1f}" y="{HEIGHT - 8:g}" text-anchor="middle">{second} s</text>'
        for second in _seconds(count)
    ]
    for curve in curves:
        drawn += [_drawn(curve, part, x, y) for part in _parts(curve.values)]
    legend = "".join(
        f'<span><i style="background:{curve.colour}"></i>{escape(curve.name)}</span>'
        for curve in curves
    )
    said = escape(f"{title}{f', {unit}' if unit else ''}")
    return (
        f"<figure><figcaption><b>{said}</b>{legend}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{said}">'
        f"{''.join(drawn)}</svg></figure>"
    )


def plain(value: float) -> str:
    """A number as people read it on an axis."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def thinned(values: Sequence[float | None], most: int = MOST_POINTS) -> list[tuple[int, float]]:
    """No more than so many points, as (second, value): of several seconds the largest value, so
    that no peak is lost."""
    step = max(1, math.ceil(len(values) / most))
    found = []
    for start in range(0, len(values), step):
        here = [
            (value, start + place)
            for place, value in enumerate(values[start : start + step])
            if value is not None
        ]
        if here:
            value, second = max(here)
            found.append((second, value))
    return found


def _parts(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Runs of seconds that have a value."""
    parts: list[list[tuple[int, float]]] = []
    step = max(1, math.ceil(len(values) / MOST_POINTS))
    last = -2 * step
    for second, value in thinned(values):
        if second - last >= 2 * step:
            parts.append([])
        parts[-1].append((second, value))
        last = second
    return parts


def _drawn(curve: Curve, part: list[tuple[int, float]], x: Scale, y: Scale) -> str:
    places = " ".join(f"{x(second):.1f},{y(value):.1f}" for second, value in part)
    made = (
        f'<polyline points="{places}" fill="none" stroke="{curve.colour}" stroke-width="1.8" '
        'stroke-linejoin="round"/>'
    )
    if len(part) == 1:
        second, value = part[0]
        made = f'<circle cx="{x(second):.1f}" cy="{y(value):.1f}" r="2" fill="{curve.colour}"/>'
    elif curve.filled:
        ground = HEIGHT - BOTTOM
        made = (
            f'<polygon points="{x(part[0][0]):.1f},{ground:g} {places} '
            f'{x(part[-1][0]):.1f},{ground:g}" fill="{curve.colour}" opacity="0.18"/>{made}'
        )
    return made


def _even(top: float) -> list[float]:
    """Round marks from 0 to above the top."""
    rough = top / TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * one for one in (1, 2, 2.5, 5, 10) if size * one >= rough * 0.999)
    return [round(step * number, 10) for number in range(math.ceil(top / step - 1e-9) + 1)]


def _decades(top: float) -> list[float]:
    high = max(1, math.ceil(math.log10(max(top, 0.2)) - 1e-9))
    return [10.0**power for power in range(-1, high + 1)]


def _seconds(count: int) -> list[int]:
    """Round marks on the axis of time."""
    last = max(1, count - 1)
    step = max(1, math.ceil(last / 8))
    for rounder in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 10_800):
        if rounder >= step:
            step = rounder
            break
    return list(range(0, last + 1, step))

"""SvgMap: land, places with clients and units as one SVG element, without scripts or links.

Each circle on land is a place, coloured by the unit that most of its clients are given; each ring
is a unit, as large as its clients are many and filled as far as its capacity is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from math import pi, sqrt

from simulation.maps.outline.land import read_land
from simulation.maps.projection import project

WIDTH, HEIGHT = 960.0, 460.0
MOST_PLACES = 1_500  # circles: the largest
MOST_NAMES = 40  # units that are named: the largest
_SCALE = WIDTH / (2 * 2.7353)
_MIDDLE_Y = 0.17  # of the map: nobody lives far south
_HUES = (
    "#f6b73c", "#4cc3f0", "#ef6f8e", "#7bd88f", "#b794f6", "#ff9466",
    "#4fd1c5", "#e6d96a", "#6f9bff", "#f08bd2", "#a3d65c", "#d9a679",
)  # fmt: skip
NOBODY = "#d64545"  # of places whose clients no unit takes


@dataclass(frozen=True, slots=True, kw_only=True)
class MapUnit:
    """A unit. used: share of its capacity, 0.0 to 1.0; taken_out: it takes nobody."""

    id: str
    latitude: float  # degrees
    longitude: float
    clients: float
    used: float
    taken_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPlace:
    """Clients of one place. unit: index of the unit that has most of them; -1: nobody."""

    latitude: float  # degrees
    longitude: float
    clients: float
    unit: int


def colours(units: Sequence[MapUnit]) -> list[str]:
    """One for each unit; neighbours from west to east get hues far apart."""
    order = sorted(range(len(units)), key=lambda at: (units[at].longitude, units[at].id))
    found = [""] * len(units)
    for place, at in enumerate(order):
        found[at] = _HUES[place * 5 % len(_HUES)]
    return found


def svg_map(
    units: Sequence[MapUnit],
    places: Sequence[MapPlace],
    *,
    title: str,
    most_places: int = MOST_PLACES,
) -> str:
    """The element. title: for whoever does not see it; most_places: circles, the largest."""
    hues = colours(units)
    most = max([place.clients for place in places], default=1.0) or 1.0
    largest = sorted(places, key=lambda place: -place.clients)[:most_places]
    circles = []
    for place in largest:
        x, y = _point(place.longitude, place.latitude)
        radius = max(0.6, 9.0 * sqrt(place.clients / most))
        hue = hues[place.unit] if place.unit >= 0 else NOBODY
        circles.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{hue}"/>')
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{escape(title)}</title>'
        f'<rect width="{WIDTH:.0f}" height="{HEIGHT:.0f}" rx="8" fill="#0d1624"/>'
        f'<path d="{_land()}" fill="#22324a" stroke="#34475f" stroke-width="0.4"/>'
        f'<g fill-opacity="0.55">{"".join(circles)}</g>'
        f"<g>{''.join(_rings(units, hues))}</g></svg>"
    )


def _rings(units: Sequence[MapUnit], hues: Sequence[str]) -> list[str]:
    most = max([unit.clients for unit in units], default=1.0) or 1.0
    by_size = sorted(range(len(units)), key=lambda at: -units[at].clients)
    named = set(by_size[:MOST_NAMES])
    small = 5.0 if len(units) <= 100 else 2.0
    found = []
    for at in by_size:
        unit = units[at]
        x, y = _point(unit.longitude, unit.latitude)
        radius = small + 8.0 * sqrt(unit.clients / most)
        share = min(1.0, unit.used)
        around = 2 * pi * radius
        hue = NOBODY if unit.taken_out else hues[at]
        words = escape(f"{unit.id}: {unit.clients:,.0f} clients, {unit.used:.0%} of its capacity")
        cross = (
            f'<path d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" stroke="{hue}" stroke-width="2"/>'
            if unit.taken_out else ""
        )  # fmt: skip
        found.append(
            f"<g><title>{words}</title>"
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="#0d1624" '
            f'fill-opacity="0.8" stroke="#45566d" stroke-width="2"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="none" stroke="{hue}" '
            f'stroke-width="2" stroke-dasharray="{share * around:.1f} {around:.1f}" '
            f'transform="rotate(-90 {x:.1f} {y:.1f})"/>{cross}'
        )
        if at in named:
            found.append(
                f'<text x="{x:.1f}" y="{y + radius + 9:.1f}" font-size="9" fill="#dfe7f1" '
                f'text-anchor="middle" font-family="Helvetica, Arial, sans-serif">'
                f"{escape(unit.id)}</text>"
            )
        found.append("</g>")
    return found


def _point(longitude: float, latitude: float) -> tuple[float, float]:
    x, y = project(longitude, latitude)
    return WIDTH / 2 + float(x) * _SCALE, HEIGHT / 2 - (float(y) - _MIDDLE_Y) * _SCALE


@cache
def _land() -> str:
    """The outline as the data of a path."""
    parts = []
    for polygon in read_land():
        for ring in polygon:
            x, y = project(ring[:, 0], ring[:, 1])
            at = zip(
                (WIDTH / 2 + x * _SCALE).tolist(),
                (HEIGHT / 2 - (y - _MIDDLE_Y) * _SCALE).tolist(),
                strict=True,
            )
            parts.append("M" + "L".join(f"{one:.1f} {other:.1f}" for one, other in at) + "Z")
    return "".join(parts)

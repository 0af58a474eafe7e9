"""Draws a provisioned world: units, how full they are, and where their clients are.

One picture, written as PNG and SVG from the same drawing. Each circle on land is a place with
clients, coloured by the unit they were given and joined to it by a great circle; each ring is a
unit, as large as its clients are many and filled as far as its capacity is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Wedge
from matplotlib.path import Path as Outline
from matplotlib.textpath import TextPath

from console.demo.label_layout import Box, Mark, place_labels
from simulation.maps.outline.land import read_land
from simulation.maps.projection import great_circle, project

ATTRIBUTION = "IP Geolocation by DB-IP (db-ip.com) · land: Natural Earth"

_SEA = "#0d1624"
_GLOBE = "#111d2e"
_LAND = "#22324a"
_COAST = "#34475f"
_GRID = "#1a2940"
_TEXT = "#dfe7f1"
_QUIET = "#8798ad"
_HUES = (
    "#f6b73c", "#4cc3f0", "#ef6f8e", "#7bd88f", "#b794f6", "#ff9466",
    "#4fd1c5", "#e6d96a", "#6f9bff", "#f08bd2", "#a3d65c", "#d9a679",
)  # fmt: skip
_NAME = FontProperties(size=9.5, weight="bold")
_FIGURES = FontProperties(size=7.5)
_SOUTH, _NORTH = -57.0, 83.5  # degrees: where people live
_WIDTH_IN = 14.0
_DPI = 100  # 1,400 pixels wide: sharp in a README, and under 400 kB


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitOnMap:
    id: str
    latitude: float  # degrees
    longitude: float
    clients: int
    capacity: int

    @property
    def load(self) -> float:
        """Share of the capacity in use, 0.0 to 1.0."""
        return min(1.0, self.clients / self.capacity) if self.capacity else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientsOnMap:
    """Clients of one unit whose location is the same place."""

    latitude: float  # degrees
    longitude: float
    unit: str
    clients: int


def draw_world(
    units: Sequence[UnitOnMap],
    places: Sequence[ClientsOnMap],
    *,
    title: str,
    subtitle: str,
    targets: Sequence[Path],
) -> None:
    """Writes the picture to each target; the file's suffix says the format."""
    colours = _colours(units)
    with mpl.rc_context({"svg.hashsalt": "homeport"}):
        figure, axes = _empty_world()
        _draw_land(axes)
        _draw_ways(axes, units, places, colours)
        _draw_places(axes, places, colours)
        _draw_units(axes, units, colours)
        _draw_words(figure, title, subtitle, units)
        for target in targets:
            if target.suffix == ".svg":
                figure.savefig(target, facecolor=_SEA, metadata={"Date": None})
            else:
                figure.savefig(target, dpi=_DPI, facecolor=_SEA, pil_kwargs={"optimize": True})


def _colours(units: Sequence[UnitOnMap]) -> dict[str, str]:
    """A colour for each unit; neighbours from west to east get hues far apart."""
    westward = sorted(units, key=lambda unit: (unit.longitude, unit.id))
    return {unit.id: _HUES[i * 5 % len(_HUES)] for i, unit in enumerate(westward)}


def _empty_world() -> tuple[Figure, Axes]:
    edge_lat = np.linspace(_SOUTH, _NORTH, 80)
    west_x, west_y = project(np.full(80, -180.0), edge_lat)
    half = float(np.abs(west_x).max())
    height_in = _WIDTH_IN * (west_y[-1] - west_y[0]) / (2 * half) + 1.55
    figure = Figure(figsize=(_WIDTH_IN, float(height_in)))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.55 / height_in, 1.0, 1 - 1.55 / height_in))
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-half * 1.02, half * 1.02)
    axes.set_ylim(float(west_y[0]), float(west_y[-1]))
    rim = np.column_stack(
        [np.concatenate([west_x, -west_x[::-1]]), np.concatenate([west_y, west_y[::-1]])]
    )
    axes.add_patch(PathPatch(Outline(rim), facecolor=_GLOBE, edgecolor="none", zorder=0))
    parallels = [
        np.column_stack(project([-180.0, 180.0], [float(lat)] * 2)) for lat in range(-30, 61, 30)
    ]
    meridians = [
        np.column_stack(project(np.full(80, float(lon)), edge_lat)) for lon in range(-150, 151, 30)
    ]
    axes.add_collection(
        LineCollection([*parallels, *meridians], colors=_GRID, linewidths=0.6, zorder=1)
    )
    return figure, axes


def _draw_land(axes: Axes) -> None:
    outlines = []
    for polygon in read_land():
        rings = [
            Outline(np.column_stack(project(ring[:, 0], ring[:, 1])), closed=True)
            for ring in polygon
        ]
        outlines.append(Outline.make_compound_path(*rings))
    axes.add_collection(
        PathCollection(outlines, facecolor=_LAND, edgecolor=_COAST, linewidths=0.35, zorder=2)
    )


def _draw_ways(
    axes: Axes,
    units: Sequence[UnitOnMap],
    places: Sequence[ClientsOnMap],
    colours: dict[str, str],
) -> None:
    """From each place to its unit: the more clients, the more visible."""
    homes = {unit.id: (unit.longitude, unit.latitude) for unit in units}
    most = max((place.clients for place in places), default=1)
    lines, shades = [], []
    for place in places:
        alpha = 0.07 + 0.4 * math.sqrt(place.clients / most)
        start = (place.longitude, place.latitude)
        for piece in great_circle(start, homes[place.unit]):
            lines.append(np.column_stack(project(piece[:, 0], piece[:, 1])))
            shades.append(mpl.colors.to_rgba(colours[place.unit], alpha))
    axes.add_collection(LineCollection(lines, colors=shades, linewidths=0.5, zorder=3))


def _draw_places(axes: Axes, places: Sequence[ClientsOnMap], colours: dict[str, str]) -> None:
    ordered = sorted(places, key=lambda place: -place.clients)
    x, y = project([p.longitude for p in ordered], [p.latitude for p in ordered])
    most = ordered[0].clients if ordered else 1
    size = 2.0 + 520.0 * np.array([p.clients for p in ordered]) / most
    axes.scatter(
        x,
        y,
        s=size,
        c=[mpl.colors.to_rgba(colours[p.unit], 0.55) for p in ordered],
        linewidths=0,
        zorder=4,
    )


def _draw_units(axes: Axes, units: Sequence[UnitOnMap], colours: dict[str, str]) -> None:
    most = max((unit.clients for unit in units), default=1) or 1
    ordered = sorted(units, key=lambda unit: -unit.clients)
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    per_point = (right - left) / (_WIDTH_IN * 72.0)  # map units in one point of type
    marks = []
    for unit in ordered:
        x, y = project(unit.longitude, unit.latitude)
        words = max(_width_pt(unit.id, _NAME), _width_pt(_load_words(unit), _FIGURES))
        marks.append(
            Mark(
                x=float(x),
                y=float(y),
                radius=0.030 + 0.034 * math.sqrt(unit.clients / most),
                width=(words + 9.0) * per_point,
                height=25.0 * per_point,
            )
        )
    within = Box(left=left, bottom=bottom, width=right - left, height=top - bottom)
    labels = place_labels(marks, within=within, gap=4.0 * per_point)
    for unit, mark, label in zip(ordered, marks, labels, strict=True):
        _draw_ring(axes, mark, unit.load, colours[unit.id])
        _draw_label(axes, unit, label, colours[unit.id], per_point)


def _width_pt(words: str, font: FontProperties) -> float:
    """How wide some words are in print, in points."""
    return float(TextPath((0, 0), words, prop=font).get_extents().width)


def _draw_ring(axes: Axes, mark: Mark, load: float, colour: str) -> None:
    """A dark disc, a faint full ring, and over it the share of the capacity in use, from the
    top and clockwise."""
    centre, thick = (mark.x, mark.y), mark.radius * 0.36
    axes.add_patch(Circle(centre, mark.radius * 1.12, facecolor=_SEA, alpha=0.85, zorder=6))
    axes.add_patch(
        Wedge(centre, mark.radius, 0, 360, width=thick, facecolor=colour, alpha=0.30, zorder=7)
    )
    axes.add_patch(
        Wedge(centre, mark.radius, 90 - 360 * load, 90, width=thick, facecolor=colour, zorder=8)
    )
    axes.add_patch(Circle(centre, mark.radius * 0.3, facecolor=colour, zorder=8))


def _draw_label(axes: Axes, unit: UnitOnMap, label: Box, colour: str, per_point: float) -> None:
    x, y = label.middle
    backing = FancyBboxPatch(
        (label.left, label.bottom),
        label.width,
        label.height,
        boxstyle=f"round,pad=0,rounding_size={4 * per_point}",
        facecolor=_SEA,
        edgecolor="none",
        alpha=0.62,
        zorder=9,
    )
    axes.add_patch(backing)
    lines = ((unit.id, 5.2, colour, _NAME), (_load_words(unit), -5.6, _TEXT, _FIGURES))
    for words, up_pt, shade, font in lines:
        axes.text(
            x,
            y + up_pt * per_point,
            words,
            color=shade,
            fontproperties=font,
            ha="center",
            va="center_baseline",
            zorder=10,
        )


def _load_words(unit: UnitOnMap) -> str:
    return f"{unit.clients:,} · {unit.load:.1%} full"


def _draw_words(figure: Figure, title: str, subtitle: str, units: Sequence[UnitOnMap]) -> None:
    height_in = figure.get_figheight()
    figure.text(
        0.02, 1 - 0.36 / height_in, title, color=_TEXT, fontsize=17, fontweight="bold",
        ha="left", va="center",
    )  # fmt: skip
    figure.text(
        0.02, 1 - 0.70 / height_in, subtitle, color=_QUIET, fontsize=10.5, ha="left", va="center"
    )
    legend = (
        "ring: a unit, filled as far as its capacity is used · "
        "dot: clients at one place, in the colour of their unit"
    )
    figure.text(0.02, 0.25 / height_in, legend, color=_QUIET, fontsize=8.5, va="center")
    figure.text(
        0.98, 0.25 / height_in, ATTRIBUTION, color=_QUIET, fontsize=8.5, ha="right", va="center"
    )

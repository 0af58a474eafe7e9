"""The picture of a simulation: one SVG file with what differs in figures, and maps before and
after, for documents and reviews. It fetches nothing."""

from __future__ import annotations

from html import escape

from simulation.maps.svg_map import HEIGHT, WIDTH
from simulation.policy.comparison import ComparedSides
from simulation.policy.figures import Document, Scenario
from simulation.policy.side_map import side_map

MOST_PLACES = 300  # circles of a map
_MARGIN, _HEAD, _GAP = 24.0, 118.0, 34.0
_INK, _QUIET = "#1d2b3a", "#5c6f84"


def picture_of(scenario: Scenario, outcome: ComparedSides, document: Document) -> str:
    """The file's text."""
    width = WIDTH + 2 * _MARGIN
    height = _HEAD + 2 * (HEIGHT + _GAP) + _MARGIN
    title = f"Policy simulation for tenant {scenario.tenant}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="Helvetica, Arial, sans-serif"><title>{escape(title)}</title>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#f6f8fb"/>',
        _text(_MARGIN, 38, title, size=22, weight="bold"),
    ]
    figures = _figures(document)
    for at, (name, value) in enumerate(figures):
        x = _MARGIN + at * WIDTH / len(figures)
        parts.append(_text(x, 70, name, size=12, ink=_QUIET))
        parts.append(_text(x, 94, value, size=15, weight="bold"))
    for at, (when, side) in enumerate((("before", outcome.before), ("after", outcome.after))):
        y = _HEAD + at * (HEIGHT + _GAP)
        found = side_map(
            scenario,
            side,
            document[when],
            when=when,
            without=scenario.without if at else (),
            most_places=MOST_PLACES,
        )
        placed = f'<svg x="{_MARGIN:.0f}" y="{y:.0f}" width="{WIDTH:.0f}" height="{HEIGHT:.0f}" '
        parts.append(found.replace("<svg ", placed, 1))
        parts.append(_text(_MARGIN, y + HEIGHT + 18, when, size=13, ink=_QUIET))
    return "\n".join([*parts, "</svg>", ""])


def _figures(document: Document) -> list[tuple[str, str]]:
    before, after, moved = document["before"], document["after"], document["moved"]
    median = [one["distance_km"]["p50"] for one in (before, after)]
    found = [
        ("clients", f"{after['clients']:,}"),
        ("live elsewhere than before", f"{moved['share']:.1%}"),
        ("placed nowhere", f"{after['unplaced_share']:.1%}"),
        ("median distance", " → ".join("?" if km is None else f"{km:,.0f} km" for km in median)),
    ]
    if "cost" in after:
        costs = [f"{one['cost']['total']:,.0f}" for one in (before, after)]
        found.append(("cost", " → ".join(costs)))
    return found


def _text(
    x: float, y: float, words: str, *, size: int, ink: str = _INK, weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" font-weight="{weight}" fill="{ink}">'
        f"{escape(words)}</text>"
    )

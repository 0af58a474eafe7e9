"""A run of millions as a picture: clients, memory and disk over its time, phase by phase.

    python -m bench.millions.chart build/millions.json docs/images/ten-million-users.svg

Pure but for reading and writing the files.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, RIGHT, GAP = 860, 110, 66, 150, 34
ETCD = "etcd-member"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """value: of one look, in `unit`."""

    title: str
    unit: str
    colour: str
    value: Callable[[Mapping[str, Any]], float]


CURVES = (
    Curve(title="clients with a home", unit="million", colour="#1f6f8b",
          value=lambda look: max(0, look["clients"]) / 1e6),
    Curve(title="provisioner, memory", unit="MiB", colour="#b4552d",
          value=lambda look: look["anonymous_mib"].get("server", 0.0)),
    Curve(title="etcd, memory", unit="MiB", colour="#6a4c93",
          value=lambda look: look["anonymous_mib"].get(ETCD, 0.0)),
    Curve(title="disk, all together", unit="MiB", colour="#4f772d",
          value=lambda look: look["disk_mib"]),
)  # fmt: skip


def chart(figures: Mapping[str, Any]) -> str:
    """SVG of what `bench.millions` found. Raises ValueError where it has fewer than two looks."""
    looks: Sequence[Mapping[str, Any]] = figures["looks"]
    if len(looks) < 2:
        raise ValueError("a picture needs two looks at least")
    ends_s = looks[-1]["at_s"] or 1.0
    height = GAP + len(CURVES) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    parts += _phases(looks, ends_s, height)
    for number, curve in enumerate(CURVES):
        parts += _curve(curve, looks, ends_s, GAP + number * (HEIGHT + GAP))
    return "\n".join([*parts, "</svg>", ""])


def _x(at_s: float, ends_s: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * at_s / ends_s


def _phases(looks: Sequence[Mapping[str, Any]], ends_s: float, height: int) -> list[str]:
    """A line and a name where one begins; names that would touch take two heights in turns."""
    parts, phase, number = list[str](), "", 0
    for look in looks:
        if look["phase"] != phase:
            phase, number = look["phase"], number + 1
            x = _x(look["at_s"], ends_s)
            parts.append(f'<path d="M{x:.1f} 8V{height - 8}" stroke="#ddd"/>')
            y = 16 + 12 * (number % 2)
            parts.append(f'<text x="{x + 3:.1f}" y="{y}" fill="#888">{escape(phase)}</text>')
    return parts


def _curve(curve: Curve, looks: Sequence[Mapping[str, Any]], ends_s: float, top: int) -> list[str]:
    values = [curve.value(look) for look in looks]
    most = max(*values, 1e-9)
    points = " ".join(
        f"{_x(look['at_s'], ends_s):.1f},{top + HEIGHT * (1 - value / most):.1f}"
        for look, value in zip(looks, values, strict=True)
    )
    bottom, right = top + HEIGHT, WIDTH - RIGHT
    return [
        f'<path d="M{LEFT} {top}V{bottom}H{right}" fill="none" stroke="#999"/>',
        f'<polyline points="{points}" fill="none" stroke="{curve.colour}" stroke-width="2"/>',
        f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{most:,.0f}</text>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{right + 8}" y="{top + HEIGHT // 2}" fill="{curve.colour}">'
        f"{escape(curve.title)}</text>",
        f'<text x="{right + 8}" y="{top + HEIGHT // 2 + 15}" fill="#888">{curve.unit}</text>',
    ]


if __name__ == "__main__":
    source, target = (Path(word) for word in sys.argv[1:])
    target.write_text(chart(json.loads(source.read_text())))

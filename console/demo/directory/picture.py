"""The picture of a conversation, as SVG: who said what, over which channel, and what became of it.

Pure: the same conversation is the same text. Lines are broken here, since SVG breaks none; widths
are those of a common sans-serif, estimated on the safe side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap
from xml.sax.saxutils import escape, quoteattr

WIDTH, MARGIN, PADDING = 860.0, 28.0, 14.0
BUBBLE_WIDTH = 520.0
TEXT_PX, SMALL_PX = 15.0, 12.0
LINE, SMALL_LINE, GAP = 21.0, 17.0, 18.0
_CHARACTER = 0.56  # of the size, on average
_COLOURS = {
    "seen": "#1a7f37",
    "delivered": "#1a7f37",
    "handed over": "#0969da",
    "unknown": "#9a6700",
    "undeliverable": "#cf222e",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLine:
    """What is known of a delivery: to whom, how, and in whose words."""

    recipient: str
    state: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubble:
    """One message. own: of whom the picture is of. buttons: of its card; pressed: one of them."""

    sender: str
    via: str
    text: str
    own: bool = False
    buttons: tuple[str, ...] = ()
    pressed: str = ""
    states: tuple[DeliveryLine, ...] = ()


def draw_conversation(title: str, subtitle: str, bubbles: Sequence[Bubble]) -> str:
    """An SVG document."""
    y = 84.0
    parts: list[str] = []
    for bubble in bubbles:
        drawn, height = _bubble(bubble, y)
        parts += drawn
        y += height + GAP
    height = y + MARGIN - GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" '
            f'width="{WIDTH:g}" height="{height:g}" role="img" aria-label={quoteattr(title)} '
            'font-family="Helvetica, Arial, sans-serif">',
            f'<rect width="{WIDTH:g}" height="{height:g}" rx="10" fill="#ffffff"/>',
            _text(MARGIN, 42, title, size=22, weight="bold"),
            _text(MARGIN, 64, subtitle, size=13, colour="#57606a"),
            *parts,
            "</svg>\n",
        ]
    )


def _bubble(one: Bubble, top: float) -> tuple[list[str], float]:
    """What is drawn, and its height."""
    lines = _wrapped(one.text, BUBBLE_WIDTH - 2 * PADDING, TEXT_PX)
    longest = max((len(line) for line in lines), default=0) * TEXT_PX * _CHARACTER
    buttons = sum(_button_width(name) + 8 for name in one.buttons)
    width = min(BUBBLE_WIDTH, max(longest, buttons, 120.0) + 2 * PADDING)
    left = WIDTH - MARGIN - width if one.own else MARGIN
    anchor, edge = ("end", WIDTH - MARGIN) if one.own else ("start", MARGIN)
    heading = f"{one.sender} · {one.via}" if one.via else one.sender
    drawn = [_text(edge, top + 12, heading, size=SMALL_PX, colour="#57606a", anchor=anchor)]
    box_top = top + 20
    box_height = len(lines) * LINE + 2 * PADDING - 6 + (40 if one.buttons else 0)
    fill, ink = ("#0969da", "#ffffff") if one.own else ("#f0f2f5", "#1f2328")
    drawn.append(
        f'<rect x="{left:g}" y="{box_top:g}" width="{width:g}" height="{box_height:g}" rx="14" '
        f'fill="{fill}"/>'
    )
    y = box_top + PADDING + 13
    for line in lines:
        drawn.append(_text(left + PADDING, y, line, size=TEXT_PX, colour=ink))
        y += LINE
    x = left + PADDING
    for name in one.buttons:
        drawn += _button(name, x, y - 8, pressed=name == one.pressed)
        x += _button_width(name) + 8
    y = box_top + box_height + 15
    for state in one.states:
        colour = _COLOURS.get(state.state, "#57606a")
        words = f"{state.recipient}: {state.state}"
        words += f" ({state.evidence})" if state.evidence else ""
        for line in _wrapped(words, WIDTH - 2 * MARGIN, SMALL_PX):
            drawn.append(_text(edge, y, line, size=SMALL_PX, colour=colour, anchor=anchor))
            y += SMALL_LINE
    return drawn, y - 15 - top


def _button(name: str, x: float, y: float, *, pressed: bool) -> list[str]:
    fill, ink = ("#1f883d", "#ffffff") if pressed else ("#ffffff", "#0969da")
    width = _button_width(name)
    label = f"{name} ✓" if pressed else name
    return [
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="30" rx="8" fill="{fill}" '
        'stroke="#d0d7de"/>',
        _text(x + width / 2, y + 20, label, size=13, colour=ink, anchor="middle"),
    ]


def _button_width(name: str) -> float:
    return (len(name) + 2) * 13 * _CHARACTER + 24


def _wrapped(text: str, width: float, size: float) -> list[str]:
    most = int(width / (size * _CHARACTER))
    return [line for given in text.splitlines() for line in (wrap(given, most) or [""])]


def _text(
    x: float,
    y: float,
    words: str,
    *,
    size: float,
    colour: str = "#1f2328",
    weight: str = "normal",
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{colour}" '
        f'font-weight="{weight}" text-anchor="{anchor}">{escape(words)}</text>'
    )

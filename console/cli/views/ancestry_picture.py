"""The ancestry of a decision as a picture: one SVG file, causes left of what followed from them. It
fetches nothing."""

from __future__ import annotations

from html import escape

from console.cli.views.ancestry import kind_of, words_of
from homeport.api.datasharing.v1 import decision_pb2 as pb

_WIDTH, _HEIGHT, _ACROSS, _DOWN, _MARGIN, _HEAD = 250, 46, 70, 16, 24, 64
_FILLS = {
    "event": "#d9ecfb", "decision": "#dff3e1", "instruction": "#fcefcf", "dead-letter": "#fbdcdc",
}  # fmt: skip
_INK, _QUIET, _LINE = "#1d2b3a", "#5c6f84", "#9aa9b8"
_MOST_LETTERS = 38  # of a line in a box


def picture_of(answer: pb.GetAncestryResponse) -> str:
    """The file's text. A column for each step away from what was asked for."""
    columns: dict[int, list[pb.AncestryNode]] = {}
    for node in answer.nodes:
        columns.setdefault(node.depth, []).append(node)
    first = min(columns, default=0)
    places = {
        node.node_id: (
            _MARGIN + (depth - first) * (_WIDTH + _ACROSS),
            _HEAD + row * (_HEIGHT + _DOWN),
        )
        for depth, those in columns.items()
        for row, node in enumerate(those)
    }
    width = 2 * _MARGIN + (max(columns, default=0) - first + 1) * (_WIDTH + _ACROSS) - _ACROSS
    most = max((len(those) for those in columns.values()), default=0)
    height = _HEAD + most * (_HEIGHT + _DOWN) + _MARGIN
    title = f"Ancestry of {answer.root_id}"
    said = "; more is left out" if answer.cut else ""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'font-family="Helvetica, Arial, sans-serif"><title>{escape(title)}</title>',
        f'<rect width="{width}" height="{height}" fill="#f6f8fb"/>',
        _text(_MARGIN, 38, title + said, size=18, ink=_INK),
    ]
    parts += [
        _edge(places[one.cause_id], places[one.effect_id])
        for one in answer.edges
        if one.cause_id in places and one.effect_id in places
    ]
    for node in answer.nodes:
        parts += _box(node, *places[node.node_id], is_root=node.node_id == answer.root_id)
    return "\n".join([*parts, "</svg>", ""])


def _edge(cause: tuple[int, int], effect: tuple[int, int]) -> str:
    x1, y1 = cause[0] + _WIDTH, cause[1] + _HEIGHT // 2
    x2, y2 = effect[0], effect[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    return (
        f'<path d="M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}" fill="none" '
        f'stroke="{_LINE}" stroke-width="1.5"/>'
    )


def _box(node: pb.AncestryNode, x: int, y: int, *, is_root: bool) -> list[str]:
    kind = kind_of(node)
    words = words_of(node)
    border = _INK if is_root else _LINE
    named = f"{kind} {node.node_id}" + (" …" if node.cut else "")
    return [
        f'<g><title>{escape(f"{named}: {words}")}</title><rect x="{x}" y="{y}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" rx="6" fill="{_FILLS.get(kind, "#ffffff")}" stroke="{border}" '
        f'stroke-width="{2 if is_root else 1}"/>',
        _text(x + 10, y + 18, _short(named), size=11, ink=_QUIET),
        _text(x + 10, y + 36, _short(words), size=13, ink=_INK),
        "</g>",
    ]


def _short(words: str) -> str:
    return words if len(words) <= _MOST_LETTERS else words[: _MOST_LETTERS - 1] + "…"


def _text(x: int, y: int, words: str, *, size: int, ink: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{ink}">{escape(words)}</text>'

"""What somebody else's text looks like inside ours: no control character, and no character that
turns the order of what stands around it. Pure.

Right-to-left text is ordinary, so marks without a range (LRM, RLM, ALM) stay, and isolates where
they are closed; embeddings and overrides, with which a text can be made to read as another, and
isolates left open become a character that can be seen (Unicode TR 36, UAX 9).
"""

from __future__ import annotations

import re
import unicodedata

from control_plane.printable import printable

_MARKS = "\u200e\u200f\u061c"
_OPENS, _CLOSES = "\u2066\u2067\u2068", "\u2069"
_REPLACEMENT = "\ufffd"
_KEPT = re.compile(f"([{_MARKS}\n\t])")
_ISOLATE = re.compile(f"[{_OPENS}{_CLOSES}]")
_FIRST_STRONG, _POP = "\u2068", "\u2069"
_FROM_THE_RIGHT = frozenset({"R", "AL", "AN", "RLI", "FSI"})
_MAX_NESTING = 60  # isolates that are counted; UAX 9 stops at 125 levels


def safe_lines(text: str) -> str:
    """The text with its lines and tabs, harmless to what stands before and behind it."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(["".join(_pieces(one)) for one in lines])


def safe_line(text: str) -> str:
    """The same in one line: line ends and tabs become spaces."""
    return " ".join(safe_lines(text).replace("\t", " ").split("\n"))


def isolated(text: str) -> str:
    """A text that is safe already, shut off from what stands beside it in the same line: between
    FSI and PDI, where anything in it is read from the right."""
    return f"{_FIRST_STRONG}{text}{_POP}" if _turns(text) else text


def _turns(text: str) -> bool:
    return not text.isascii() and any(
        unicodedata.bidirectional(one) in _FROM_THE_RIGHT for one in text
    )


def _pieces(line: str) -> list[str]:
    """The line, piece by piece; an isolate stays when it is closed in its line."""
    kept = _closed(line)
    found, start = [], 0
    for one in _ISOLATE.finditer(line):
        found += [_plain(line[start : one.start()])]
        found += [one[0] if one.start() in kept else _REPLACEMENT]
        start = one.end()
    return [*found, _plain(line[start:])]


def _closed(line: str) -> set[int]:
    """Where the isolates are that have a partner in the line."""
    open_, kept = [], set()
    for one in _ISOLATE.finditer(line):
        if one[0] in _OPENS:
            open_.append(one.start())
        elif open_ and len(open_) <= _MAX_NESTING:
            kept |= {open_.pop(), one.start()}
        elif open_:
            open_.pop()
    return kept


def _plain(text: str) -> str:
    return "".join(
        [piece if piece and piece in _MARKS + "\n\t" else printable(piece)
         for piece in _KEPT.split(text)]
    )  # fmt: skip

"""Text as the HTML part of a mail: paragraphs, lines and links, nothing else. Pure.

Everything is escaped; only addresses that begin with https:// become links, and show themselves,
so that none says another one than it opens. Nothing in it is loaded from elsewhere.
"""

from __future__ import annotations

import re
from html import escape

_LINK = re.compile(r"https://[^\s<>\"'\u200b-\u200f\u2028-\u202e\u2066-\u2069]{1,2000}")
_TRAILING = ".,;:!?)]}»”’"


def text_to_html(text: str) -> str:
    """A fragment for the body of a document."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    paragraphs = re.split(r"\n{2,}", text)
    return "\n".join(f"<p>{_lines(one)}</p>" for one in paragraphs if one.strip())


def _lines(paragraph: str) -> str:
    return "<br>\n".join(_linked(line) for line in paragraph.split("\n"))


def _linked(line: str) -> str:
    parts: list[str] = []
    at = 0
    for found in _LINK.finditer(line):
        address = found[0].rstrip(_TRAILING)
        if address.count("(") > address.count(")") and found[0][len(address) :][:1] == ")":
            address += ")"
        end = found.start() + len(address)
        parts += [_escaped(line[at : found.start()]), _anchor(address)]
        at = end
    return "".join([*parts, _escaped(line[at:])])


def _anchor(address: str) -> str:
    shown = escape(address)
    return f'<a href="{shown}" rel="noopener noreferrer">{shown}</a>'


def _escaped(text: str) -> str:
    """Spaces that would fall together stay."""
    return escape(re.sub(r"  +|^ ", lambda found: "\u00a0" * len(found[0]), text))

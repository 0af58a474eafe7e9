"""The Markdown that cards may use: bold, italics, links and lists; nothing else of it, and no
HTML, which is shown as it is written.

Read by markdown-it-py, the parser of CommonMark, with every other rule off; from its tokens we
write HTML or text of our own. A link is one where its address may be opened (see `addresses`),
and shows its host; any other is text. Dates in `{{DATE(…)}}` and `{{TIME(…)}}` are written for
the viewer. Linear in the text: some 12 ms of processor time for a KiB of nothing but marks, so
0.2 s for the largest card. Pure.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from functools import cache
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

from deployment_units.services.cards.addresses import WebAddress, read_web_address
from deployment_units.services.cards.safe_text import isolated, safe_lines

_RULES = [
    "newline",
    "escape",
    "entity",
    "emphasis",
    "link",
    "list",
    "balance_pairs",
    "fragments_join",
]
_MAX_NESTING = 20
_TIME = r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:Z|[+-]\d{2}:\d{2}))"
_DATED = re.compile(
    r"\{\{(?:(DATE)\(" + _TIME + r"(?:, ?(?:COMPACT|LONG|SHORT))?|(TIME)\(" + _TIME + r")\)\}\}"
)
_INLINE_TAGS = {"strong": "strong", "em": "em"}


def with_dates(text: str, zone: tzinfo = UTC) -> str:
    """Dates and times in a text, written as ISO 8601 does, in the viewer's zone.

    >>> with_dates("at {{TIME(2026-05-01T08:00:00Z)}} on {{DATE(2026-05-01T08:00:00Z, SHORT)}}")
    'at 08:00 UTC on 2026-05-01'
    """
    return _DATED.sub(lambda found: _dated(found, zone), text)


def marked_html(text: str, *, tag: str = "p", around: tuple[str, ...] = ()) -> str:
    """The text as HTML: `p`, `ul`, `ol`, `li`, `strong`, `em`, `br`, `a` and `bdi`. tag: of a
    paragraph. around: tags around all that is in a line, outermost first."""
    return _blocks(_parse(text), _HtmlWriter(tag, around))


def marked_text(text: str) -> str:
    """The text without its marks; a link is followed by its address."""
    return _blocks(_parse(text), _TextWriter())


class _HtmlWriter:
    """Writes what a text is made of as HTML."""

    def __init__(self, tag: str, around: tuple[str, ...]) -> None:
        self._tag = tag
        self._before = "".join([f"<{one}>" for one in around])
        self._behind = "".join([f"</{one}>" for one in reversed(around)])

    def words(self, text: str) -> str:
        return escape(safe_lines(text))

    def line_end(self) -> str:
        return "<br>\n"

    def mark(self, name: str, *, opens: bool) -> str:
        return f"<{'' if opens else '/'}{_INLINE_TAGS[name]}>"

    def link(self, shown: str, address: WebAddress | str, target: str) -> str:
        if isinstance(address, str):
            return f"{shown} ({escape(safe_lines(target))})"
        return web_link(shown, address)

    def line(self, text: str) -> str:
        return f"{self._before}{text}{self._behind}"

    def paragraph(self, text: str) -> str:
        return f'<{self._tag} dir="auto">{self.line(text)}</{self._tag}>\n'

    def item(self, text: str, number: int | None) -> str:
        return f'<li dir="auto">{text}</li>\n'

    def list_(self, items: str, start: int | None) -> str:
        if start is None:
            return f"<ul>\n{items}</ul>\n"
        first = "" if start == 1 else f' start="{start}"'
        return f"<ol{first}>\n{items}</ol>\n"


class _TextWriter:
    """Writes the same as lines of text."""

    def words(self, text: str) -> str:
        return safe_lines(text)

    def line_end(self) -> str:
        return "\n"

    def mark(self, name: str, *, opens: bool) -> str:
        return ""

    def link(self, shown: str, address: WebAddress | str, target: str) -> str:
        url = address.url if isinstance(address, WebAddress) else safe_lines(target)
        return shown if shown == url else f"{isolated(shown)} ({url})"

    def line(self, text: str) -> str:
        return text

    def paragraph(self, text: str) -> str:
        return f"{text}\n"

    def item(self, text: str, number: int | None) -> str:
        mark = "-" if number is None else f"{number}."
        lines = text.rstrip("\n").split("\n")
        return "\n".join([f"{mark} {lines[0]}", *(f"  {one}" for one in lines[1:])]) + "\n"

    def list_(self, items: str, start: int | None) -> str:
        return items


_Writer = _HtmlWriter | _TextWriter


def web_link(shown: str, address: WebAddress) -> str:
    """A link in HTML that shows its host. shown: HTML already."""
    host = escape(address.host)
    beside = "" if address.host in shown else f" ({host})"
    return (
        f'<a href="{escape(address.url)}" rel="noopener noreferrer nofollow" target="_blank">'
        f"<bdi>{shown}</bdi></a>{beside}"
    )


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("zero", {"html": False, "maxNesting": _MAX_NESTING}).enable(_RULES)


def _parse(text: str) -> list[Token]:
    return _parser().parse(text)


def _blocks(tokens: list[Token], write: _Writer) -> str:
    """Paragraphs and lists; a stack of what is open, for nesting is the author's."""
    done: list[list[str]] = [[]]
    lists: list[tuple[int | None, int]] = []  # number of the next item, and of the first
    for token in tokens:
        match token.type:
            case "inline":
                text = _inline(token.children or [], write)
                hidden = bool(lists)  # what an item says is no paragraph of its own
                done[-1].append(f"{write.line(text)}\n" if hidden else write.paragraph(text))
            case "bullet_list_open" | "ordered_list_open":
                start = token.attrGet("start")
                ordered = token.type == "ordered_list_open"
                first = int(start) if start is not None else 1
                lists.append((first if ordered else None, first))
                done.append([])
            case "list_item_open":
                done.append([])
            case "list_item_close":
                text = "".join(done.pop())
                number, first = lists[-1]
                done[-1].append(write.item(text.rstrip("\n"), number))
                lists[-1] = (None if number is None else number + 1, first)
            case "bullet_list_close" | "ordered_list_close":
                items = "".join(done.pop())
                number, first = lists.pop()
                done[-1].append(write.list_(items, None if number is None else first))
            case _:
                pass
    return "".join(done[0]).rstrip("\n")


def _inline(tokens: list[Token], write: _Writer) -> str:
    done: list[list[str]] = [[]]
    targets: list[str] = []
    for token in tokens:
        match token.type:
            case "softbreak" | "hardbreak":
                done[-1].append(write.line_end())
            case "strong_open" | "em_open":
                done[-1].append(write.mark(token.tag, opens=True))
            case "strong_close" | "em_close":
                done[-1].append(write.mark(token.tag, opens=False))
            case "link_open":
                targets.append(str(token.attrGet("href") or ""))
                done.append([])
            case "link_close":
                target, shown = targets.pop(), "".join(done.pop())
                done[-1].append(write.link(shown, read_web_address(target), target))
            case _:
                done[-1].append(write.words(token.content))
    return "".join(done[0])


def _dated(found: re.Match[str], zone: tzinfo) -> str:
    try:
        when = datetime.fromisoformat(found[2] or found[4]).astimezone(zone)
    except (ValueError, OverflowError):
        return found[0]
    if found[1] == "DATE":
        return when.date().isoformat()
    return f"{when:%H:%M} {when.tzname() or ''}".rstrip()

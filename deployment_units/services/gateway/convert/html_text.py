"""HTML as text, for channels that show no HTML and for replies that come as HTML alone. Pure.

Lexbor (PyPI `selectolax`) reads it as browsers do. What people would read stays: paragraphs, lists,
tables row by row, addresses of links, words in place of pictures; a quotation keeps its mark
("> "), so that it can be told from what was written anew. What cannot be shown is told. Nothing
is fetched, nothing runs.

Size and nesting are bounded before it is parsed: what a parser does for an element can depend on
all that are open around it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

MOST_CHARACTERS = 512 * 1024  # of HTML that is looked at
MOST_LEVELS = 512  # of elements within each other
MOST_TEXT = 256 * 1024  # characters that come out
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:-]*)")


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


# They are closed by what follows them, and never pile up.
_CLOSE_THEMSELVES = _tags(
    "area base br col embed hr img input link meta param source track wbr "
    "p li td th tr dt dd option thead tbody tfoot html body head"
)
_DROPPED = _tags(
    "head script style template noscript iframe object applet svg math audio video canvas "
    "select textarea button"
)
_ACTIVE = _tags("script iframe object applet audio video canvas svg select button")
_BLOCKS = _tags(
    "address article aside blockquote center dd details div dl dt fieldset figure footer form "
    "h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section table tbody tfoot thead tr ul"
)
_APART = _tags("p h1 h2 h3 h4 h5 h6 ul ol dl pre blockquote table")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.I)
_SPACE = re.compile(r"[ \t\r\n\f]+")
_NEAR = 16  # pieces of text before the end of a link, in which its words are looked for
_UNSEEN = str.maketrans(dict.fromkeys("\u200b\u200c\u2060\ufeff\u00ad\u034f"))


@dataclass(frozen=True, slots=True, kw_only=True)
class HtmlText:
    """text: lines without spaces at their ends. lost: what it does not show, a word for each kind;
    "html" where it could not be read at all."""

    text: str
    lost: tuple[str, ...]


@dataclass(slots=True)
class _Writer:
    """The lines so far. quoted: within how many quotations; the line under way is `parts`."""

    lines: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    quoted: int = 0
    preformatted: int = 0
    lists: list[int] = field(default_factory=list)  # next number; 0 of one without
    written: int = 0
    lost: set[str] = field(default_factory=set)

    def text(self, text: str) -> None:
        if self.written > MOST_TEXT:
            self.lost.add("length")
            return
        self.written += len(text)
        text = text.translate(_UNSEEN)
        if self.preformatted:
            first, *others = text.replace("\u00a0", " ").split("\n")
            self.parts.append(first)
            for line in others:
                self.end_line(always=True)
                self.parts.append(line)
            return
        text = _SPACE.sub(" ", text)
        if text and (text != " " or self.parts):
            if text[0] == " " and (not self.parts or self.parts[-1].endswith(" ")):
                text = text[1:]
            self.parts.append(text.replace("\u00a0", " "))

    def end_line(self, *, always: bool = False) -> None:
        line = "".join(self.parts).rstrip()
        self.parts.clear()
        if line or always:
            self.lines.append(f"{'> ' * self.quoted}{line}".rstrip() if self.quoted else line)

    def blank(self) -> None:
        """A blank line, but not two."""
        self.end_line()
        if self.lines and self.lines[-1].strip("> "):
            self.lines.append(("> " * self.quoted).rstrip())


def html_to_text(html: str) -> HtmlText:
    """The text of a document or a part of one."""
    if len(html) > MOST_CHARACTERS or _nests_too_deep(html):
        return HtmlText(text="", lost=("html",))
    from selectolax.lexbor import LexborHTMLParser  # most processes never need it

    writer = _Writer()
    root = LexborHTMLParser(html).body
    if root is not None:
        _walk(root, writer)
    writer.end_line()
    text = "\n".join(writer.lines).strip("\n")
    return HtmlText(text=text, lost=tuple(sorted(writer.lost)))


def _walk(root: LexborNode, writer: _Writer) -> None:
    """Each node when it begins and when it ends, without recursion."""
    open_nodes: list[LexborNode] = []
    node: LexborNode | None = root
    while node is not None:
        inner = node.first_child if _enter(node, writer) else None
        if inner is not None:
            open_nodes.append(node)
            node = inner
            continue
        _leave(node, writer)
        following = None if node is root else node.next
        while following is None and open_nodes:
            node = open_nodes.pop()
            _leave(node, writer)
            following = node.next if open_nodes else None
        node = following


def _enter(node: LexborNode, writer: _Writer) -> bool:
    """Whether to go into it. What is not gone into is left at once, and must not count twice."""
    tag = node.tag or ""
    if node.is_text_node:
        writer.text(node.text_content or "")
        return False
    if tag in _DROPPED or not node.is_element_node or _hidden(node):
        if tag in _ACTIVE:
            writer.lost.add(tag)
        return False
    if tag == "br":
        writer.end_line(always=True)
    elif tag == "hr":
        writer.end_line()
        writer.parts.append("-" * 20)
        writer.end_line()
    elif tag == "img":
        _picture(node, writer)
    elif tag in ("td", "th") and writer.parts:
        writer.text("  ")
        writer.parts.append(" ")
    if tag in _BLOCKS:
        _begin_block(tag, writer)
    return True


def _begin_block(tag: str, writer: _Writer) -> None:
    writer.end_line()
    if tag in _APART and not writer.lists:
        writer.blank()
    if tag == "blockquote":
        writer.quoted += 1
    elif tag == "pre":
        writer.preformatted += 1
    elif tag in ("ul", "ol"):
        writer.lists.append(1 if tag == "ol" else 0)
    elif tag == "li":
        number = writer.lists[-1] if writer.lists else 0
        indent = "  " * max(0, len(writer.lists) - 1)
        writer.parts.append(f"{indent}{number}. " if number else f"{indent}- ")
        if number:
            writer.lists[-1] += 1


def _leave(node: LexborNode, writer: _Writer) -> None:
    tag = node.tag or ""
    if not node.is_element_node or tag in _DROPPED or _hidden(node):
        return
    if tag == "a":
        _address(node, writer)
    if tag not in _BLOCKS:
        return
    writer.end_line()
    if tag == "blockquote":
        writer.quoted -= 1
    elif tag == "pre":
        writer.preformatted -= 1
    elif tag in ("ul", "ol"):
        writer.lists.pop()
    if tag in _APART and not writer.lists:
        writer.blank()


def _address(node: LexborNode, writer: _Writer) -> None:
    """Where a link goes, unless its words say so."""
    href = (node.attributes.get("href") or "").strip()
    if not href.lower().startswith(("http://", "https://", "mailto:", "tel:")):
        return
    shown = "".join(writer.parts[-_NEAR:])
    bare = re.sub(r"^(?:https?://|mailto:|tel:)", "", href, flags=re.I).rstrip("/")
    if bare.casefold() not in shown.casefold() and len(href) <= 2_048:
        writer.parts.append(f" <{href}>")
        writer.written += len(href)


def _picture(node: LexborNode, writer: _Writer) -> None:
    words = (node.attributes.get("alt") or "").strip()
    width = node.attributes.get("width") or ""
    if words:
        writer.text(f"[{words}]")
    if words or width not in ("0", "1"):  # one of a pixel shows nothing, it counts readers
        writer.lost.add("image")


def _hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    return "hidden" in attributes or bool(_HIDDEN.search(attributes.get("style") or ""))


def _nests_too_deep(html: str) -> bool:
    """Whether more elements may be open at once than are read; what a browser would close by
    itself does not count."""
    still_open: Counter[str] = Counter()
    depth = 0
    for found in _TAG.finditer(html):
        name = found[2].lower()
        if name in _CLOSE_THEMSELVES:
            continue
        if not found[1]:
            still_open[name] += 1
            depth += 1
        elif still_open[name] > 0:
            still_open[name] -= 1
            depth -= 1
        if depth > MOST_LEVELS:
            return True
    return False

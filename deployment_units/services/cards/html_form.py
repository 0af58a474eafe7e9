"""A card as HTML for mail and pages: static, of elements and text alone.

No scripts, styles or event handlers, so that no content security policy has to make room for it;
every text is escaped and shut off from the direction of what is around it. A button leads to a
page that asks before anything is done, for mail scanners open every link. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from deployment_units.services.cards.card import Card, CardInput, InputKind
from deployment_units.services.cards.markdown import marked_html, web_link, with_dates
from deployment_units.services.cards.outline import (
    Block,
    Facts,
    Field,
    Grid,
    Group,
    Mark,
    More,
    Open,
    Paragraph,
    Picture,
    Press,
    Run,
    Runs,
    outline,
)
from deployment_units.services.cards.safe_text import safe_line
from deployment_units.services.cards.viewing import Viewer

_NOT_NOW = "not available"
_FILL_IN = "What is asked for is filled in on the page that a button opens."


def to_html(card: Card, tokens: Mapping[str, str], viewer: Viewer) -> str:
    """A fragment of HTML. tokens: by action, from `action_tokens`; an action without one is shown
    and leads nowhere. Up to 0.2 s for a card of nothing but marks (see `markdown`): in a thread."""
    write = _Writer(tokens, viewer)
    inside = write.blocks(outline(card))
    if card.inputs and any(one.id in tokens for one in card.actions):
        inside += f'<p class="card-note">{_FILL_IN}</p>\n'
    document = card.document
    direction = "rtl" if document.get("rtl") is True else "auto"
    language = document.get("lang")
    lang = f' lang="{_plain(language)}"' if isinstance(language, str) and language else ""
    return f'<div class="card" dir="{direction}"{lang}>\n{inside}</div>\n'


class _Writer:
    def __init__(self, tokens: Mapping[str, str], viewer: Viewer) -> None:
        self._tokens = tokens
        self._viewer = viewer

    def blocks(self, blocks: tuple[Block, ...]) -> str:
        return "".join([self._block(one) for one in blocks])

    def _block(self, block: Block) -> str:
        match block:
            case Paragraph():
                return self._paragraph(block)
            case Runs():
                runs = "".join([self._run(one) for one in block.runs])
                return f'<p class="card-run" dir="auto">{runs}</p>\n'
            case Facts():
                return self._facts(block)
            case Picture():
                return self._picture(block)
            case Field():
                return self._field(block.input)
            case Group():
                return f"<div>\n{self.blocks(block.blocks)}</div>\n" if block.blocks else ""
            case Grid():
                return self._grid(block)
            case Press() | Open():
                return f'<p class="card-action">{self._button(block)}</p>\n'
            case More():
                inside = self.blocks(block.blocks)
                return f'<p dir="auto">{_plain(block.title)}</p>\n<div>\n{inside}</div>\n'

    def _markdown(self, text: str) -> str:
        return marked_html(with_dates(text, self._viewer.zone))

    def _paragraph(self, one: Paragraph) -> str:
        text = with_dates(one.text, self._viewer.zone)
        around = tuple([mark.value for mark in one.marks])
        found = marked_html(text, tag="h3" if one.heading else "p", around=around)
        return f"{found}\n" if found else ""

    def _run(self, run: Run) -> str:
        words = _wrapped(_plain(with_dates(run.text, self._viewer.zone)), run.marks)
        match run.button:
            case Open() if run.button.enabled:
                return web_link(words, run.button.address)
            case Press() if href := self._href(run.button):
                return f'<a href="{escape(href)}"><bdi>{words}</bdi></a>'
            case _:
                return words

    def _facts(self, one: Facts) -> str:
        rows = [
            f'<tr><th scope="row" align="left">{self._markdown(title)}</th>'
            f"<td>{self._markdown(value)}</td></tr>\n"
            for title, value in one.facts
        ]
        return f"<table>\n{''.join(rows)}</table>\n"

    def _picture(self, one: Picture) -> str:
        words = _plain(one.words)
        if address := self._viewer.image_address(one.address):
            return f'<p><img src="{escape(address)}" alt="{words}"></p>\n'
        return f'<p class="card-image" dir="auto">[{words}]</p>\n' if words else ""

    def _grid(self, grid: Grid) -> str:
        rows = []
        for number, row in enumerate(grid.rows):
            tag = "th" if grid.header and number == 0 else "td"
            cells = [f'<{tag} valign="top">{self.blocks(cell)}</{tag}>\n' for cell in row]
            rows.append(f"<tr>\n{''.join(cells)}</tr>\n")
        if not any(grid.rows):
            return ""
        kind = ' border="1"' if grid.table else ' role="presentation"'
        return f"<table{kind}>\n{''.join(rows)}</table>\n"

    def _button(self, button: Press | Open) -> str:
        if isinstance(button, Open):
            words = _plain(button.title or button.address.host)
            if button.enabled:
                return web_link(words, button.address)
            return f"<bdi>{words}</bdi> ({_NOT_NOW})"
        words = _plain(button.action.title)
        if href := self._href(button):
            return f'<a href="{escape(href)}"><bdi>{words}</bdi></a>'
        return f"<bdi>{words}</bdi>" + ("" if button.action.enabled else f" ({_NOT_NOW})")

    def _href(self, button: Press) -> str:
        token = self._tokens.get(button.action.id)
        return f"{self._viewer.pages}{token}" if token and button.action.enabled else ""

    def _field(self, one: CardInput) -> str:
        named = "label" if one.label else "name"
        label = f'<bdi class="card-{named}">{_plain(one.name)}</bdi>{" *" if one.required else ""}'
        if one.kind is InputKind.CHOICES:
            chosen = set(one.value.split(",")) if one.several else {one.value}
            items = [
                f'<li dir="auto">{_plain(each.title)}{" ✓" if each.value in chosen else ""}</li>\n'
                for each in one.choices
            ]
            return f'<p class="card-input" dir="auto">{label}:</p>\n<ul>\n{"".join(items)}</ul>\n'
        if one.kind is InputKind.TOGGLE:
            return self._toggle(one, label)
        value = "" if one.secret else one.value or (one.placeholder if one.label else "")
        said = f'<bdi class="card-value">{_plain(value)}</bdi>'
        return f'<p class="card-input" dir="auto">{label}: {said}</p>\n'

    def _toggle(self, one: CardInput, label: str) -> str:
        on, _ = one.choices
        box = "☑" if one.value == on.value else "☐"
        title = f" <bdi>{_plain(on.title)}</bdi>" if on.title != one.name else ""
        return f'<p class="card-input" dir="auto">{box} {label}{title}</p>\n'


def _plain(text: str) -> str:
    """A text in one line, escaped for elements and attributes alike."""
    return escape(safe_line(text))


def _wrapped(text: str, marks: tuple[Mark, ...]) -> str:
    for mark in marks:
        text = f"<{mark.value}>{text}</{mark.value}>"
    return text

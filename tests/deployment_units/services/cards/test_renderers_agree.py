"""What Microsoft's own renderer shows of a sample card, ours shows as well: the same words, the
same buttons, in the same order."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest

from deployment_units.services.cards.card import Card
from deployment_units.services.cards.html_form import to_html
from deployment_units.services.cards.profile import check
from deployment_units.services.cards.viewing import Viewer
from tests.support.card_renderer.renderer import rendered_elsewhere
from tests.support.corpora import corpus

pytestmark = [pytest.mark.corpora, pytest.mark.slow]
PAGES = "https://talk.example/a/"
# What is ours alone: names of inputs without a label, what is filled in, words of images, notes.
OURS = {"card-name", "card-value", "card-image", "card-note"}
MARKS = {"*", "*:", ":", "✓", "☐", "☑", "(not", "available)"}
DATED = re.compile(rb"\{\{(DATE|TIME)\(20[^()]*\)\}\}")
# Where the renderers differ, and why that is right.
DIFFERENT = {
    "v1.0/Tests/Action.Title.json": "a button whose title is a space is called Submit",
    "v1.0/Tests/AdaptiveCard.MinVersion.json": "they show a card that is too new, not fallbackText",
    "v1.0/Tests/AdaptiveCard.MissingVersion.json": "their Markdown has code, which cards have not",
    "v1.0/Tests/TextBlock.Markdown.Telephony.json": "a link that is not opened shows its address",
    "v1.2/Tests/Element.Requires.json": "they show what needs a feature that nobody has",
    "v1.2/Tests/RichTextBlock.TextRun.SelectActions.json": "a text that only shows and hides",
    "v1.2/Tests/TextHandling.json": "control characters can be seen here",
    "v1.3/Tests/MissingErrorMessages.json": "a label that is the title as well, once",
    "v1.5/Scenarios/RestaurantOrder.json": "choices that they show when somebody types",
    "v1.5/Tests/Action.IsEnabled.json": "a text that is no link, being disabled",
    "v1.5/Tests/Input.ChoiceSet.FilteredStyle.TestCard.json": "the same choices",
    "v1.5/Tests/RichTextBlock.TextRun.SelectAction.IsEnabled.json": "the same text",
}


@dataclass
class Reading(HTMLParser):
    """The words of our HTML, and the buttons by how many words stand before each."""

    words: list[str] = field(default_factory=list)
    actions: list[tuple[int, str]] = field(default_factory=list)
    _open: list[set[str]] = field(default_factory=list)
    _link: str = ""
    _host: str = ""
    _title: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            return
        given = dict(attrs)
        self._open.append({tag, *(given.get("class") or "").split()})
        if tag == "a":
            self._link = given["href"] or ""

    def handle_endtag(self, tag: str) -> None:
        closed = self._open.pop()
        if tag == "a":
            self._host = "" if self._link.startswith(PAGES) else "(host)"
            if not self._in_button and (self._link.startswith(PAGES) or not self._in_markdown):
                self.actions.append((len(self.words), ""))
        if "card-action" in closed:
            self.actions.append((len(self.words), " ".join(self._title)))
            self._title = []
            self._host = ""

    def handle_data(self, data: str) -> None:
        if self._host:
            data, self._host = re.sub(r"^ \(\S+\)", "", data), ""
        if any(one & OURS for one in self._open):
            return
        found = [one for one in data.split() if one not in MARKS]
        (self._title if self._in_button else self.words).extend(found)

    @property
    def _in_button(self) -> bool:
        return any("card-action" in one for one in self._open)

    @property
    def _in_markdown(self) -> bool:
        return not any("card-run" in one for one in self._open)


def ours(card: Card) -> Reading:
    found = Reading()
    found.feed(to_html(card, {one.id: "token" for one in card.actions}, Viewer(pages=PAGES)))
    return found


def samples() -> Iterator[tuple[str, Any, Card]]:
    with tarfile.open(corpus("cards/adaptive-cards-samples.tar.xz")) as packed:
        for member in packed.getmembers():
            file = packed.extractfile(member) if member.isfile() else None
            if file is None or not member.name.lower().endswith(".json"):
                continue
            content = DATED.sub(b"then", file.read())  # each renderer writes dates its own way
            card = check(content)
            if isinstance(card, Card):
                yield (
                    member.name.removeprefix("samples/"),
                    json.loads(content.decode("utf-8-sig")),
                    card,
                )


def plain(words: list[str]) -> list[str]:
    return [one for one in " ".join(words).split() if one not in MARKS]


def test_renderers_agree_on_every_sample() -> None:
    cards = list(samples())
    theirs = rendered_elsewhere([document for _, document, _ in cards])
    different = {}
    for (name, _, card), other in zip(cards, theirs, strict=True):
        mine = ours(card)
        words, actions = plain(other["words"]), [tuple(one) for one in other["actions"]]
        if mine.words != words:
            different[name] = f"{' '.join(mine.words)}\n  and not\n{' '.join(words)}"
        elif [one for one, _ in mine.actions] != [one for one, _ in actions] or any(
            a != b for (_, a), (_, b) in zip(mine.actions, actions, strict=True) if b and a
        ):
            different[name] = f"{mine.actions}\n  and not\n{actions}"
    assert {name: said for name, said in different.items() if name not in DIFFERENT} == {}
    assert set(DIFFERENT) <= set(different)
    assert len(cards) > 250

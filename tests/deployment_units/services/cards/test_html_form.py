"""Cards as HTML: elements and text, whatever an author wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from html.parser import HTMLParser

import pytest
from hypothesis import given

from deployment_units.services.cards.card import Card
from deployment_units.services.cards.html_form import to_html
from deployment_units.services.cards.viewing import Viewer
from tests.support.cards import card_of, cards, coffee_card, submit, text_block

LINKS = ("https://talk.example/a/token-of-", "https://a.example/", "https://b.example")
VIEWER = Viewer(account="anna", pages="https://talk.example/a/")
TAGS = {
    "a", "bdi", "br", "code", "div", "em", "h3", "li", "ol", "p", "s", "strong", "table", "td",
    "th", "tr", "u", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "align",
    "border",
    "class",
    "dir",
    "href",
    "lang",
    "rel",
    "role",
    "scope",
    "start",
    "target",
    "valign",
}


@dataclass
class Page(HTMLParser):
    """What a browser would see."""

    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    text: str = ""
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")

    def links(self) -> list[str | None]:
        return [value for name, value in self.attributes if name == "href"]


def page_of(card: Card, viewer: Viewer = VIEWER) -> Page:
    page = Page()
    page.feed(to_html(card, {one.id: f"token-of-{one.id}" for one in card.actions}, viewer))
    page.close()
    assert page.open == []
    return page


@given(cards())
def test_no_card_is_more_than_elements_and_text(card: Card) -> None:
    page = page_of(card)
    assert set(page.tags) <= TAGS
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    for link in page.links():
        assert link is not None
        assert link.startswith(LINKS)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page.text)


def test_a_card_in_order() -> None:
    page = page_of(coffee_card())
    words = " ".join(page.text.split())
    assert words == (
        "Yirgacheffe, new harvest Price14 € Bags: 1 Order Not now About it (roastery.example) "
        "Write a note Note: Send What is asked for is filled in on the page that a button opens."
    )
    assert page.links() == [
        "https://talk.example/a/token-of-order",
        "https://talk.example/a/token-of-later",
        "https://roastery.example/y",
        "https://talk.example/a/token-of-send",
    ]


def test_a_button_without_a_token_leads_nowhere() -> None:
    card = card_of(
        actions=[submit("Order", id="order"), submit("Gone", id="gone", isEnabled=False)]
    )
    found = to_html(card, {"gone": "token"}, VIEWER)
    assert "href" not in found
    assert "Order" in found
    assert "Gone</bdi> (not available)" in found


def test_markdown_of_the_subset_and_no_html() -> None:
    found = to_html(
        card_of(text_block("**a** <b>b</b>\n\n1. x\n2. y", weight="bolder")), {}, VIEWER
    )
    assert '<p dir="auto"><strong><strong>a</strong> &lt;b&gt;b&lt;/b&gt;</strong></p>' in found
    assert '<ol>\n<li dir="auto"><strong>x</strong></li>' in found


def test_a_link_in_a_text_shows_its_host_and_others_are_text() -> None:
    card = card_of(text_block("[pay](https://bank.example) [old](http://a.example) [s](tel:112)"))
    page = page_of(card)
    assert page.links() == ["https://bank.example"]
    assert page.text.split() == [
        "pay",
        "(bank.example)",
        "old",
        "(http://a.example)",
        "s",
        "(tel:112)",
    ]


def test_a_link_that_is_called_like_another_host_shows_its_own() -> None:
    card = card_of(
        actions=[
            {"type": "Action.OpenUrl", "title": "bank.example", "url": "https://evil.example/"}
        ]
    )
    assert "(evil.example)" in page_of(card).text


def test_an_image_is_had_from_us_or_not_at_all() -> None:
    card = card_of({"type": "Image", "url": "https://a.example/i.png", "altText": 'a "cat"'})
    assert "a.example" not in to_html(card, {}, VIEWER)
    assert "[a &quot;cat&quot;]" in to_html(card, {}, VIEWER)
    ours = Viewer(image_address=lambda address: "https://talk.example/i/1?a=1&b=2")
    assert '<img src="https://talk.example/i/1?a=1&amp;b=2" alt="a &quot;cat&quot;">' in to_html(
        card, {}, ours
    )


def test_dates_are_those_of_the_viewer() -> None:
    card = card_of(text_block("{{DATE(2026-05-01T23:30:00Z)}} {{TIME(2026-05-01T23:30:00Z)}}"))
    east = Viewer(zone=timezone(timedelta(hours=2), "CEST"))
    assert "2026-05-01 23:30 UTC" in to_html(card, {}, VIEWER)
    assert "2026-05-02 01:30 CEST" in to_html(card, {}, east)


def test_what_is_hidden_is_shown_where_a_button_would_show_it() -> None:
    toggle = {"type": "Action.ToggleVisibility", "title": "More", "targetElements": ["b"]}
    card = card_of(
        text_block("aa", isVisible=False, id="a"),
        text_block("bb", isVisible=False, id="b"),
        actions=[toggle],
    )
    assert page_of(card).text.split() == ["bb"]


def test_a_secret_is_not_shown() -> None:
    card = card_of(
        {"type": "Input.Text", "id": "a", "label": "Pin", "style": "password", "value": "1234"}
    )
    assert "1234" not in to_html(card, {}, VIEWER)


@pytest.mark.parametrize(("rtl", "expected"), [(True, "rtl"), (False, "auto"), (None, "auto")])
def test_a_card_has_a_direction_and_a_language(rtl: bool | None, expected: str) -> None:
    found = to_html(card_of(text_block("a"), rtl=rtl, lang='he"'), {}, VIEWER)
    assert found.startswith(f'<div class="card" dir="{expected}" lang="he&quot;">')

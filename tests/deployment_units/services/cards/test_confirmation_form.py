"""The page behind a button in a mail, and what comes back from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from hypothesis import given

from deployment_units.services.cards.card import Card
from deployment_units.services.cards.confirmation_form import filled_in, to_confirmation
from deployment_units.services.cards.inputs import check_inputs
from tests.support.cards import card_of, cards, submit

ADDRESS = 'https://talk.example/a/token?x="y"'
FORM = card_of(
    {"type": "Input.Text", "id": "name", "label": "Name", "value": 'A "b" <c>', "isRequired": True},
    {"type": "Input.Text", "id": "note", "isMultiline": True, "value": "\none\ntwo"},
    {"type": "Input.Text", "id": "pin", "style": "password", "value": "1234"},
    {"type": "Input.Number", "id": "amount", "min": 1, "max": 9, "value": 2},
    {"type": "Input.Date", "id": "day", "value": "2026-05-01"},
    {"type": "Input.Toggle", "id": "gift", "title": "A gift", "value": "true"},
    {
        "type": "Input.ChoiceSet",
        "id": "roast",
        "isMultiSelect": True,
        "value": "l,d",
        "choices": [{"title": one, "value": one[0].lower()} for one in ("Light", "Mild", "Dark")],
    },
    {
        "type": "Input.ChoiceSet",
        "id": "grind",
        "value": "f",
        "choices": [{"title": "Fine", "value": "f"}, {"title": "Coarse", "value": "c"}],
    },
    actions=[submit("Order", id="order"), submit("Stop", id="stop", associatedInputs="none")],
)


@dataclass
class Browser(HTMLParser):
    """What a browser sends when the form is posted as it stands."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    form: dict[str, str | None] = field(default_factory=dict)
    text: str = ""
    _area: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        assert not [name for name in given if name.startswith("on") or name == "style"]
        if tag == "form":
            self.form = given
        elif tag == "textarea":
            self._area = given["name"] or ""
            self.fields[self._area] = [""]
        elif tag == "input" and (given["type"] not in ("checkbox", "radio") or "checked" in given):
            self.fields.setdefault(given["name"] or "", []).append(given.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            said = self.fields[self._area][0].removeprefix("\n")
            self.fields[self._area] = [said.replace("\n", "\r\n")]
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.fields[self._area][0] += data
        else:
            self.text += data


def posted(card: Card, action: Any, **more: Any) -> Browser:
    browser = Browser()
    browser.feed(to_confirmation(card, action, address=ADDRESS, **more))
    browser.close()
    return browser


def test_a_form_as_it_stands_sends_what_the_card_has() -> None:
    order = FORM.actions[0]
    browser = posted(FORM, order)
    assert browser.form == {
        "class": "card-confirmation",
        "method": "post",
        "action": ADDRESS,
        "accept-charset": "utf-8",
        "autocomplete": "off",
    }
    assert filled_in(FORM, order, browser.fields) == {
        "name": 'A "b" <c>',
        "note": "\none\ntwo",
        "pin": "",
        "amount": "2",
        "day": "2026-05-01",
        "gift": "true",
        "roast": ["l", "d"],
        "grind": "f",
    }


def test_what_is_not_ticked_is_off_and_what_is_emptied_is_not_sent() -> None:
    order = FORM.actions[0]
    given = filled_in(FORM, order, {"input.name": ["Ann"], "other": ["x"], "input.none": ["x"]})
    assert check_inputs(FORM, order, given) == {"name": "Ann", "gift": "false"}


def test_a_button_that_asks_for_nothing_is_a_form_all_the_same() -> None:
    browser = posted(FORM, FORM.actions[1])
    assert browser.fields == {}
    assert browser.text.split() == ["Stop"]


def test_what_was_wrong_stands_beside_what_was_filled_in() -> None:
    order = FORM.actions[0]
    values = {"name": "", "amount": "99"}
    flaws = check_inputs(FORM, order, values)
    assert isinstance(flaws, list)
    browser = posted(FORM, order, values=values, flaws=flaws)
    assert browser.fields["input.amount"] == ["99"]
    assert "has to be filled in" in browser.text
    assert "1 or more and 9 or less" in browser.text


def test_a_secret_is_not_in_the_page() -> None:
    assert "1234" not in to_confirmation(FORM, FORM.actions[0], address=ADDRESS)


@given(cards())
def test_any_form_is_elements_and_sends_values_that_are_judged(card: Card) -> None:
    for action in card.actions:
        browser = posted(card, action)
        assert set(browser.tags) <= {
            "form", "p", "label", "bdi", "input", "textarea", "fieldset", "legend", "button",
        }  # fmt: skip
        given_ = filled_in(card, action, browser.fields)
        assert set(given_) == set(action.inputs)
        found = check_inputs(card, action, given_)
        if isinstance(found, dict):  # what the card has at first is what comes back
            untouched = check_inputs(card, action, {})
            assert isinstance(untouched, dict)
            assert found.keys() == untouched.keys()

"""What clients get to render: nothing that they would fetch from somebody else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given

from deployment_units.services.cards.card import Card, CardFlawReason
from deployment_units.services.cards.client_document import client_document
from deployment_units.services.cards.profile import check
from tests.support.cards import card_of, cards, submit, text_block

IMAGE = {"type": "Image", "url": "https://a.example/i.png", "altText": "a cat", "size": "small"}


def ours(address: str) -> str | None:
    return f"https://talk.example/i?{address}" if address.endswith("i.png") else None


def words(text: str, **more: Any) -> dict[str, Any]:
    shown = [text_block(text, wrap=True, isSubtle=True)] if text else []
    return {"type": "Container", "items": shown, **more}


def test_words_stand_for_an_image_and_are_pressed_as_it_is() -> None:
    press = submit(id="see")
    card = card_of({**IMAGE, "id": "cat", "isVisible": False, "selectAction": press})
    assert client_document(card)["body"] == [
        words("a cat", id="cat", isVisible=False, selectAction=press)
    ]


def test_an_image_has_our_address() -> None:
    card = card_of(IMAGE, {**IMAGE, "url": "https://a.example/other"})
    assert client_document(card, ours)["body"] == [
        {**IMAGE, "url": "https://talk.example/i?https://a.example/i.png"},
        words("a cat"),
    ]


def test_a_set_of_images_has_those_that_are_shown() -> None:
    other = {"type": "Image", "url": "https://a.example/other"}
    card = card_of({"type": "ImageSet", "images": [IMAGE, other]})
    (found,) = client_document(card, ours)["body"]
    assert [one["url"] for one in found["images"]] == [
        "https://talk.example/i?https://a.example/i.png"
    ]
    assert client_document(card)["body"] == [{"type": "ImageSet", "images": []}]


def test_what_an_author_sends_with_a_press_is_left_alone() -> None:
    card = card_of(actions=[submit(id="a", data={"type": "Image", "url": "x"})])
    assert client_document(card)["actions"][0]["data"] == {"type": "Image", "url": "x"}


@given(cards())
def test_no_document_has_an_image_of_others_and_every_one_is_a_card(card: Card) -> None:
    """Words in an image's place are a level deeper, and longer: both bounds are the author's."""
    before = json.dumps(card.document)
    document = client_document(card)
    assert "i.png" not in json.dumps(document)
    assert json.dumps(card.document) == before
    again = check(document)
    if not isinstance(again, Card):
        assert {one.reason for one in again} <= {CardFlawReason.TOO_DEEP, CardFlawReason.TOO_LARGE}
        return
    assert (again.actions, again.inputs) == (card.actions, card.inputs)

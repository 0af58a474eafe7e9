"""Microsoft's sample cards: each is shown, or refused with a pointer to the reason; nothing that
their schema takes is refused but for its size, media, and what belongs to some hosts alone."""

from __future__ import annotations

import json
import tarfile
from functools import cache
from typing import Any

import jsonschema_rs
import pytest

from deployment_units.services.cards.card import MAX_BYTES, Card, CardFlaw, CardFlawReason
from deployment_units.services.cards.html_form import to_html
from deployment_units.services.cards.profile import check
from deployment_units.services.cards.text_form import to_text
from deployment_units.services.cards.viewing import Viewer
from tests.support.corpora import corpus

pytestmark = pytest.mark.corpora
PACKED = "cards/adaptive-cards-samples.tar.xz"
SCHEMA = "schemas/1.5.0/adaptive-card.json"
# What their schema takes and we do not, and why that is right.
REFUSED = {
    "Templates/Scenarios/StockUpdate.template.json": (
        CardFlawReason.TEMPLATE,
        "a template",
    ),
    "v1.1/Elements/ColumnSet.SelectAction.json": (CardFlawReason.ADDRESS, "opens ms-cortana:"),
    "v1.2/Tests/Action.DuplicateIds.json": (CardFlawReason.ID_TAKEN, "made to be refused"),
    "v1.2/Tests/Action.NestedDuplicateIds.json": (CardFlawReason.ID_TAKEN, "made to be refused"),
}
ALWAYS_RIGHT = {CardFlawReason.MEDIA, CardFlawReason.HOST_SPECIFIC, CardFlawReason.TOO_LARGE}


@cache
def samples() -> dict[str, bytes]:
    """By path, those that are JSON; and their schema."""
    found = {}
    with tarfile.open(corpus(PACKED)) as packed:
        for member in packed.getmembers():
            file = packed.extractfile(member) if member.isfile() else None
            if file and member.name.lower().endswith(".json"):
                found[member.name] = file.read()
    return found


def cards() -> dict[str, bytes]:
    prefix = "samples/"
    return {
        name.removeprefix(prefix): content
        for name, content in samples().items()
        if name.startswith(prefix)
    }


@cache
def their_schema() -> jsonschema_rs.Draft6Validator:
    return jsonschema_rs.Draft6Validator(json.loads(samples()[SCHEMA]), offline=True)


def node_at(document: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def test_each_is_shown_or_refused_with_a_pointer_to_the_reason() -> None:
    shown = 0
    for name, content in cards().items():
        found = check(content)
        if isinstance(found, Card):
            shown += 1
            continue
        assert found, name
        document = json.loads(content.decode("utf-8-sig"))
        for flaw in found:
            assert flaw.message, name
            node_at(document, flaw.pointer)
    assert shown > 250


def test_nothing_that_their_schema_takes_is_refused_but_for_what_we_say() -> None:
    wrong: dict[str, list[CardFlaw]] = {}
    valid = 0
    for name, content in cards().items():
        document = json.loads(content.decode("utf-8-sig"))
        if document.get("type") != "AdaptiveCard" or not their_schema().is_valid(document):
            continue
        valid += 1
        found = check(content)
        if isinstance(found, Card):
            assert name not in REFUSED, f"{name} is shown now"
            continue
        reasons = {one.reason for one in found}
        expected = {REFUSED[name][0]} if name in REFUSED else ALWAYS_RIGHT
        if not reasons <= expected:
            wrong[name] = found
    assert wrong == {}
    assert valid == 260


def test_those_that_are_too_large_are() -> None:
    large = {name for name, content in cards().items() if len(content) > MAX_BYTES}
    refused = {
        name
        for name in large
        if isinstance(found := check(cards()[name]), list)
        and found[0].reason is CardFlawReason.TOO_LARGE
    }
    assert refused == large


def test_every_card_that_is_shown_is_rendered_and_is_right_again() -> None:
    for name, content in cards().items():
        card = check(content)
        if not isinstance(card, Card):
            continue
        assert check(card.document) == card, name
        viewer = Viewer(pages="https://talk.example/a/")
        assert to_html(card, {one.id: "t" for one in card.actions}, viewer), name
        assert isinstance(to_text(card), str), name

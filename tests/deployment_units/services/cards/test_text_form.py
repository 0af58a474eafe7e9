"""Cards as text, and what an answer to one presses."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.cards.answers import Answered, Unclear, read_answer
from deployment_units.services.cards.card import Card
from deployment_units.services.cards.outline import pressed_in_order
from deployment_units.services.cards.text_form import to_text
from tests.support.cards import card_of, cards, coffee_card, submit, text_block, texts


def test_a_card_in_lines() -> None:
    assert to_text(coffee_card()).split("\n") == [
        "Yirgacheffe, new harvest",
        "Price: 14 €",
        "Bags: 1",
        "[1] Order (Bags)",
        "[2] Not now",
        "* About it: https://roastery.example/y",
        "",
        "Write a note:",
        "  Note:",
        "  [3] Send (Bags, Note)",
        "",
        "Answer a number from 1 to 3 to press a button. "
        "What it asks for goes behind the number, as name: value.",
        "",
    ]


@given(cards())
def test_no_card_moves_the_cursor_or_turns_what_is_around_it(card: Card) -> None:
    found = to_text(card)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]", found)
    for line in found.split("\n"):
        depth = 0
        for one in line:
            depth += (one in "\u2066\u2067\u2068") - (one == "\u2069")
            assert depth >= 0
        assert depth == 0


@given(cards())
def test_every_button_is_numbered_once_and_its_number_presses_it(card: Card) -> None:
    found = to_text(card)
    for number, action in enumerate(pressed_in_order(card), 1):
        assert re.search(rf"\[{number}\]( |$)", found, re.M)
        answer = read_answer(card, str(number))
        assert isinstance(answer, Answered)
        assert answer.action == action


@given(cards(), texts | st.text(max_size=30))
def test_any_answer_is_read(card: Card, text: str) -> None:
    answer = read_answer(card, text)
    if isinstance(answer, Answered):
        assert answer.action in card.actions
        assert set(answer.inputs) <= set(answer.action.inputs)


def test_columns_of_one_line_stand_beside_each_other() -> None:
    columns = [{"type": "Column", "items": [text_block(one)]} for one in ("a", "b")]
    assert to_text(card_of({"type": "ColumnSet", "columns": columns})) == "a | b\n"


def test_a_row_of_a_table_is_a_line() -> None:
    cells = [{"type": "TableCell", "items": [text_block(x) for x in one]} for one in ("ab", "c")]
    table = {"type": "Table", "columns": [], "rows": [{"type": "TableRow", "cells": cells}]}
    assert to_text(card_of(table)) == "a b | c\n"


def test_a_disabled_button_has_no_number() -> None:
    card = card_of(actions=[submit("a", isEnabled=False), submit("b")])
    assert to_text(card).startswith("* a (not available)\n[1] b\n")


def test_a_card_that_cannot_be_answered_has_no_numbers() -> None:
    assert to_text(card_of(actions=[submit("a")]), answerable=False) == "* a\n"


# -- answers -------------------------------------------------------------------------------

FORM = card_of(
    {"type": "Input.Text", "id": "name", "label": "Your name"},
    {"type": "Input.Toggle", "id": "gift", "title": "A gift", "valueOn": "yes!", "valueOff": "no!"},
    {
        "type": "Input.ChoiceSet",
        "id": "roast",
        "label": "Roast",
        "isMultiSelect": True,
        "choices": [{"title": "Light", "value": "l"}, {"title": "Dark", "value": "d"}],
    },
    actions=[submit("Send", id="send"), submit("Stop", id="stop", associatedInputs="none")],
)
ONE = card_of(
    {"type": "Input.Number", "id": "amount", "label": "Bags"}, actions=[submit("Order", id="order")]
)


@pytest.mark.parametrize(
    ("card", "text", "action", "inputs"),
    [
        pytest.param(FORM, "2", "stop", {}, id="a number"),
        pytest.param(FORM, " [2]. ", "stop", {}, id="as it was shown"),
        pytest.param(FORM, "#2)", "stop", {}, id="with marks"),
        pytest.param(FORM, "٢", "stop", {}, id="a digit of another script"),
        pytest.param(FORM, "stop", "stop", {}, id="a title"),
        pytest.param(FORM, "STOP!", "stop", {}, id="a title, loudly"),
        pytest.param(FORM, "[2] Stop", "stop", {}, id="a number with its title, as it was shown"),
        pytest.param(FORM, "2. stop!", "stop", {}, id="a number with its title"),
        pytest.param(FORM, "1", "send", {}, id="without what it asks for"),
        pytest.param(FORM, "1\nYour name: Ann: 2\ngift=yes\nroast: light, Dark", "send",
                     {"name": "Ann: 2", "gift": "yes!", "roast": "l,d"}, id="a line each"),
        pytest.param(FORM, "1 name: Ann; a gift: no", "send", {"name": "Ann", "gift": "no!"},
                     id="in one line"),
        pytest.param(FORM, "1 gift: perhaps", "send", {"gift": "perhaps"},
                     id="for others to refuse"),
        pytest.param(ONE, "1 5", "order", {"amount": "5"}, id="one value alone"),
        pytest.param(ONE, "1 bags: 5", "order", {"amount": "5"}, id="one value with its name"),
        pytest.param(ONE, "1. amount = 5", "order", {"amount": "5"}, id="one value with its id"),
    ],
)  # fmt: skip
def test_an_answer_presses(card: Card, text: str, action: str, inputs: dict[str, str]) -> None:
    answer = read_answer(card, text)
    assert isinstance(answer, Answered)
    assert (answer.action.id, answer.inputs) == (action, inputs)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2 send", id="the number of one and the title of another"),
        pytest.param("2 please", id="words behind a button that asks for nothing"),
        pytest.param("2026 was a good year", id="a number that is none of a button"),
        pytest.param("please stop", id="a title in a sentence"),
        pytest.param("", id="nothing"),
        pytest.param("2x", id="a number and more"),
        pytest.param("-2", id="a negative number"),
        pytest.param("2.5", id="a fraction"),
        pytest.param("1" * 5, id="a long number"),
        pytest.param("1 name: " + "x" * 8_192, id="a long text"),
    ],
)
def test_words_are_no_answer(text: str) -> None:
    assert read_answer(FORM, text) is None


@pytest.mark.parametrize(
    ("card", "text", "says"),
    [
        pytest.param(FORM, "3", "no button 3", id="a number too high"),
        pytest.param(FORM, "0", "no button 0", id="zero"),
        pytest.param(FORM, "1 Ann", "write name: value", id="a value without its name"),
        pytest.param(FORM, "1 age: 5", "write name: value", id="a name that is none"),
        pytest.param(card_of(actions=[submit("Go"), submit("go")]), "Go", "one of 1, 2",
                     id="a title of two"),
    ],
)  # fmt: skip
def test_an_answer_that_is_unclear_says_what_would_do(card: Card, text: str, says: str) -> None:
    answer: Any = read_answer(card, text)
    assert isinstance(answer, Unclear)
    assert says in answer.message

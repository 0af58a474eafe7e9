"""What viewers fill in, held against the card."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.cards.card import Card, CardFlawReason
from deployment_units.services.cards.inputs import MAX_VALUE, check_inputs
from tests.support.cards import card_of, submit


def form(type_: str, **more: Any) -> Card:
    title = {"title": "I agree"} if type_ == "Input.Toggle" else {}
    return card_of({"type": type_, "id": "a", **title, **more}, actions=[submit()])


def checked(card: Card, values: dict[str, Any]) -> Any:
    return check_inputs(card, card.actions[0], values)


CHOICES = {"choices": [{"title": one.upper(), "value": one} for one in ("x", "y", "p,q")]}


@pytest.mark.parametrize(
    ("card", "given_", "expected"),
    [
        pytest.param(form("Input.Text"), "hello", "hello", id="text"),
        pytest.param(form("Input.Text"), " kept ", " kept ", id="spaces of a text"),
        pytest.param(form("Input.Text", value="there"), None, "there", id="what the card has"),
        pytest.param(form("Input.Text", value="there"), "", None, id="what was emptied"),
        pytest.param(form("Input.Text", maxLength=3), "abc", "abc", id="as long as may be"),
        pytest.param(form("Input.Text", regex="[0-9]+"), "no. 5", "no. 5", id="a pattern in it"),
        pytest.param(form("Input.Text"), 5, "5", id="a number as text"),
        pytest.param(form("Input.Number"), "5", "5", id="a number"),
        pytest.param(form("Input.Number"), 5.0, "5", id="a whole number, as JSON has none"),
        pytest.param(form("Input.Number"), " -1.5e3 ", "-1.5e3", id="a number with all there is"),
        pytest.param(form("Input.Number", min=1, max=5), 5, "5", id="a number in bounds"),
        pytest.param(form("Input.Number", value=2), None, "2", id="the card's number"),
        pytest.param(form("Input.Date", min="2026-01-01"), "2026-01-01", "2026-01-01", id="a date"),
        pytest.param(form("Input.Date", min="soon"), "2026-01-01", "2026-01-01",
                     id="a bound that is no date"),
        pytest.param(form("Input.Time", max="12:00"), "09:30", "09:30", id="a time"),
        pytest.param(form("Input.Toggle"), True, "true", id="on"),
        pytest.param(form("Input.Toggle"), "false", "false", id="off"),
        pytest.param(form("Input.Toggle", valueOn="y", valueOff="n"), False, "n", id="its own off"),
        pytest.param(form("Input.Toggle", valueOff="n"), None, "n", id="a toggle left alone"),
        pytest.param(form("Input.Toggle", value="true"), "", "false", id="a toggle emptied"),
        pytest.param(form("Input.Toggle", value="neither"), None, "false", id="neither is off"),
        pytest.param(form("Input.ChoiceSet", value="z", **CHOICES), None, None,
                     id="what is no choice is not chosen"),
        pytest.param(form("Input.ChoiceSet", value="z,x", isMultiSelect=True, **CHOICES), None, "x",
                     id="nor is it beside others"),
        pytest.param(form("Input.ChoiceSet", **CHOICES), "x", "x", id="a choice"),
        pytest.param(form("Input.ChoiceSet", **CHOICES), "p,q", "p,q", id="a choice with a comma"),
        pytest.param(form("Input.ChoiceSet", isMultiSelect=True, **CHOICES), "x,y", "x,y",
                     id="several"),
        pytest.param(form("Input.ChoiceSet", isMultiSelect=True, **CHOICES), ["y", "x"], "y,x",
                     id="several, as a list"),
    ],
)  # fmt: skip
def test_a_value_that_will_do(card: Card, given_: Any, expected: str | None) -> None:
    values = {} if given_ is None else {"a": given_}
    assert checked(card, values) == ({} if expected is None else {"a": expected})


@pytest.mark.parametrize(
    ("card", "given_", "reason"),
    [
        pytest.param(form("Input.Text", isRequired=True), None, "INPUT_MISSING", id="left out"),
        pytest.param(form("Input.Text", isRequired=True), "  ", "INPUT_MISSING", id="spaces"),
        pytest.param(form("Input.Toggle", isRequired=True), "false", "INPUT_MISSING",
                     id="not agreed"),
        pytest.param(form("Input.Text", maxLength=3), "abcd", "INPUT_VALUE", id="too long"),
        pytest.param(form("Input.Text"), "a" * (MAX_VALUE + 1), "INPUT_VALUE", id="far too long"),
        pytest.param(form("Input.Text", regex="^[0-9]+$"), "x", "INPUT_VALUE",
                     id="another pattern"),
        pytest.param(form("Input.Text", regex="^(a+)+$"), "a" * 4_000 + "b", "INPUT_VALUE",
                     id="a pattern that backtracks elsewhere"),
        pytest.param(form("Input.Text"), "\ud800", "INPUT_VALUE", id="half a surrogate pair"),
        pytest.param(form("Input.Text"), ["a"], "INPUT_VALUE", id="a list"),
        pytest.param(form("Input.Text"), {"a": 1}, "INPUT_VALUE", id="an object"),
        pytest.param(form("Input.Text"), True, "INPUT_VALUE", id="a truth as text"),
        pytest.param(form("Input.Number"), "five", "INPUT_VALUE", id="a word as number"),
        pytest.param(form("Input.Number"), "0x5", "INPUT_VALUE", id="hexadecimal"),
        pytest.param(form("Input.Number"), "NaN", "INPUT_VALUE", id="not a number"),
        pytest.param(form("Input.Number"), "1e999", "INPUT_VALUE", id="infinite"),
        pytest.param(form("Input.Number"), float("inf"), "INPUT_VALUE", id="infinite, as float"),
        pytest.param(form("Input.Number"), 10**400, "INPUT_VALUE", id="a huge number"),
        pytest.param(form("Input.Number", min=1), 0, "INPUT_VALUE", id="too small"),
        pytest.param(form("Input.Number", max=1), "1.01", "INPUT_VALUE", id="too large"),
        pytest.param(form("Input.Date"), "2026-02-30", "INPUT_VALUE", id="no day"),
        pytest.param(form("Input.Date"), "1.2.2026", "INPUT_VALUE", id="a date, differently"),
        pytest.param(form("Input.Date"), "20260201", "INPUT_VALUE", id="a date, compactly"),
        pytest.param(form("Input.Date", max="2026-01-01"), "2026-01-02", "INPUT_VALUE", id="late"),
        pytest.param(form("Input.Time"), "24:00", "INPUT_VALUE", id="no hour"),
        pytest.param(form("Input.Time", min="12:00"), "11:59", "INPUT_VALUE", id="too early"),
        pytest.param(form("Input.Toggle"), "maybe", "INPUT_VALUE", id="neither on nor off"),
        pytest.param(form("Input.ChoiceSet", **CHOICES), "z", "INPUT_VALUE", id="no choice"),
        pytest.param(form("Input.ChoiceSet", **CHOICES), "x,y", "INPUT_VALUE", id="two of one"),
        pytest.param(form("Input.ChoiceSet", isMultiSelect=True, **CHOICES), "x,x", "INPUT_VALUE",
                     id="one twice"),
        pytest.param(form("Input.ChoiceSet", isMultiSelect=True, **CHOICES), ["x", 1],
                     "INPUT_VALUE", id="a list of more than texts"),
    ],
)  # fmt: skip
def test_a_value_that_will_not_do(card: Card, given_: Any, reason: str) -> None:
    flaws = checked(card, {} if given_ is None else {"a": given_})
    assert isinstance(flaws, list)
    assert [(one.reason, one.pointer) for one in flaws] == [(CardFlawReason(reason), "/a")]


def test_the_author_says_what_is_wrong() -> None:
    card = form("Input.Number", min=1, errorMessage="One bag at least")
    assert "One bag at least" in checked(card, {"a": 0})[0].message


def test_nothing_is_taken_that_the_button_does_not_send() -> None:
    card = card_of(
        {"type": "Input.Text", "id": "a"},
        actions=[submit(id="yes"), submit(id="no", associatedInputs="none")],
    )
    flaws = check_inputs(card, card.actions[1], {"a": "x"})
    assert isinstance(flaws, list)
    assert [(one.reason, one.pointer) for one in flaws] == [(CardFlawReason.UNKNOWN_INPUT, "/a")]
    assert check_inputs(card, card.actions[0], {"a": "x"}) == {"a": "x"}
    other = check_inputs(card, card.actions[0], {"b": "x"})
    assert isinstance(other, list)
    assert [(one.reason, one.pointer) for one in other] == [(CardFlawReason.UNKNOWN_INPUT, "/b")]


def test_all_flaws_are_told() -> None:
    card = card_of(
        {"type": "Input.Number", "id": "a"}, {"type": "Input.Date", "id": "b/c"}, actions=[submit()]
    )
    assert [one.pointer for one in checked(card, {"a": "x", "b/c": "x"})] == ["/a", "/b~1c"]


def test_all_values_together_are_bounded() -> None:
    inputs = [{"type": "Input.Text", "id": f"a{n}"} for n in range(3)]
    card = card_of(*inputs, actions=[submit()])
    flaws = checked(card, {f"a{n}": "é" * 2_000 for n in range(3)})
    assert [one.reason for one in flaws] == [CardFlawReason.TOO_LARGE]


_any = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@pytest.mark.parametrize(
    "type_",
    ["Input.Text", "Input.Number", "Input.Date", "Input.Time", "Input.Toggle", "Input.ChoiceSet"],
)
@given(value=_any)
def test_any_value_is_taken_or_refused_and_what_is_taken_is_taken_again(
    type_: str, value: Any
) -> None:
    card = form(type_, **(CHOICES if type_ == "Input.ChoiceSet" else {}))
    found = checked(card, {"a": value})
    if isinstance(found, dict):
        assert checked(card, found) == found

"""Cards for tests: made of parts, checked, and found whole."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from deployment_units.services.cards.card import Card
from deployment_units.services.cards.profile import check


def text_block(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": text, **more}


def submit(title: str = "Order", **more: Any) -> dict[str, Any]:
    return {"type": "Action.Submit", "title": title, **more}


def document_of(*body: Any, actions: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    """A card's document."""
    found = {"type": "AdaptiveCard", "version": "1.5", "body": list(body), **more}
    return found if actions is None else {**found, "actions": actions}


def card_of(*body: Any, actions: list[Any] | None = None, **more: Any) -> Card:
    """The card of a document that is right."""
    found = check(document_of(*body, actions=actions, **more))
    assert isinstance(found, Card), [str(one) for one in found]
    return found


def coffee_card() -> Card:
    """Two buttons, an amount, and a card behind a button."""
    return card_of(
        text_block("**Yirgacheffe**, new harvest", style="heading"),
        {"type": "FactSet", "facts": [{"title": "Price", "value": "14 €"}]},
        {"type": "Input.Number", "id": "amount", "label": "Bags", "min": 1, "max": 9, "value": 1},
        actions=[
            submit("Order", id="order", data={"sku": "yirga"}),
            submit("Not now", id="later", associatedInputs="none", once="repeat"),
            {"type": "Action.OpenUrl", "title": "About it", "url": "https://roastery.example/y"},
            {
                "type": "Action.ShowCard",
                "title": "Write a note",
                "card": {
                    "type": "AdaptiveCard",
                    "body": [{"type": "Input.Text", "id": "note", "label": "Note"}],
                    "actions": [submit("Send", id="send")],
                },
            },
        ],
    )


# -- any card ------------------------------------------------------------------------------

# What authors write, and what somebody writes who wants to break out of it.
NASTY = (
    "plain", "**bold** and _italic_", "- one\n- two", "1. one\n2. two", "[a](https://b.example)",
    "[a](javascript:alert(1))", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>',
    "' onclick='x", "&amp;", "\u202edrowssap", "\u2067left open", "שלום", "مرحبا 123",
    "\x1b[31mred",
    "line\nline", "{{DATE(2026-05-01T08:00:00Z, SHORT)}}", "", " ", "1", "[1]", "```\ncode\n```",
    "<!--", "]]>", "\x00\x07\x9b", "👩‍👩‍👧", "a" * 200,
)  # fmt: skip
texts = st.sampled_from(NASTY) | st.text(st.characters(codec="utf-8"), max_size=12)
_ids = st.integers(0, 10**9).map(lambda number: f"id-{number}")
_styles = {
    "weight": st.sampled_from(["bolder", "default"]),
    "fontType": st.sampled_from(["monospace", "default"]),
}
_press = st.builds(lambda title, on: submit(title, isEnabled=on), texts, st.booleans())
_open = st.builds(
    lambda title: {"type": "Action.OpenUrl", "title": title, "url": "https://a.example/?a=1&b=2"},
    texts,
)
_select = _press | _open
_inline = st.fixed_dictionaries(
    {"type": st.just("TextRun"), "text": texts},
    optional={"selectAction": _select, "italic": st.booleans(), **_styles},
)
_choice = st.fixed_dictionaries({"title": texts, "value": texts})
_flags = {"label": texts, "placeholder": texts, "isRequired": st.booleans()}


def _input(type_: str, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    needed = {"title": texts} if type_ == "Input.Toggle" else {}
    return st.fixed_dictionaries(
        {"type": st.just(type_), "id": _ids, **needed}, optional={**_flags, **more}
    ).map(
        lambda one: {k: v for k, v in one.items() if type_ != "Input.Toggle" or k != "placeholder"}
    )


_leaves = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("TextBlock"), "text": texts},
        optional={"style": st.just("heading"), "isVisible": st.booleans(), **_styles},
    ),
    st.fixed_dictionaries(
        {"type": st.just("RichTextBlock"), "inlines": st.lists(_inline | texts, max_size=3)}
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("FactSet"),
            "facts": st.lists(st.fixed_dictionaries({"title": texts, "value": texts}), max_size=3),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("Image"), "url": st.just("https://a.example/i.png")},
        optional={"altText": texts, "selectAction": _select},
    ),
    _input("Input.Text", value=texts, inlineAction=_select),
    _input("Input.Number", value=st.integers(-5, 5)),
    _input("Input.Date"),
    _input("Input.Toggle", value=texts),
    _input("Input.ChoiceSet", choices=st.lists(_choice, max_size=3), isMultiSelect=st.booleans()),
)


def _holding(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    items = st.lists(inner, max_size=3)
    box = {"items": items}
    return st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("Container"), **box}, optional={"selectAction": _select}
        ),
        st.fixed_dictionaries(
            {
                "type": st.just("ColumnSet"),
                "columns": st.lists(
                    st.fixed_dictionaries({"type": st.just("Column"), **box}), max_size=3
                ),
            }
        ),
        st.fixed_dictionaries(
            {
                "type": st.just("ActionSet"),
                "actions": st.lists(
                    _select
                    | st.builds(
                        lambda title, body: {
                            "type": "Action.ShowCard",
                            "title": title,
                            "card": {"type": "AdaptiveCard", "body": body},
                        },
                        texts,
                        items,
                    ),
                    max_size=3,
                ),
            }
        ),
        st.builds(
            lambda cells: {
                "type": "Table",
                "columns": [{"width": 1}],
                "rows": [{"type": "TableRow", "cells": cells}],
            },
            st.lists(st.fixed_dictionaries({"type": st.just("TableCell"), **box}), max_size=3),
        ),
    )


def cards() -> st.SearchStrategy[Card]:
    """Any card that is shown, with texts that try to be something else."""
    bodies = st.lists(st.recursive(_leaves, _holding, max_leaves=6), max_size=4)
    made = st.builds(
        lambda body, actions: check(document_of(*body, actions=actions)),
        bodies,
        st.lists(_select, max_size=3),
    )
    return made.filter(lambda found: isinstance(found, Card))  # type: ignore[return-value]

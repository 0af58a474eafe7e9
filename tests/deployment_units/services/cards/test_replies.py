"""Replies: what an application's output becomes, or what is wrong with it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.cards.card import MAX_DEPTH, Card, CardFlawReason
from deployment_units.services.cards.profile import check
from deployment_units.services.cards.replies import (
    SCHEMA,
    ApplicationOutcome,
    NewMessage,
    OpenConversation,
    Replace,
    Reply,
    is_reply,
    message_id,
    read_reply,
    reply,
)
from tests.support.cards import document_of, submit, text_block

TALKS = {
    "c1": OpenConversation(messages=frozenset({"m1", "m2"}), own=frozenset({"m2"})),
    "c2": OpenConversation(),
}


def output_of(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"schema": SCHEMA, "messages": list(messages), **more}


def outcome_of(output: Any) -> ApplicationOutcome:
    return ApplicationOutcome(
        tenant="talk",
        application="roastery",
        instruction="i1",
        time_ms=1_700_000_000_000,
        output=output,
    )


def test_new_messages_and_a_new_revision() -> None:
    document = document_of(text_block("Shipped"), actions=[submit(id="return")])
    output = output_of(
        {"conversation": "c1", "text": "Thanks", "in_reply_to": "m1"},
        {"conversation": "c1", "text": "Shipped", "card": document, "replaces": "m2"},
    )
    outcome = outcome_of(output)
    first, second = reply(outcome, TALKS)
    assert first == NewMessage(
        id=message_id(outcome, 0), conversation="c1", text="Thanks", in_reply_to="m1"
    )
    assert isinstance(second, Replace)
    assert (second.message, second.conversation, second.text) == ("m2", "c1", "Shipped")
    assert second.card is not None
    assert [one.id for one in second.card.actions] == ["return"]


def test_nothing_is_a_reply_too() -> None:
    assert reply(outcome_of(output_of()), TALKS) == []


@pytest.mark.parametrize(
    ("output", "reason", "pointer"),
    [
        pytest.param({"messages": []}, "FORM", "", id="no schema"),
        pytest.param({"schema": "x", "messages": []}, "FORM", "/schema", id="another schema"),
        pytest.param([], "FORM", "", id="a list"),
        pytest.param(None, "FORM", "", id="nothing"),
        pytest.param(output_of(*[{"conversation": "c1", "text": "a"}] * 9), "FORM", "/messages",
                     id="nine messages"),
        pytest.param(output_of({"conversation": "c1"}), "FORM", "/messages/0", id="no text"),
        pytest.param(output_of({"conversation": "c1", "text": ""}), "FORM", "/messages/0/text",
                     id="an empty text"),
        pytest.param(output_of({"conversation": "c1", "text": "a" * 4_097}), "FORM",
                     "/messages/0/text", id="a long text"),
        pytest.param(output_of({"conversation": "c1", "text": "a", "to": "x"}), "FORM",
                     "/messages/0", id="a word that is none"),
        pytest.param(output_of({"conversation": "c1", "text": "\ud800"}), "NOT_JSON", "",
                     id="half a surrogate pair"),
        pytest.param(output_of({"conversation": "c3", "text": "a"}), "CONVERSATION",
                     "/messages/0/conversation", id="a conversation of others"),
        pytest.param(output_of({"conversation": "c2", "text": "a", "in_reply_to": "m1"}),
                     "CONVERSATION", "/messages/0/in_reply_to", id="a message elsewhere"),
        pytest.param(output_of({"conversation": "c1", "text": "a", "replaces": "m1"}), "REPLACES",
                     "/messages/0/replaces", id="a message of others"),
        pytest.param(output_of({"conversation": "c2", "text": "a", "replaces": "m2"}), "REPLACES",
                     "/messages/0/replaces", id="a message of its own elsewhere"),
        pytest.param(output_of(*[{"conversation": "c1", "text": "a", "replaces": "m2"}] * 2),
                     "REPLACES", "/messages/1/replaces", id="two revisions at once"),
        pytest.param(output_of({"conversation": "c1", "text": "a",
                                "card": document_of({"type": "Graph"})}), "TYPE",
                     "/messages/0/card/body/0/type", id="a card that is refused"),
        pytest.param(output_of({"conversation": "c1", "text": "a", "card": {}}), "NOT_A_CARD",
                     "/messages/0/card", id="an object that is no card"),
    ],
)  # fmt: skip
def test_a_reply_that_is_wrong_sends_nothing(output: Any, reason: str, pointer: str) -> None:
    good = {"conversation": "c1", "text": "good"}
    if reason != "FORM" and isinstance(output, dict):
        output = {**output, "messages": [*output["messages"], good]}
    flaws = reply(outcome_of(output), TALKS)
    assert [(one.reason, one.pointer) for one in flaws] == [(CardFlawReason(reason), pointer)]


def test_a_card_may_be_as_deep_in_a_reply_as_alone() -> None:
    inside = text_block("a")
    for _ in range((MAX_DEPTH - 3) // 2):
        inside = {"type": "Container", "items": [inside]}
    message = {"conversation": "c1", "text": "a", "card": document_of(inside)}
    assert isinstance(read_reply(output_of(message)), Reply)
    assert len(reply(outcome_of(output_of(message)), TALKS)) == 1


def test_a_reply_names_what_has_to_be_read() -> None:
    output = output_of(
        {"conversation": "c1", "text": "a", "in_reply_to": "m1"},
        {"conversation": "c2", "text": "a", "replaces": "m2"},
    )
    for given_as in (output, json.dumps(output)):
        read = read_reply(given_as)
        assert isinstance(read, Reply)
        assert (read.conversations, read.messages) == ({"c1", "c2"}, {"m1", "m2"})


def test_an_outcome_that_is_read_twice_makes_the_same_messages() -> None:
    output = output_of(*[{"conversation": "c1", "text": "a"}] * 8)
    once, again = (reply(outcome_of(output), TALKS) for _ in range(2))
    assert once == again
    assert len({one.id for one in once if isinstance(one, NewMessage)}) == 8
    other = reply(replace(outcome_of(output), instruction="i2"), TALKS)
    assert not {one.id for one in once if isinstance(one, NewMessage)} & {
        one.id for one in other if isinstance(one, NewMessage)
    }


def test_an_id_is_a_ulid_of_the_outcome() -> None:
    id_ = message_id(outcome_of(output_of()), 0)
    assert len(id_) == 16
    assert int.from_bytes(id_[:6], "big") == 1_700_000_000_000


@pytest.mark.parametrize(
    ("output", "expected"), [(output_of(), True), ({"ok": True}, False), (None, False), ("", False)]
)
def test_another_output_is_no_reply(output: Any, expected: bool) -> None:
    assert is_reply(output) is expected


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["schema", "messages", "conversation", "text", "card"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(_json)
def test_any_output_is_read(output: Any) -> None:
    for whole in (output, output_of(output), output_of({"conversation": "c1", "text": "a"})):
        assert isinstance(reply(outcome_of(whole), TALKS), list)


def test_the_published_schema_and_the_example_are_ours() -> None:
    docs = Path(__file__).parents[4] / "docs" / "reference"
    package = files("deployment_units.services.cards")
    assert (docs / "reply.schema.json").read_text() == (
        package.joinpath("reply.schema.json").read_text()
    )
    card, answer = re.findall(r"```json\n(.*?)```", (docs / "cards.md").read_text(), re.S)
    assert isinstance(check(card), Card)
    assert isinstance(read_reply(answer), Reply)

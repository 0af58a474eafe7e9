"""Explanations: what a text is as an identifier, or why it is none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identifiers.explanation import explanation
from control_plane.identifiers.uris import read_any


def explained(text: str) -> dict[str, object]:
    return explanation(text, read_any(text))


def test_a_handle_says_how_it_is_kept_and_whether_it_can_be_claimed() -> None:
    document = explained("СОСО")
    assert document["accepted"] is True
    assert document["normal"] == "сосо"
    assert document["skeleton"] == "coco"
    assert document["kept_under"] == "u17r1.coco"
    assert document["scripts"] == ["Cyrl"]
    assert "Latn" in document["scripts_that_look_alike"]  # type: ignore[operator]
    assert document["claimable"] is True
    assert document["changes"] == [{"name": "CASE", "text": "capitals made small"}]


def test_a_handle_that_nobody_may_claim_says_why() -> None:
    document = explained("adm1n")
    assert document["claimable"] is False
    assert document["not_claimable"]["reason"] == "RESERVED"  # type: ignore[index]


def test_a_domain_says_who_can_register_it() -> None:
    document = explained("www.talk.co.uk")
    assert document["public_suffix"] == "co.uk"
    assert document["registrable_domain"] == "talk.co.uk"
    assert document["uri"] is None


def test_a_number_of_fiction_is_noted() -> None:
    (note,) = explained("+447700900123")["notes"]  # type: ignore[misc, attr-defined]
    assert note["name"] == "NOT_ASSIGNED"


@pytest.mark.parametrize("text", ["аnna", "a b@x.example", "020 7946 0018", "192.0.2.1", ""])
def test_what_is_refused_says_why_and_what_would_do(text: str) -> None:
    document = explained(text)
    assert document["accepted"] is False
    assert document["reason"]
    assert document["message"]
    assert document["remedy"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_an_explanation_of_any_text_is_json(text: str) -> None:
    assert json.loads(json.dumps(explained(text)))["text"] == text

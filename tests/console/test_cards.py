"""`homeport cards`: without a server, for people and for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cards import document_of, submit, text_block
from tests.support.command_line import CommandLine

CARD = document_of(
    text_block("**Coffee**"),
    {"type": "Input.Number", "id": "amount", "label": "Bags", "isRequired": True},
    actions=[submit("Order", id="order"), submit("Later", once="repeat", isEnabled=False)],
)
BROKEN = document_of(text_block("a", colour="good"), {"type": "Media", "sources": []})
REPLY = {
    "schema": "homeport.communicant.reply/1",
    "messages": [{"conversation": "c", "text": "Here", "card": CARD}],
}


def stdin(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_a_card_that_may_be_shown(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "card.json"
    file.write_bytes(stdin(CARD))
    ran = cli("cards", "check", "-f", str(file))
    assert ran.code == 0
    assert "may be shown" in ran.out
    assert "Order (order): once by everybody, sends amount" in ran.out
    assert "Later (action-2): not available" in ran.out
    assert "Bags (amount): Input.Number, required" in ran.out


def test_the_same_for_programs(cli: CommandLine) -> None:
    ran = cli("cards", "check", "-", "-o", "json", stdin=stdin(CARD))
    assert ran.document["accepted"] is True
    assert [one["id"] for one in ran.document["actions"]] == ["order", "action-2"]
    assert ran.document["inputs"] == [
        {"id": "amount", "kind": "Input.Number", "name": "Bags", "required": True}
    ]


@pytest.mark.parametrize("command", ["check", "render"])
def test_what_is_refused_says_where_and_exits_with_four(cli: CommandLine, command: str) -> None:
    ran = cli("cards", command, "-", stdin=stdin(BROKEN))
    assert ran.code == 4
    assert "/body/0/colour" in ran.out
    assert 'did you mean "color"?' in ran.out
    ran = cli("cards", command, "-", "-o", "json", stdin=stdin(BROKEN))
    assert ran.code == 4
    assert [(one["pointer"], one["reason"]) for one in ran.document["flaws"]] == [
        ("/body/0/colour", "FORM"),
        ("/body/1", "MEDIA"),
    ]


def test_a_card_as_text(cli: CommandLine) -> None:
    ran = cli("cards", "render", "-", stdin=stdin(CARD))
    assert ran.code == 0
    assert ran.out.startswith("Coffee\nBags *:\n[1] Order (Bags)\n* Later (not available)\n")


def test_a_card_as_html(cli: CommandLine) -> None:
    ran = cli("cards", "render", "-", "--as", "html", "-o", "json", stdin=stdin(CARD))
    assert ran.document["as"] == "html"
    assert '<a href="#press"><bdi>Order</bdi></a>' in ran.document["content"]


def test_a_reply_and_its_cards(cli: CommandLine) -> None:
    assert "a reply of 1 message" in cli("cards", "check", "-", stdin=stdin(REPLY)).out
    ran = cli("cards", "check", "-", "-o", "json", stdin=stdin(REPLY))
    assert ran.document["messages"][0]["card"]["actions"][0]["id"] == "order"
    assert cli("cards", "render", "-", stdin=stdin(REPLY)).out.startswith("Here\n\nCoffee\n")
    broken = {**REPLY, "messages": [{"conversation": "c", "text": "a", "card": BROKEN}]}
    ran = cli("cards", "check", "-", "-o", "json", stdin=stdin(broken))
    assert ran.document["flaws"][0]["pointer"] == "/messages/0/card/body/0/colour"


def test_what_controls_a_terminal_does_not_reach_it(cli: CommandLine) -> None:
    evil = document_of(text_block("a\x1b[31m\u202eb שלום"), actions=[submit("\x07שלום")])
    for words in (("check",), ("render",), ("render", "--as", "html")):
        ran = cli("cards", *words, "-", stdin=stdin(evil))
        assert ran.code == 0
        assert not set(ran.out) & {"\x1b", "\x07", "\u202e", "\u2068", "\u2069"}
        assert "�[1] שלום" not in ran.out


def test_a_card_that_is_too_large_is_refused_and_a_file_that_is_is_not_read(
    cli: CommandLine,
) -> None:
    ran = cli("cards", "check", "-", stdin=stdin(document_of(text_block("a" * 20_000))))
    assert (ran.code, "TOO_LARGE" in ran.out) == (4, True)
    assert cli("cards", "check", "-", stdin=b" " * (1 << 21)).code == 2


def test_the_command_tree_does_not_load_the_libraries() -> None:
    code = (
        "import sys, console.cli.main; print([m for m in "
        "('markdown_it', 'jsonschema_rs', 'deployment_units.services.cards') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"

"""What is wrong with a command line has no word of Python's, whatever was typed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.cli.main import main
from console.cli.usage_errors import reworded

WORDS = ["frob", "it's", 'say"so', "back\\slash", "both'\"", "é", "\\n", "'x'"]


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """On stderr, without the frame and its folding."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    return " ".join(line.strip("│ ") for line in lines if line.startswith("│"))


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "arguments", [["{}"], ["units", "{}"], ["units", "list", "-o", "{}"]], ids="-".join
)
def test_a_word_that_is_none_stands_there_as_json_has_it(
    word: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = said([one.format(word) for one in arguments], capsys)
    assert json.dumps(word, ensure_ascii=False) in words
    assert "Value error" not in words


@pytest.mark.parametrize("word", WORDS)
def test_an_option_that_is_none_stands_there_as_it_is(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"No such option: --{word}" in said(["units", "list", f"--{word}"], capsys)


@pytest.mark.parametrize("given_", ["nan", "NaN", "-nan", "x", " "])
@pytest.mark.parametrize(
    "command", [["units", "drain", "u", "--rate={}"], ["moves", "rate", "j", "{}"]]
)
def test_what_is_no_number_is_told_so_and_no_bound(
    given_: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if given_.startswith("-") and command[0] == "moves":
        command = [*command[:-1], "--", command[-1]]
    words = said([one.format(given_) for one in command], capsys)
    assert f"{json.dumps(given_)} is no number" in words
    assert "Input should" not in words


def test_a_whole_number_is_asked_for_in_our_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert '"x" is no whole number' in said(["watch", "c", "--count", "x"], capsys)


def test_a_number_out_of_bounds_is_told_the_bound(capsys: pytest.CaptureFixture[str]) -> None:
    assert "is more than" in said(["units", "drain", "u", "--rate=inf"], capsys)


@given(st.text(max_size=40))
def test_whatever_was_typed_is_quoted_once(word: str) -> None:
    message = reworded(f"No such command {word!r}. Did you mean {'list'!r}?")
    assert message.startswith('No such command "')
    assert message.endswith('. Did you mean "list"?')


@given(st.text(max_size=40))
def test_a_message_in_which_words_stand_as_they_are_stays(word: str) -> None:
    assert reworded(f"No such option: --{word}") == f"No such option: --{word}"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--with-directory", "--mail-relay", "127.0.0.1:25"],
        ["--mail-relay", "127.0.0.1:25", "--mail-domain", "talk.example"],
        ["--with-directory", "--text-number", "+442079460000"],
        ["--text-line", "127.0.0.1:25", "--text-number", "+442079460000"],
    ],
    ids=["no domain", "mail without accounts", "no line", "texts without accounts"],
)
def test_a_relay_or_line_needs_what_belongs_to_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "go together, and with --with-directory" in said(["up", *arguments], capsys)


def test_push_services_are_of_accounts(capsys: pytest.CaptureFixture[str]) -> None:
    assert "notices are of accounts" in said(["up", "--push", "ntfys=*"], capsys)
    with pytest.raises(SystemExit) as end:
        main(["up", "--with-directory", "--push", "irc=*"])
    assert end.value.code == 2
    assert '"irc" is not offered; use one of' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["up", "--port", "99999"], "99999 is more than 65,535"),
        (["chat", "ben", "--as", "a", "--recent", "0"], "0 is less than 1"),
        (["get", "a", "b"], "not expected here: b"),
    ],
    ids=["beyond", "below", "one too many"],
)
def test_what_the_parser_finds_is_said_in_our_words(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in said(arguments, capsys)


@pytest.mark.parametrize(
    ("arguments", "optional"), [(["get", ""], False), (["provision", "a", "--ip", ""], True)]
)
def test_only_what_may_be_left_out_is_said_to_be(
    arguments: list[str], optional: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ("leave it out" in said(arguments, capsys)) == optional

"""Text from outside, where a person reads it."""

from __future__ import annotations

import datetime
import errno
import json
import socket
import tomllib
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.printable import (
    printable,
    printable_json,
    printable_lines,
    quoted,
    why_failed,
    why_unreadable,
)

ANY_TEXT = st.text(st.characters() | st.sampled_from("\x1b\x9b\u202e\u2028\x07\r\n\t\x7f\ud800"))
DANGEROUS = {"Cc", "Cs", "Zl", "Zp"}
BIDIRECTIONAL = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def controls(text: str, *, but: str = "") -> list[str]:
    return [
        one
        for one in text
        if one not in but
        and (
            unicodedata.category(one) in DANGEROUS
            or unicodedata.bidirectional(one) in BIDIRECTIONAL
        )
    ]


@given(ANY_TEXT)
def test_no_control_character_is_left_and_nothing_is_lost(text: str) -> None:
    shown = printable(text)
    assert not controls(shown)
    assert len(shown) == len(text)
    assert printable(shown) == shown


@given(ANY_TEXT)
def test_lines_keep_their_feeds_and_tabs(text: str) -> None:
    shown = printable_lines(text)
    assert not controls(shown, but="\n\t")
    assert shown.count("\n") == text.count("\n")


@given(ANY_TEXT)
def test_json_keeps_its_value(text: str) -> None:
    shown = printable_json(json.dumps({"said": text}, indent=1, ensure_ascii=False))
    assert json.loads(shown) == {"said": text}
    assert not controls(shown, but="\n")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("it's", '"it\'s"', id="a text with a quote"),
        pytest.param(None, "null", id="nothing"),
        pytest.param(True, "true", id="a truth"),
        pytest.param({"a": [None, False]}, '{"a": [null, false]}', id="a mapping"),
        pytest.param({None: 1, 2: 3}, '{"null": 1, "2": 3}', id="keys that are no texts"),
        pytest.param(datetime.date(2024, 1, 2), '"2024-01-02"', id="a date"),
        pytest.param(Path("/srv/x"), '"/srv/x"', id="a path"),
        pytest.param(b"x\xff", '"x\ufffd"', id="bytes"),
        pytest.param({1}, "[1]", id="a set"),
        pytest.param("\x1b[31m\x9b", '"\\u001b[31m\\u009b"', id="control characters"),
        pytest.param("x" * 100, '"' + "x" * 69 + "…", id="a long text"),
        pytest.param(10**5_000, "a very long number", id="a number of 5,000 digits"),
    ],
)
def test_a_value_is_quoted_as_json_has_it(value: object, shown: str) -> None:
    """Python's own notation (None, True, PosixPath(…)) means nothing to an operator."""
    assert quoted(value) == shown


@given(st.recursive(st.none() | st.booleans() | st.floats() | ANY_TEXT | st.binary() | st.dates(),
                    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner)))  # fmt: skip
def test_whatever_is_quoted_is_short_and_controls_nothing(value: object) -> None:
    assert len(quoted(value)) <= 71
    assert not controls(quoted(value))


def nested(depth: int) -> object:
    found: object = []
    for _ in range(depth):
        found = [found]
    return found


def test_what_is_nested_deep_is_cut() -> None:
    assert quoted(nested(100_000)) == '[[[["…"]]]]'


def not_utf8() -> Exception:
    try:
        b"ab\xff".decode()
    except UnicodeDecodeError as error:
        return error
    raise AssertionError


def unread(text: str) -> Exception:
    """What reading it as TOML raises."""
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        pytest.param(FileNotFoundError(2, "No such file", "x"), "No such file", id="missing"),
        pytest.param(OSError(), "the system does not say why", id="nothing is known"),
        pytest.param(not_utf8(), "it is not UTF-8 (byte 3)", id="not UTF-8"),
        pytest.param(unread("="), "Invalid statement (at line 1, column 1)", id="not TOML"),
        pytest.param(unread("a = " + "[" * 50_000), "brackets are nested too deep", id="deep"),
        pytest.param(unread(f"a = {'9' * 5_000}"), "a number has too many digits", id="digits"),
    ],
)
def test_why_a_file_cannot_be_read(error: Exception, said: str) -> None:
    assert why_unreadable(error) == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EADDRINUSE, "error while attempting to bind on address ('::1', 80)"),
         "Address already in use"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "Permission denied"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
         "Name or service not known"),
        (TimeoutError("timed out"), "timed out"),
        (OSError("no route"), "no route"),
        (ValueError("port 99999 is none"), "port 99999 is none"),
    ],
)  # fmt: skip
def test_why_a_port_or_a_connection_cannot_be_had(error: Exception, said: str) -> None:
    assert why_failed(error) == said

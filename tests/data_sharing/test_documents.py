"""Documents are read within bounds, and what is too much of them is said in words of ours."""

from __future__ import annotations

import json

import pytest

from control_plane.errors import InvalidInput
from data_sharing.documents import MOST_DIGITS, MOST_LEVELS, MOST_PARTS, value_of

DEEP = MOST_LEVELS + 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param('{"a": ' + "9" * 5_000 + "}", "a number has 5,000 digits", id="json-digits"),
        pytest.param("a: " + "9" * 5_000, "a number has 5,000 digits", id="yaml-digits"),
        pytest.param('{"a": -' + "9" * 5_000 + "}", "digits", id="json-digits-below-zero"),
        pytest.param("a: " + "9" * 5_000 + ".5e5000", "inf", id="yaml-fraction-beyond-doubles"),
        pytest.param('{"a": ' + "[" * DEEP + "]" * DEEP + "}", "deeper than", id="json-nesting"),
        pytest.param('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "deeper than",
                     id="json-nesting-beyond-python"),
        pytest.param("a: " + "[" * DEEP + "]" * DEEP, "deeper than", id="yaml-nesting"),
        pytest.param("a: " + "[" * 100_000 + "]" * 100_000, "deeper than",
                     id="yaml-nesting-beyond-python"),
        pytest.param("".join(f"{'  ' * n}a:\n" for n in range(DEEP)), "deeper than",
                     id="yaml-nesting-by-indent"),
        pytest.param('{"a": [' + "1," * MOST_PARTS + "1]}", "more than", id="json-parts"),
        pytest.param("a: [" + "1," * MOST_PARTS + "1]", "more than", id="yaml-parts"),
        pytest.param('{"a": "' + "x" * 1_100_000 + '"}', "larger than", id="bytes"),
        pytest.param("a: &a [1]\nb: *a", "anchors and aliases", id="an-alias"),
        pytest.param("a: &a 1", "anchors and aliases", id="an-anchor-alone"),
        pytest.param("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]", "anchors", id="a-bomb"),
        pytest.param("a: &a {b: 1}\nc: {<<: *a}", "anchors", id="a-merge"),
        pytest.param("a: &a [*a]", "anchors", id="an-alias-of-itself"),
        pytest.param('{"a": 1, "b": 2, "a": 3}', '"a" stands there twice', id="json-key-twice"),
        pytest.param("a: '\ud800'", "half a character", id="half-a-character"),
        pytest.param('{"a": "\\ud800"}', "half a character", id="half-a-character-escaped"),
        pytest.param("a: 1\nb: 2\na: 3", '"a" stands there twice', id="yaml-key-twice"),
    ],
)  # fmt: skip
def test_what_is_too_much_is_said(text: str, said: str) -> None:
    with pytest.raises(InvalidInput) as found:
        value_of(text, "plan")
    assert said in found.value.message
    assert found.value.message.startswith("plan: ")
    assert "set_int_max_str_digits" not in found.value.message


def test_the_key_that_stands_twice_is_found_in_one_pass() -> None:
    """A hundred thousand keys, the last one again; looking back from each would take minutes."""
    pairs = ",".join(f'"k{n}": 0' for n in range(60_000))
    with pytest.raises(InvalidInput, match='"k59999" stands there twice'):
        value_of("{" + pairs + ', "k59999": 1}', "manifest")


def test_as_much_as_is_allowed_is_read() -> None:
    levels = MOST_LEVELS - 1
    for value in (
        {"a": [1] * (MOST_PARTS - 4)},
        {"a": int("9" * MOST_DIGITS)},
        json.loads('{"a": ' + "[" * levels + "]" * levels + "}"),
    ):
        assert value_of(json.dumps(value), "plan") == value
        assert value_of(json.dumps(value, indent=None).replace("{", "\n{", 1), "plan") == value


CORE = {
    None: ("~", "null", "Null", "NULL", ""),
    True: ("true", "True", "TRUE"),
    False: ("false", "False", "FALSE"),
    12: ("12", "+12", "012", "0o14", "0xC", "0xc"),
    -7: ("-7", "-07"),
    0.5: (".5", "0.5", "+.5", "5e-1", ".05E+1", "0.50"),
    -3.0: ("-3.", "-3.0", "-0.3e1"),
    "yes": ("yes",),
    "nUll": ("nUll",),
    "tRUE": ("tRUE",),
    "0b11": ("0b11",),
    "-0x1": ("-0x1",),
    "0o8": ("0o8",),
    "1_000": ("1_000",),
    "1:30": ("1:30",),
    "2024-01-01": ("2024-01-01",),
    ".": (".",),
    "+": ("+",),
    "1e": ("1e",),
    "~1": ("~1",),
}


@pytest.mark.parametrize(
    ("written", "meant"), [(text, value) for value, texts in CORE.items() for text in texts]
)
def test_plain_words_mean_what_the_core_schema_says(written: str, meant: object) -> None:
    """YAML 1.2.2, 10.3.2."""
    found = value_of(f"a: {written}", "document")["a"]
    assert (type(found), found) == (type(meant), meant)
    assert value_of(f'a: "{written}"', "document")["a"] == written


@pytest.mark.parametrize("written", [".inf", "-.Inf", "+.INF", ".nan", ".NaN", ".NAN"])
def test_numbers_that_json_has_not_are_refused(written: str) -> None:
    with pytest.raises(InvalidInput, match="which JSON has not"):
        value_of(f"a: {written}", "document")

"""What comparing numbers costs is known from how they are written, before any is compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.schema_numbers import Written, number_steps
from data_sharing.schemas import MOST_WORK, DataSchema

LONG = 2**63
TEXTS = {
    "whole": "89",
    "fraction": "89.5",
    "large": str(LONG),
    "exponent": "5e-324",
}
# By word: how many numbers, written so, an event may have at least, and that this many more are
# refused. Slow ones are a few thousand steps, fast ones a few.
ALLOWED = {
    "minimum: 0": {"whole": 50_000, "fraction": 20_000, "large": 2_000, "exponent": 500},
    "minimum: 0.1": {"whole": 1_000, "fraction": 500, "large": 500, "exponent": 100},
    "maximum: 100": {"whole": 50_000, "fraction": 20_000, "large": 2_000, "exponent": 500},
    "exclusiveMinimum: 2.5": {"whole": 1_000, "fraction": 500, "large": 500, "exponent": 100},
    "exclusiveMaximum: 1.0": {"whole": 5_000, "fraction": 2_000, "large": 2_000, "exponent": 500},
    "multipleOf: 1": {"whole": 50_000, "fraction": 2_000, "large": 1_000, "exponent": 500},
    "multipleOf: 0.01": {"whole": 1_000, "fraction": 500, "large": 400, "exponent": 70},
    "const: 7": {"whole": 5_000, "fraction": 1_000, "large": 1_000, "exponent": 100},
    "const: 7.5": {"whole": 1_000, "fraction": 500, "large": 500, "exponent": 100},
    "const: 1e-300": {"whole": 100, "fraction": 100, "large": 100, "exponent": 50},
    "enum: [1, 2, 3]": {"whole": 50_000, "fraction": 300, "large": 300, "exponent": 40},
    "enum: [1, x]": {"whole": 5_000, "fraction": 1_000, "large": 1_000, "exponent": 100},
    "enum: [[1.5, 2.5]]": {"whole": 400, "fraction": 300, "large": 300, "exponent": 50},
}


def schema_of(word: str) -> DataSchema:
    name, value = word.split(": ")
    read = [1, "x"] if value == "[1, x]" else json.loads(value)
    return DataSchema({"properties": {"l": {"items": {name: read}}}})


def listed(text: str, count: int) -> bytes:
    return b'{"l": [' + ", ".join([text] * count).encode() + b"]}"


@pytest.mark.parametrize(
    ("word", "written", "count"),
    [
        (word, written, count)
        for word, counts in ALLOWED.items()
        for written, count in counts.items()
    ],
)
def test_so_many_numbers_may_be_in_an_event_and_not_many_times_more(
    word: str, written: str, count: int
) -> None:
    schema = schema_of(word)
    assert schema.too_much_work(listed(TEXTS[written], count)) == ""
    refused = schema.too_much_work(listed(TEXTS[written], count * 8))
    assert f"at most {MOST_WORK:,}" in refused


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "number"}, id="a-type"),
        pytest.param({"enum": ["a", "b", None, True]}, id="an-enum-without-numbers"),
        pytest.param({"const": "a"}, id="a-text"),
        pytest.param({"const": True}, id="a-truth-value-is-no-number"),
        pytest.param({"minimum": "5"}, id="what-is-no-bound"),
    ],
)
def test_what_compares_no_numbers_costs_nothing_more(schema: dict[str, Any]) -> None:
    assert not any(number_steps(schema))


def test_numbers_deep_in_a_constant_count() -> None:
    shallow, deep = number_steps({"const": 1.5}), number_steps({"const": {"a": [{"b": 1.5}]}})
    assert shallow == deep
    assert any(deep)


@pytest.mark.parametrize(
    ("texts", "refused"),
    [
        pytest.param(["tag"] * 5_000, False, id="tags"),
        pytest.param(["1"] * 3_000, False, id="whole-numbers"),
        pytest.param([str(2**62 + n) for n in range(3_000)], False, id="ids-of-19-digits"),
        pytest.param([f"{n}.5" for n in range(3_000)], False, id="fractions-in-one-list"),
        pytest.param([str(LONG + n) for n in range(1_000)], True, id="beyond-64-bits"),
        pytest.param(["[1.5, 2.5]"] * 1_000, True, id="fractions-in-many-lists"),
        pytest.param(["1e-300"] * 1_500, True, id="exponents"),
    ],
)
def test_unique_items_cost_what_comparing_them_does(texts: list[str], refused: bool) -> None:
    schema = DataSchema(
        {"properties": {"l": {"uniqueItems": True, "items": {"uniqueItems": True}}}}
    )
    quoted = [json.dumps(one) if one == "tag" else one for one in texts]
    content = b'{"l": [' + ",".join(quoted).encode() + b"]}"
    assert bool(schema.too_much_work(content)) is refused


numbers = st.one_of(
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([LONG, LONG - 1, 10**18, 10**19, 1e300, 5e-324, 0.0, -0.0]),
)
documents = st.recursive(
    st.one_of(numbers, st.text(max_size=8), st.none(), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6), st.dictionaries(st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=30,
)


def leaves(value: Any) -> Iterator[Any]:
    yield value
    for one in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from leaves(one)


@given(document=documents)
def test_never_fewer_are_counted_than_there_are(document: Any) -> None:
    text = json.dumps(document)
    written, all_of_it = Written.of(text.encode()), list(leaves(document))
    floats = [json.dumps(one) for one in all_of_it if isinstance(one, float)]
    whole = [one for one in all_of_it if isinstance(one, int) and not isinstance(one, bool)]
    assert written.values >= len(all_of_it) - 1 - sum(one in ([], {}) for one in all_of_it)
    assert written.arrays >= sum(isinstance(one, list) for one in all_of_it)
    assert written.fractions >= sum("." in one for one in floats)
    assert written.exponents >= sum("e" in one for one in floats)
    assert written.large >= sum(abs(one) >= LONG for one in whole)


def test_nothing_large_is_seen_in_ordinary_numbers() -> None:
    ordinary = json.dumps([2**63 - 1, -(2**62), 1764324000000000000, 12, 1.5]).encode()
    assert Written.of(ordinary)[2:] == (1, 0, 0)
    assert Written.of(b'["3e5", "1.2.3.4"]')[2:] == (3, 0, 1)

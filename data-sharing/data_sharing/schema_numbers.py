"""NumberSteps: what the words of a JSON Schema that compare numbers cost, by how they are written.

jsonschema-rs compares numbers exactly, as fractions of whole numbers of any length. That is nothing
for `minimum: 0` beside 12, 150 times as long for `const: 0.5`, and 2,000 times for a number with a
large negative exponent. So numbers are told apart by their text: whole ones, those with a decimal
point, those beyond 64 bits, and those with an exponent. Steps are of some 15 ns, measured with
jsonschema-rs 0.61 over magnitudes from 5e-324 to 1e300 and rounded up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import log10
from typing import Any, NamedTuple

_WHOLE_BITS = 63


class NumberSteps(NamedTuple):
    """whole: for any number, beside the step that every word takes. The others: what one that is
    written so takes beyond that."""

    whole: int = 0
    fraction: int = 0
    large: int = 0
    exponent: int = 0

    def plus(self, other: NumberSteps, times: int = 1) -> NumberSteps:
        """The sum, the other taken so many times."""
        return NumberSteps(*(one + times * two for one, two in zip(self, other, strict=True)))

    def most(self, other: NumberSteps) -> NumberSteps:
        """The larger ones of both."""
        return NumberSteps(*map(max, self, other))


class Written(NamedTuple):
    """What a JSON text holds at most, counted without reading it: what stands in strings counts as
    well."""

    values: int
    arrays: int
    fractions: int
    large: int  # whole numbers beyond 64 bits with sign
    exponents: int

    @classmethod
    def of(cls, content: bytes) -> Written:
        """One pass, and one over long rows of digits where there are any."""
        marks = content.translate(_MARKS)
        arrays = marks.count(b"[")
        return cls(
            values=marks.count(b",") + arrays,
            arrays=arrays,
            fractions=marks.count(b"0."),
            large=_large(content) if b"0" * _LARGE_DIGITS in marks else 0,
            exponents=marks.count(b"0e"),
        )


NO_STEPS = NumberSteps()
_EQUAL_WHOLE = NumberSteps(40, 260, 260, 2_760)
_EQUAL = NumberSteps(300, 0, 20, 2_500)
_LOOKED_UP = 4  # a whole number, in an enum of nothing else
# By what stands in the schema: a whole number of 64 bits, another one without a fraction, others.
_BOUND = (NumberSteps(2, 4, 110, 420), NumberSteps(40, 60, 60, 380),
          NumberSteps(260, 0, 60, 2_240))  # fmt: skip
_MULTIPLE = (NumberSteps(0, 120, 120, 420), NumberSteps(40, 80, 80, 380),
             NumberSteps(320, 40, 180, 3_980))  # fmt: skip
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")

# uniqueItems compares the items of arrays below 16 with each other, and hashes those of others;
# whole numbers beyond 64 bits all have one hash.
_PAIRED = 15
_UNIQUE_WHOLE = 60
_UNIQUE_PAIRED = NumberSteps(0, 1_900, 900, 32_000)
_UNIQUE_HASHED = NumberSteps(0, 20, 0, 270)
_UNIQUE_LARGE_PAIR = 70

_LARGE_DIGITS = 19
_LONG_ROW = re.compile(rb"[0-9]{%d,}" % _LARGE_DIGITS)
_LARGEST = str(2**_WHOLE_BITS - 1).encode()
_MARKS = bytes(
    ord("0") if chr(byte) in "0123456789"
    else ord("e") if chr(byte) in "eE"
    else ord(",") if chr(byte) in ",{"
    else byte if chr(byte) in ".["
    else ord(" ")
    for byte in range(256)
)  # fmt: skip


def number_steps(schema: Mapping[str, Any]) -> NumberSteps:
    """Of the words of one schema, without what they apply."""
    steps = NO_STEPS
    for word in _BOUNDS:
        if _is_number(schema.get(word)):
            steps = steps.plus(_BOUND[_kind(schema[word])])
    if _is_number(schema.get("multipleOf")):
        divisor = schema["multipleOf"]
        steps = steps.plus(_with_own(_MULTIPLE[_kind(divisor)], divisor))
    values = schema.get("enum")
    if isinstance(values, list):
        steps = steps.plus(_enum_steps(values))
    if "const" in schema:
        steps = steps.plus(_equal_steps(schema["const"]))
    return steps


def is_looked_up(values: Sequence[Any]) -> bool:
    """Whether a value is looked up among those of an enum, and not compared with each of them."""
    if all(map(_is_whole, values)):
        return len(values) != 1
    return not any(_is_number(one) or isinstance(one, (Mapping, list)) for one in values)


def unique_steps(times: int, written: Written) -> int:
    """Of `uniqueItems` that so many schemas ask of one value, over all that is written."""
    if not times:
        return 0
    paired = _PAIRED * written.arrays
    large = min(written.large, paired) * _UNIQUE_PAIRED.large + (
        written.large * written.large * _UNIQUE_LARGE_PAIR
    )
    return times * (
        _UNIQUE_WHOLE * written.values
        + min(written.fractions, paired) * _UNIQUE_PAIRED.fraction
        + written.fractions * _UNIQUE_HASHED.fraction
        + min(written.exponents, paired) * _UNIQUE_PAIRED.exponent
        + written.exponents * _UNIQUE_HASHED.exponent
        + large
    )


def _enum_steps(values: list[Any]) -> NumberSteps:
    steps = NO_STEPS
    for value in values:
        steps = steps.plus(_equal_steps(value))
    if len(values) > 1 and all(map(_is_whole, values)):
        return NumberSteps(
            _LOOKED_UP, steps.fraction + steps.whole, steps.large + steps.whole, steps.exponent
        )
    return steps


def _equal_steps(value: Any) -> NumberSteps:
    """Of comparing with each of the numbers in a value."""
    steps = NO_STEPS
    for number in _numbers(value):
        one = _EQUAL_WHOLE if _is_whole(number) else _with_own(_EQUAL, number)
        steps = steps.plus(one)
    return steps


def _numbers(value: Any) -> Iterator[int | float]:
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, Mapping):
            todo += one.values()
        elif isinstance(one, list):
            todo += one
        elif _is_number(one):
            yield one


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    """Whether it is an integer of 64 bits."""
    return type(value) is int and value.bit_length() <= _WHOLE_BITS


def _kind(number: int | float) -> int:
    if _is_whole(number):
        return 0
    return 1 if isinstance(number, int) or number.is_integer() else 2


def _with_own(steps: NumberSteps, number: int | float) -> NumberSteps:
    """With what the number in the schema adds whatever it is compared with: its digits, or its
    negative exponent."""
    if isinstance(number, int):
        own = number.bit_length() // 6
    else:
        own = int(8 * max(0.0, -log10(abs(number)))) if number else 0
    return NumberSteps(steps.whole + own, *steps[1:])


def _large(content: bytes) -> int:
    """Whole numbers beyond 64 bits; long ones count once for each of their 19 digits."""
    found = 0
    for digits in _LONG_ROW.findall(content):
        if len(digits) > _LARGE_DIGITS or digits > _LARGEST:
            found += len(digits) // _LARGE_DIGITS
    return found

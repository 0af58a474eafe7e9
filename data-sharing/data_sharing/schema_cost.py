"""SchemaCost: how much work a JSON Schema can make of checking a value, before it checks any. Pure.

A schema may apply several others to one value (references, `allOf`, alternatives), and each of
these again: thirty short lines can ask for 2**30 checks. So the schemas that can come together at
one value are worked out, place by place, as the states of an automaton are, and counted as often as
they are applied; a step is one word of a schema that looks at one value, about 15 ns in
jsonschema-rs. What compares numbers takes more (`schema_numbers`). A schema that can take more than
MOST_STEPS for one value is none; of the others it is known how many values an event may have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from data_sharing.schema_numbers import (
    NO_STEPS,
    NumberSteps,
    Written,
    is_looked_up,
    number_steps,
    unique_steps,
)
from data_sharing.schema_references import SchemaReferences

MOST_STEPS = 10_000  # for one value
MOST_PLACES = 20_000  # looked at
MOST_LED_ON = 128  # schemas that lead to each other for one value
_ALL = ("allOf", "anyOf", "oneOf")
_SAME_VALUE = ("not", "if", "then", "else")
_NAMED_SAME = ("dependentSchemas", "dependencies")
_OTHERS = ("additionalProperties", "unevaluatedProperties", "items", "unevaluatedItems")
_EVERY = ("propertyNames", "contains")
_COSTLY_VALUE = 16  # steps for each value in an `enum` or `const` that is no plain text or number
_PATTERN = 2  # steps beyond the one of the word, and those for the length of the text
_FORMATS = {"email": 16, "idn-email": 80, "idn-hostname": 80}  # likewise; of others _PATTERN
_NAME = 4  # steps for a name that is held against `propertyNames`
_CHARACTERS_A_STEP = 8  # that a pattern looks at
_COUNTED_AT_ONCE = 8_192  # bytes

Schemas: TypeAlias = Counter[int]
"""How often each schema is applied, by identity."""


class SchemaCost(NamedTuple):
    """first: steps for the value as a whole. each: for any value in it, at most. patterns: that
    look at one text, at most. numbers: steps beyond these for one number, at most. unique: schemas
    that ask for unique items of one array, at most."""

    first: int
    each: int
    patterns: int
    numbers: NumberSteps = NO_STEPS
    unique: int = 0

    def most_a_byte(self) -> float:
        """Steps that a byte of a value can lead to, at most, beside `first`: no value and its comma
        are shorter than two. `uniqueItems` has no such number."""
        if self.unique:
            return float("inf")
        return self.patterns / _CHARACTERS_A_STEP + (self.each + sum(self.numbers)) / 2

    def work(self, content: bytes, enough: int) -> int:
        """Steps for a value, given as JSON text, at most. What comes to more than `enough` is not
        counted to its end."""
        work = self.first + self.patterns * len(content) // _CHARACTERS_A_STEP
        numbers = self.numbers
        each = self.each + numbers.whole
        least = work
        for start in range(0, len(content), _COUNTED_AT_ONCE):
            if least > enough:
                return least
            least += each * content.count(b",", start, start + _COUNTED_AT_ONCE)
        if not self.unique and numbers == NO_STEPS:
            return least + each * (content.count(b"[") + content.count(b"{"))
        written = Written.of(content)
        return (
            work
            + written.values * each
            + written.fractions * numbers.fraction
            + written.large * numbers.large
            + written.exponents * numbers.exponent
            + unique_steps(self.unique, written)
        )


class SchemaTooCostly(Exception):
    """Why a schema is not taken: a sentence that says what to do."""


def schema_cost(document: Mapping[str, Any]) -> SchemaCost:
    """Of a schema whose references are well-formed. Raises SchemaTooCostly."""
    return _Estimator(document).estimate()


class _Estimator:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._references = SchemaReferences(document)
        self._schemas: dict[int, Mapping[str, Any]] = {}
        self._closures: dict[int, Schemas] = {}
        self._number_steps: dict[int, NumberSteps] = {}

    def estimate(self) -> SchemaCost:
        start = self._closure(self._document, ())
        first = self._steps(start)
        each = 0
        patterns = self._patterns(start)
        numbers = self._numbers(start)
        unique = self._unique(start)
        todo, seen = [(start, 0)], {_name(start)}
        while todo:
            state, depth = todo.pop()
            named_by = self._pattern_properties(state)
            names = named_by + _NAME * self._counted(state, "propertyNames")
            for inner in self._inner(state):
                steps = self._steps(inner) + names
                if steps > MOST_STEPS:
                    raise SchemaTooCostly(
                        f"takes {steps:,} steps or more to check one value, {depth + 1} levels "
                        f"deep; at most {MOST_STEPS:,}. Refer to a schema once instead of several "
                        "times for the same value, and tell alternatives apart by names of fields"
                    )
                each = max(each, steps)
                patterns = max(patterns, self._patterns(inner) + named_by)
                numbers = numbers.most(self._numbers(inner))
                unique = max(unique, self._unique(inner))
                name = _name(inner)
                if name not in seen:
                    seen.add(name)
                    todo.append((inner, depth + 1))
                if len(seen) > MOST_PLACES:
                    raise SchemaTooCostly(
                        f"tells more than {MOST_PLACES:,} places apart; make it simpler"
                    )
        return SchemaCost(first, each, patterns, numbers, unique)

    # -- one value ---------------------------------------------------------------------

    def _closure(self, schema: Any, within: tuple[int, ...]) -> Schemas:
        """Everything that a schema applies to the same value, itself included."""
        if not isinstance(schema, Mapping):
            return Counter()
        known = self._closures.get(id(schema))
        if known is not None:
            return known
        if id(schema) in within:
            raise SchemaTooCostly("refers to itself for the same value, so checking never ends")
        if len(within) >= MOST_LED_ON:
            raise SchemaTooCostly(
                f"has more than {MOST_LED_ON} schemas that lead to each other for the same value"
            )
        self._schemas[id(schema)] = schema
        found: Schemas = Counter({id(schema): 1})
        for one in self._same_value(schema):
            found.update(self._closure(one, (*within, id(schema))))
            if found.total() > MOST_STEPS:
                raise SchemaTooCostly(
                    f"applies more than {MOST_STEPS:,} schemas to one value; refer to a schema "
                    "once instead of several times for the same value"
                )
        self._closures[id(schema)] = found
        return found

    def _same_value(self, schema: Mapping[str, Any]) -> Iterator[Any]:
        for targets in self._references.of(schema):
            yield from targets
        for word in _ALL:
            several = schema.get(word)
            if isinstance(several, list):
                yield from several
        for word in _SAME_VALUE:
            yield schema.get(word)
        for word in _NAMED_SAME:
            by_name = schema.get(word)
            if isinstance(by_name, Mapping):
                yield from by_name.values()

    def _steps(self, state: Schemas) -> int:
        return sum(times * _own_steps(self._schemas[one]) for one, times in state.items())

    def _patterns(self, state: Schemas) -> int:
        return sum(
            times
            for one, times in state.items()
            if "pattern" in self._schemas[one] or "format" in self._schemas[one]
        )

    def _numbers(self, state: Schemas) -> NumberSteps:
        found = NO_STEPS
        for one, times in state.items():
            if one not in self._number_steps:
                self._number_steps[one] = number_steps(self._schemas[one])
            found = found.plus(self._number_steps[one], times)
        return found

    def _unique(self, state: Schemas) -> int:
        return sum(
            times for one, times in state.items() if self._schemas[one].get("uniqueItems") is True
        )

    def _counted(self, state: Schemas, word: str) -> int:
        return sum(times for one, times in state.items() if word in self._schemas[one])

    # -- the values in it --------------------------------------------------------------

    def _inner(self, state: Schemas) -> Iterator[Schemas]:
        """What is applied to a value in it: for each name or place that is told apart, and for
        all others."""
        others: Schemas = Counter()
        always: Schemas = Counter()
        names: dict[str | int, list[tuple[int, int]]] = {}
        for one, times in state.items():
            schema = self._schemas[one]
            for word in _OTHERS:
                self._apply(others, schema.get(word), times)
            for word in _EVERY:
                self._apply(always, schema.get(word), times)
            for inner in _by_name(schema, "patternProperties").values():
                self._apply(always, inner, times)
            for field in _by_name(schema, "properties"):
                names.setdefault(field, []).append((one, times))
            for place in range(len(_listed(schema, "prefixItems"))):
                names.setdefault(place, []).append((one, times))
        yield others + always
        for name, schemas in names.items():
            found = others + always
            for one, times in schemas:
                schema = self._schemas[one]
                told_apart = (
                    _by_name(schema, "properties")[name]
                    if isinstance(name, str)
                    else _listed(schema, "prefixItems")[name]
                )
                self._apply(found, told_apart, times)
                # Of this schema, what is said of others does not count here.
                spared: Schemas = Counter()
                for word in _OTHERS[:1] if isinstance(name, str) else _OTHERS[2:3]:
                    self._apply(spared, schema.get(word), times)
                found.subtract(spared)
            yield +found

    def _apply(self, to: Schemas, schema: Any, times: int) -> None:
        for one, inner in self._closure(schema, ()).items():
            to[one] += inner * times

    def _pattern_properties(self, state: Schemas) -> int:
        """Patterns that each name is held against."""
        return sum(
            times * len(_by_name(self._schemas[one], "patternProperties"))
            for one, times in state.items()
        )


def _name(state: Schemas) -> frozenset[tuple[int, int]]:
    return frozenset(state.items())


def _own_steps(schema: Mapping[str, Any]) -> int:
    """Of the words of one schema, without what they apply."""
    steps = len(schema) + len(_listed(schema, "required")) + len(_listed(schema, "type"))
    if "pattern" in schema:
        steps += _PATTERN
    if "format" in schema:
        steps += _FORMATS.get(str(schema["format"]), _PATTERN)
    if not is_looked_up(_listed(schema, "enum")):
        steps += len(schema["enum"])
    for value in (*_listed(schema, "enum"), schema.get("const")):
        if isinstance(value, (Mapping, list)):
            steps += _COSTLY_VALUE
    for names in _by_name(schema, "dependentRequired").values():
        steps += len(names) if isinstance(names, list) else 0
    return steps


def _by_name(schema: Mapping[str, Any], word: str) -> Mapping[str, Any]:
    found = schema.get(word)
    return found if isinstance(found, Mapping) else {}


def _listed(schema: Mapping[str, Any], word: str) -> list[Any]:
    found = schema.get(word)
    return found if isinstance(found, list) else []

"""ValueTypes: what a schema lets the values at one place be, place by place: their JSON types,
whether there can be any at all, which fields and items they may have.

A schema is taken apart into what must all hold (its own words, references, `allOf`) and what is one
of several (`anyOf`, `oneOf`, `if` with `then` or `else`, `dependentSchemas`); a value is what is
left after all of them. So the answer is never narrower than what the validator accepts: a field
that a valid value can have is never said to be impossible. It is wider where a schema says it in
words that are not read here (`not`, `contains`, lengths). Places are made when first asked for, and
bounded: a schema of many alternatives within alternatives is given up on, and what is given up on
may be anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeAlias

from data_sharing.rules.schema_words import (
    ALL,
    FRACTION,
    NUMBERS,
    WHOLE,
    Choice,
    Schema,
    conditions_on_names,
    evaluates_field,
    evaluates_item,
    field_schemas,
    fulfils,
    item_schemas,
    json_type,
    list_of,
    mapping_of,
    names_given,
    number_of,
    own_types,
    says_of_others,
    values_listed,
)
from data_sharing.schema_references import SchemaReferences

__all__ = ["ALL", "FRACTION", "NUMBERS", "WHOLE", "ValueTypes", "json_type", "values_of"]

MOST_PARTS = 1_000  # of one place
MOST_PLACES = 10_000  # of one schema
MOST_LEVELS = 100  # of schemas that lead to each other for one value
MOST_CONDITIONS = 64  # by which fields that are not named differ, at one place
MOST_ITEMS = 256  # remembered at one place
MOST_NAMES = 256  # of fields that are not named, remembered at one place


class _Part:
    """The own words of one schema object. One for each, so that equal places are the same.
    inner: what else is said of the same value by the schemas it is made of, where
    `unevaluatedProperties` or `unevaluatedItems` must know."""

    __slots__ = ("inner", "schema")

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.inner: _Terms = ()


class _OneOf(NamedTuple):
    """One at least of these holds; none: nothing can."""

    alternatives: tuple[_Terms, ...]


_Terms: TypeAlias = tuple[_Part | _OneOf, ...]
_NEVER: _Terms = (_OneOf(()),)
_GIVEN_UP: _Terms = (_Part({"additionalProperties": True, "items": True}),)


class ValueTypes:
    """Of one place. types: what values there may be; `number` is among them where a number may
    have a fraction, `integer` where it may be whole."""

    __slots__ = (
        "_by_conditions", "_conditions", "_document", "_items", "_names", "_properties", "_terms",
        "_unnamed", "types",
    )  # fmt: skip

    def __init__(self, document: _Document, terms: _Terms) -> None:
        self.types = _types(terms)
        self._document = document
        self._terms = terms
        self._properties: dict[str, ValueTypes] = {}
        self._names: frozenset[str] | None = None
        self._conditions: tuple[str | Schema, ...] = ()
        self._by_conditions: dict[tuple[bool, ...], ValueTypes] = {}
        self._unnamed: dict[str, ValueTypes] = {}
        self._items: dict[int | None, ValueTypes] = {}

    @property
    def possible(self) -> bool:
        """Whether there can be a value here."""
        return bool(self.types)

    @property
    def whole(self) -> bool:
        """Whether a number here is whole: 2, and 2.0 as well."""
        return WHOLE in self.types and FRACTION not in self.types

    @property
    def known(self) -> bool:
        """Whether the schema says anything of the types."""
        return self.types != ALL

    @property
    def never_zero(self) -> bool:
        return _never_zero(self._terms)

    @property
    def least_items(self) -> int:
        """How many items a list here has at least."""
        return _least_items(self._terms)

    @property
    def names(self) -> frozenset[str]:
        """The fields that the schema names, in whatever way."""
        if self._names is None:
            self._names = frozenset(
                name for part in _parts(self._terms) for name in names_given(part.schema)
            )
            found = {
                condition if isinstance(condition, str) else id(condition): condition
                for part in _parts(self._terms)
                for condition in conditions_on_names(part.schema)
            }
            self._conditions = tuple(found.values())
        return self._names

    def allows_by_silence(self, name: str) -> bool:
        """Whether the schema names fields, this one not, and says nothing of others. Such a field
        may be there."""
        return (
            name not in self.names
            and bool(self.names)
            and not any(says_of_others(part.schema) for part in _parts(self._terms))
        )

    def speaks_of(self, name: str) -> bool:
        """Whether the schema names the field, by itself or by a pattern; what it says then may
        still leave no value for it."""
        return name in self.names or any(
            isinstance(one, str) and fulfils(one, name) for one in self._conditions
        )

    def misspelt(self, name: str) -> bool:
        """Whether a field that is allowed by silence looks like one that is named."""
        return self.allows_by_silence(name) and bool(get_close_matches(name, self.names, n=1))

    @property
    def required(self) -> frozenset[str]:
        """The fields that an object here always has, as far as that is said of every one."""
        return _required(self._terms)

    def has_format(self, name: str) -> bool:
        """Whether every text here has this format."""
        return _has_format(self._terms, name)

    def property(self, name: str) -> ValueTypes:
        """Of a field of an object here."""
        found = self._properties.get(name) or self._unnamed.get(name)
        if found is not None:
            return found
        if name in self.names:
            return self._properties.setdefault(name, self._document.property(self._terms, name))
        return self._property_not_named(name)

    def _property_not_named(self, name: str) -> ValueTypes:
        """All such that fulfil the same conditions are the same place."""
        if len(self._conditions) > MOST_CONDITIONS:
            return self._document.anything
        fulfilled = tuple(fulfils(one, name) for one in self._conditions)
        found = self._by_conditions.get(fulfilled)
        if found is None:
            found = self._document.property(self._terms, name if fulfilled else None)
            if len(self._by_conditions) < MOST_NAMES:
                self._by_conditions[fulfilled] = found
        if len(self._unnamed) < MOST_NAMES and len(name) < 256:
            self._unnamed[name] = found
        return found

    def item(self, at: int | None = None) -> ValueTypes:
        """Of an item of a list here; None: of any."""
        if at is not None and at < 0:
            at = None
        found = self._items.get(at)
        if found is None:
            found = self._document.item(self._terms, at)
            if len(self._items) < MOST_ITEMS:
                self._items[at] = found
        return found


def values_of(schema: Mapping[str, Any] | None) -> ValueTypes:
    """Of the values that a schema is for; None: of any."""
    return _Document({} if schema is None else schema).root


class _Document:
    """A schema with the places that were asked for."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._references = SchemaReferences(schema)
        self._parts: dict[int, _Part] = {}  # by the schema's identity
        self._places: dict[_Terms, ValueTypes] = {}
        self._left = MOST_PARTS
        self.anything = ValueTypes(self, _GIVEN_UP)
        self.root = self._of(self._terms(schema, frozenset()))

    def property(self, terms: _Terms, name: str | None) -> ValueTypes:
        """name None: one that the schema does not name."""

        def step(part: _Part) -> tuple[Choice, ...]:
            found = field_schemas(part.schema, name)
            rest = part.schema.get("unevaluatedProperties", True)
            if found is not None or rest is True:
                return found or ()
            evaluated = any(evaluates_field(one.schema, name) for one in _parts(part.inner))
            return () if evaluated else ((rest,),)

        return self._below(terms, "object", step)

    def item(self, terms: _Terms, at: int | None) -> ValueTypes:
        def step(part: _Part) -> tuple[Choice, ...]:
            found = item_schemas(part.schema, at)
            rest = part.schema.get("unevaluatedItems", True)
            if found is not None or rest is True or "contains" in part.schema:
                return found or ()
            evaluated = any(evaluates_item(one.schema, at) for one in _parts(part.inner))
            return () if evaluated else ((rest,),)

        return self._below(terms, "array", step)

    def _below(
        self, terms: _Terms, kind: str, step: Callable[[_Part], tuple[Choice, ...]]
    ) -> ValueTypes:
        self._left = MOST_PARTS
        if kind not in _types(terms):
            return self._of(_NEVER)
        return self._of(self._stepped(terms, kind, step))

    def _stepped(
        self, terms: _Terms, kind: str, step: Callable[[_Part], tuple[Choice, ...]]
    ) -> _Terms:
        """What holds below a place where these hold. kind: what it must be to have anything
        below it, which rules alternatives out."""
        found: list[_Part | _OneOf] = []
        for term in terms:
            if isinstance(term, _Part):
                for choice in step(term):
                    found += self._one_of(choice)
                continue
            below = tuple(
                self._stepped(one, kind, step) for one in term.alternatives if kind in _types(one)
            )
            if any(below) or not below:
                found.append(_OneOf(below))
        return tuple(dict.fromkeys(found))

    def _of(self, terms: _Terms) -> ValueTypes:
        if self._left <= 0:
            return self.anything
        found = self._places.get(terms)
        if found is None:
            if len(self._places) >= MOST_PLACES:
                return self.anything
            found = self._places[terms] = ValueTypes(self, terms)
        return found

    def _one_of(self, schemas: Choice, within: frozenset[int] = frozenset()) -> _Terms:
        if len(schemas) == 1:
            return self._terms(schemas[0], within)
        return (_OneOf(tuple(self._terms(one, within) for one in schemas)),)

    def _terms(self, schema: Any, within: frozenset[int]) -> _Terms:
        """within: the schemas that led here for the same value; one that leads back to itself
        says nothing more."""
        if schema is False:
            return _NEVER
        self._left -= 1
        if not isinstance(schema, Mapping):
            return ()
        if id(schema) in within or self._left <= 0 or len(within) >= MOST_LEVELS:
            return _GIVEN_UP
        within |= {id(schema)}
        terms: list[_Part | _OneOf] = []
        for targets in self._references.of(schema):
            terms += self._one_of(targets, within)
        for one in list_of(schema, "allOf"):
            terms += self._terms(one, within)
        for word in ("anyOf", "oneOf"):
            several = list_of(schema, word)
            if several:
                terms.append(_OneOf(tuple(self._terms(one, within) for one in several)))
        if "if" in schema:
            asked = self._terms(schema["if"], within)
            then = self._terms(schema.get("then", True), within)
            terms.append(_OneOf(((*asked, *then), self._terms(schema.get("else", True), within))))
        for word in ("dependentSchemas", "dependencies"):
            for one in mapping_of(schema, word).values():
                terms.append(_OneOf((self._terms(one, within), ())))
        if schema.get("not") is True or schema.get("not") == {}:
            terms += _NEVER
        part = self._parts.get(id(schema))
        if part is None:
            part = self._parts[id(schema)] = _Part(schema)
            part.inner = tuple(terms)
        return tuple(dict.fromkeys((part, *terms)))


def _parts(terms: _Terms) -> Iterator[_Part]:
    for term in terms:
        if isinstance(term, _Part):
            yield term
        else:
            for one in term.alternatives:
                yield from _parts(one)


def _types(terms: _Terms) -> frozenset[str]:
    found = ALL
    for term in terms:
        if isinstance(term, _Part):
            found &= own_types(term.schema)
        else:
            found &= frozenset().union(*map(_types, term.alternatives))
    return found


def _required(terms: _Terms) -> frozenset[str]:
    found: set[str] = set()
    for term in terms:
        if isinstance(term, _Part):
            found |= {name for name in list_of(term.schema, "required") if isinstance(name, str)}
        elif term.alternatives:
            found |= frozenset.intersection(*map(_required, term.alternatives))
    return frozenset(found)


def _never_zero(terms: _Terms) -> bool:
    for term in terms:
        if isinstance(term, _Part):
            schema = term.schema
            values = values_listed(schema)
            if (
                (values and 0 not in values)
                or number_of(schema, "minimum", 0) > 0
                or number_of(schema, "exclusiveMinimum", -1) >= 0
                or number_of(schema, "maximum", 0) < 0
                or number_of(schema, "exclusiveMaximum", 1) <= 0
            ):
                return True
        elif all(map(_never_zero, term.alternatives)):
            return True
    return False


def _has_format(terms: _Terms, name: str) -> bool:
    for term in terms:
        if isinstance(term, _Part):
            if term.schema.get("format") == name:
                return True
        elif term.alternatives and all(_has_format(one, name) for one in term.alternatives):
            return True
    return False


def _least_items(terms: _Terms) -> int:
    least = 0
    for term in terms:
        if isinstance(term, _Part):
            least = max(least, int(number_of(term.schema, "minItems", 0)))
        elif term.alternatives:
            least = max(least, min(map(_least_items, term.alternatives)))
    return least

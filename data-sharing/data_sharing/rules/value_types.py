"""ValueTypes: the JSON types that a schema lets the values at one place have, place by place.

A schema is taken apart into what must all hold (its own words, `$ref`, `allOf`) and what is one of
several (`anyOf`, `oneOf`, `then` and `else`); types are what is left after all of them. So the
answer is never narrower than what a validator accepts, and where a schema says it in words that
are not read here (`not`, dynamic references, patterns of names) it is wider. Places are made when
first asked for, and bounded: a schema of many alternatives within alternatives is given up on,
and what is given up on may be anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

WHOLE, FRACTION = "integer", "number"  # a number that is whole; one that may have a fraction
NUMBERS = frozenset((WHOLE, FRACTION))
ALL = frozenset(("string", "boolean", "null", "array", "object", *NUMBERS))
MOST_PARTS = 1_000  # of one place
MOST_PLACES = 10_000  # of one schema
_BY_NAME = {name: frozenset((name,)) for name in ALL} | {FRACTION: NUMBERS}


class _Part:
    """The own words of one schema object. One for each, so that equal places are the same."""

    __slots__ = ("schema",)

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema


class _OneOf(NamedTuple):
    """One at least of these holds; none: nothing can."""

    alternatives: tuple[_Terms, ...]


_Terms: TypeAlias = tuple[_Part | _OneOf, ...]
_NEVER: _Terms = (_OneOf(()),)


class ValueTypes:
    """Of one place. types: what values there may be; `number` is among them where a number may
    have a fraction, `integer` where it may be whole."""

    __slots__ = ("_document", "_items", "_names", "_other", "_properties", "_terms", "types")

    def __init__(self, document: _Document, terms: _Terms) -> None:
        self.types = _types(terms)
        self._document = document
        self._terms = terms
        self._properties: dict[str, ValueTypes] = {}
        self._names: frozenset[str] | None = None
        self._other: ValueTypes | None = None
        self._items: dict[int | None, ValueTypes] = {}

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

    def has_format(self, name: str) -> bool:
        """Whether every text here has this format."""
        return _has_format(self._terms, name)

    def property(self, name: str) -> ValueTypes:
        """Of a field of an object here."""
        found = self._properties.get(name)
        if found is not None:
            return found
        if self._names is None:
            self._names = frozenset(_names(self._terms))
        if name in self._names:
            return self._properties.setdefault(name, self._document.property(self._terms, name))
        if self._other is None:  # one for all names that the schema does not name
            self._other = self._document.property(self._terms, None)
        return self._other

    def item(self, at: int | None = None) -> ValueTypes:
        """Of an item of a list here; None: of any."""
        if at is not None and not 0 <= at < 64:
            at = None
        found = self._items.get(at)
        if found is None:
            found = self._items[at] = self._document.item(self._terms, at)
        return found


def values_of(schema: Mapping[str, Any] | None) -> ValueTypes:
    """Of the values that a schema is for; None: of any."""
    return _Document({} if schema is None else schema).root


class _Document:
    """A schema with the places that were asked for."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._parts: dict[int, _Part] = {}  # by the schema's identity
        self._places: dict[_Terms, ValueTypes] = {}
        self._left = 0
        self._anything = ValueTypes(self, ())
        self.root = self._place((schema,))

    def property(self, terms: _Terms, name: str | None) -> ValueTypes:
        """name None: one that the schema does not name."""
        return self._below(terms, "object", lambda schema: _property(schema, name))

    def item(self, terms: _Terms, at: int | None) -> ValueTypes:
        return self._below(terms, "array", lambda schema: _item(schema, at))

    def _below(self, terms: _Terms, kind: str, step: Any) -> ValueTypes:
        self._left = MOST_PARTS
        return self._of(self._stepped(terms, kind, step))

    def _stepped(self, terms: _Terms, kind: str, step: Any) -> _Terms:
        """What holds below a place where these hold. kind: what it must be to have anything
        below it, which rules alternatives out."""
        found: list[_Part | _OneOf] = []
        for term in terms:
            if isinstance(term, _Part):
                found += self._one_of(step(term.schema))
            else:
                found.append(
                    _OneOf(
                        tuple(
                            self._stepped(one, kind, step)
                            for one in term.alternatives
                            if kind in _types(one)
                        )
                    )
                )
        return tuple(dict.fromkeys(found))

    def _place(self, schemas: Iterable[Any]) -> ValueTypes:
        self._left = MOST_PARTS
        return self._of(self._one_of(tuple(schemas)))

    def _of(self, terms: _Terms) -> ValueTypes:
        if self._left <= 0:
            return self._anything
        found = self._places.get(terms)
        if found is None:
            if len(self._places) >= MOST_PLACES:
                return self._anything
            found = self._places[terms] = ValueTypes(self, terms)
        return found

    def _one_of(self, schemas: tuple[Any, ...]) -> _Terms:
        if len(schemas) == 1:
            return self._terms(schemas[0], frozenset())
        return (_OneOf(tuple(self._terms(one, frozenset()) for one in schemas)),)

    def _terms(self, schema: Any, within: frozenset[int]) -> _Terms:
        """within: the schemas that led here for the same value; one that leads back to itself
        says nothing more."""
        if schema is False:
            return _NEVER
        self._left -= 1
        if not isinstance(schema, Mapping) or id(schema) in within or self._left <= 0:
            return ()
        within |= {id(schema)}
        terms: list[_Part | _OneOf] = [self._parts.setdefault(id(schema), _Part(schema))]
        reference = schema.get("$ref")
        if isinstance(reference, str):
            terms += self._terms(self._resolve(reference), within)
        for one in _list(schema, "allOf"):
            terms += self._terms(one, within)
        for word in ("anyOf", "oneOf"):
            if _list(schema, word):
                terms.append(_OneOf(tuple(self._terms(one, within) for one in _list(schema, word))))
        if "if" in schema:
            either = (schema.get("then", True), schema.get("else", True))
            terms.append(_OneOf(tuple(self._terms(one, within) for one in either)))
        return tuple(dict.fromkeys(terms))

    def _resolve(self, reference: str) -> Any:
        """True, which says nothing, where there is nothing."""
        if not reference.startswith("#"):
            return True
        found: Any = self._schema
        for step in reference[1:].strip("/").split("/") if reference != "#" else ():
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping):
                found = found.get(name, True)
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return True
        return found


def _property(schema: Mapping[str, Any], name: str | None) -> tuple[Any, ...]:
    """The schemas of which one is for a field of this name."""
    properties = schema.get("properties")
    if name is not None and isinstance(properties, Mapping) and name in properties:
        return (properties[name],)
    patterns = schema.get("patternProperties")
    others = tuple(patterns.values()) if isinstance(patterns, Mapping) else ()
    return (*others, schema.get("additionalProperties", True))


def _item(schema: Mapping[str, Any], at: int | None) -> tuple[Any, ...]:
    first, others = _list(schema, "prefixItems"), schema.get("items", True)
    if at is None:
        return (*first, others)
    return (first[at] if at < len(first) else others,)


def _names(terms: _Terms) -> Iterator[str]:
    for term in terms:
        if isinstance(term, _Part):
            properties = term.schema.get("properties")
            yield from properties if isinstance(properties, Mapping) else ()
        else:
            for one in term.alternatives:
                yield from _names(one)


def _types(terms: _Terms) -> frozenset[str]:
    found = ALL
    for term in terms:
        if isinstance(term, _Part):
            found &= _own_types(term.schema)
        else:
            found &= frozenset().union(*map(_types, term.alternatives))
    return found


def _own_types(schema: Mapping[str, Any]) -> frozenset[str]:
    said = schema.get("type")
    names = [said] if isinstance(said, str) else said
    types = ALL
    if isinstance(names, list):
        types = frozenset().union(*(_BY_NAME.get(str(name), ALL) for name in names))
    values = [schema["const"]] if "const" in schema else _list(schema, "enum")
    if not values:
        return types
    of_values = frozenset(map(json_type, values))
    if isinstance(names, list) and of_values & NUMBERS:
        of_values |= NUMBERS  # a type that is written down says what a number is
    return types & of_values


def _never_zero(terms: _Terms) -> bool:
    for term in terms:
        if isinstance(term, _Part):
            schema = term.schema
            values = [schema["const"]] if "const" in schema else _list(schema, "enum")
            if (
                (values and 0 not in values)
                or _number(schema, "minimum", 0) > 0
                or _number(schema, "exclusiveMinimum", -1) >= 0
                or _number(schema, "maximum", 0) < 0
                or _number(schema, "exclusiveMaximum", 1) <= 0
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
            least = max(least, int(_number(term.schema, "minItems", 0)))
        elif term.alternatives:
            least = max(least, min(map(_least_items, term.alternatives)))
    return least


def _number(schema: Mapping[str, Any], word: str, default: int) -> float:
    found = schema.get(word, default)
    return found if type(found) in (int, float) else default


def _list(schema: Mapping[str, Any], word: str) -> list[Any]:
    found = schema.get(word)
    return found if isinstance(found, list) else []


def json_type(value: object) -> str:
    """As in `types`: 2 and 2.0 are `integer`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return WHOLE if value == value // 1 else FRACTION
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"

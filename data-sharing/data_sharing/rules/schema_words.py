"""Schema words: what the own words of one schema object say of a value, of its fields and of its
items; what stands in other schemas that it refers to or is made of is not looked at.

By JSON Schema 2020-12, and as jsonschema-rs reads it: `dependencies` counts still,
`additionalItems` and an array of `items` do not. A name is held against patterns by the
validator's own engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs

WHOLE, FRACTION = "integer", "number"  # a number that is whole; one that may have a fraction
NUMBERS = frozenset((WHOLE, FRACTION))
ALL = frozenset(("string", "boolean", "null", "array", "object", *NUMBERS))
MOST_PATTERNS = 64  # of names, in one schema; of more nothing is known
_BY_NAME = {name: frozenset((name,)) for name in ALL} | {FRACTION: NUMBERS}

Schema = Mapping[str, Any]
Choice = tuple[Any, ...]
"""Schemas of which one at least holds; (False,): none can."""
_NONE: tuple[Choice, ...] = ((False,),)


def own_types(schema: Schema) -> frozenset[str]:
    said = schema.get("type")
    names = [said] if isinstance(said, str) else said
    types = ALL
    if isinstance(names, list):
        types = frozenset().union(*(_BY_NAME.get(str(name), ALL) for name in names))
    values = values_listed(schema)
    if values is None:
        return types
    of_values = frozenset(map(json_type, values))
    if isinstance(names, list) and of_values & NUMBERS:
        of_values |= NUMBERS  # a type that is written down says what a number is
    return types & of_values


def field_schemas(schema: Schema, name: str | None) -> tuple[Choice, ...] | None:
    """What all holds of a field: what `properties` says of its name and what every pattern that
    matches it says, all of them together; only where none does, `additionalProperties`. None:
    nothing is said of it, which leaves it to `unevaluatedProperties`. name None: of a field that
    no `properties` and no pattern names."""
    if number_of(schema, "maxProperties", 1) < 1 or not _may_be_named(schema, name):
        return _NONE
    found: list[Choice] = []
    properties = mapping_of(schema, "properties")
    if name is not None and name in properties:
        found.append((properties[name],))
    patterns = mapping_of(schema, "patternProperties")
    if len(patterns) > MOST_PATTERNS:
        return tuple(found)
    if name is not None:
        found += [(one,) for pattern, one in patterns.items() if matches(pattern, name)]
    if not found and "additionalProperties" in schema:
        found.append((schema["additionalProperties"],))
    return tuple(found) or None


def item_schemas(schema: Schema, at: int | None) -> tuple[Choice, ...] | None:
    """The same for an item; at None: of any item."""
    if at is not None and number_of(schema, "maxItems", at + 1) <= at:
        return _NONE
    first = list_of(schema, "prefixItems")
    if at is not None and at < len(first):
        return ((first[at],),)
    if at is None and first:
        return ((*first, schema.get("items", True)),)
    return ((schema["items"],),) if "items" in schema else None


def evaluates_field(schema: Schema, name: str | None) -> bool:
    """Whether a field can be evaluated here, and is then none of the `unevaluatedProperties`
    around. It need not hold for every value."""
    if "additionalProperties" in schema or "unevaluatedProperties" in schema:
        return True
    patterns = mapping_of(schema, "patternProperties")
    if len(patterns) > MOST_PATTERNS:
        return True
    return name is not None and (
        name in mapping_of(schema, "properties") or any(matches(one, name) for one in patterns)
    )


def evaluates_item(schema: Schema, at: int | None) -> bool:
    if any(word in schema for word in ("items", "unevaluatedItems", "contains")):
        return True
    first = list_of(schema, "prefixItems")
    return bool(first) if at is None else at < len(first)


def names_given(schema: Schema) -> Iterator[str]:
    """The fields that a schema names, and those of values that it lists."""
    yield from mapping_of(schema, "properties")
    for value in values_listed(schema) or ():
        if isinstance(value, Mapping):
            yield from value


def conditions_on_names(schema: Schema) -> Iterator[str | Schema]:
    """By what fields that are not named differ: patterns, and schemas of names."""
    patterns = mapping_of(schema, "patternProperties")
    if len(patterns) <= MOST_PATTERNS:
        yield from patterns
    names = schema.get("propertyNames")
    if isinstance(names, Mapping):
        yield names


def says_of_others(schema: Schema) -> bool:
    """Whether a schema says anything of fields that it does not name."""
    words = ("additionalProperties", "unevaluatedProperties", "patternProperties", "propertyNames")
    return any(word in schema for word in words)


def fulfils(condition: str | Schema, name: str) -> bool:
    """Of a condition on names."""
    if isinstance(condition, str):
        return matches(condition, name)
    return _may_be_named({"propertyNames": condition}, name)


def matches(pattern: str, name: str) -> bool:
    return bool(_pattern(pattern).is_valid(name))


@lru_cache(maxsize=1_024)
def _pattern(pattern: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        {"pattern": pattern}, offline=True, pattern_options=jsonschema_rs.RegexOptions()
    )


def _may_be_named(schema: Schema, name: str | None) -> bool:
    """As far as `propertyNames`, `const` and `enum` say so in plain words."""
    values = values_listed(schema)
    if values is not None and not any(
        isinstance(one, Mapping) and name is not None and name in one for one in values
    ):
        return False
    of_names = schema.get("propertyNames", True)
    if of_names is False:
        return False
    if not isinstance(of_names, Mapping) or name is None:
        return True
    length, listed = len(name), values_listed(of_names)
    return not (
        "string" not in own_types(of_names)
        or (listed is not None and name not in listed)
        or length < number_of(of_names, "minLength", 0)
        or length > number_of(of_names, "maxLength", length)
        or (isinstance(of_names.get("pattern"), str) and not matches(of_names["pattern"], name))
    )


def values_listed(schema: Schema) -> list[Any] | None:
    """The values of `const` or `enum`; None: any."""
    if "const" in schema:
        return [schema["const"]]
    listed = schema.get("enum")
    return listed if isinstance(listed, list) else None


def number_of(schema: Schema, word: str, default: int) -> float:
    found = schema.get(word, default)
    return found if type(found) in (int, float) else default


def list_of(schema: Schema, word: str) -> list[Any]:
    found = schema.get(word)
    return found if isinstance(found, list) else []


def mapping_of(schema: Schema, word: str) -> Mapping[str, Any]:
    found = schema.get(word)
    return found if isinstance(found, Mapping) else {}


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

"""Schema compatibility: whether a changed schema still gives a consumer what the old one promised.

A consumer was written against the old schema. It is safe when every value that the new schema
allows would have been allowed by the old one, where extra properties count for nothing: who
reads a feed passes over what it does not know. Only what the consumer says it reads counts.

  breaks: a field removed, no longer required, of a wider type or range, with new values in an
          enum, of another format; a different key; a feed taken away or no longer shared
  does not: a new field, a field newly required, a narrower type or range, words of description

Fields are walked one by one, so that the one at fault can be named; whether one field's new
schema is covered by its old one is a question of set inclusion, which jsonschema-rs answers.
Where it does not know (say, two regular expressions), the change counts as breaking: prove it
harmless by leaving the field as it was. Pure. docs/reference/manifest.md has the rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jsonschema_rs
from jsonschema_rs.canonical import CanonicalizationError, Containment

from data_sharing.rules.value_types import values_of
from data_sharing.schemas import escape, pointer, steps_of

MAX_DEPTH = 16
# An object schema of these words alone is walked property by property.
_WALKED = {
    "type", "properties", "required", "additionalProperties", "$schema", "$defs", "$id",
    "title", "description", "examples", "default", "$comment", "deprecated", "readOnly",
    "writeOnly", "minProperties",
}  # fmt: skip
_SAID = {
    "title", "description", "examples", "default", "$comment", "deprecated", "readOnly",
    "writeOnly",
}  # fmt: skip
_VALUES = {"enum", "const", "default", "examples"}  # hold values, not schemas


class Break(NamedTuple):
    """What a consumer would miss. `field`: JSON Pointer into the data; empty: all of it."""

    field: str
    message: str


def schema_breaks(
    old: Mapping[str, Any], new: Mapping[str, Any], fields: Sequence[str] = ()
) -> list[Break]:
    """How `new` breaks who reads `fields` (none: everything) of what `old` promised."""
    wanted = [steps_of(one) for one in fields]
    found: list[Break] = []
    _walk((), old, new, _Documents(old, new), wanted, found)
    return found


def has_field(schema: Mapping[str, Any], field: str) -> bool:
    """Whether a value that the schema allows can have the field, and its name does not look like a
    misspelt one; arrays are passed through by any number."""
    found = values_of(schema)
    for step in steps_of(field):
        below = found.property(step)
        if step.isdecimal() and not below.possible:
            below = found.item(int(step[:9]))
        if not below.possible or found.misspelt(step):
            return False
        found = below
    return True


class _Documents(NamedTuple):
    """The whole schemas: what `#/…` refers to."""

    old: Mapping[str, Any]
    new: Mapping[str, Any]


def _walk(
    at: tuple[str, ...],
    old: Any,
    new: Any,
    documents: _Documents,
    wanted: Sequence[tuple[str, ...]],
    found: list[Break],
) -> None:
    """Appends what breaks below `at`."""
    if wanted and not any(one[: len(at)] == at[: len(one)] for one in wanted):
        return  # nobody reads this
    old, new = _followed(old, documents.old, 0), _followed(new, documents.new, 0)
    if len(at) < MAX_DEPTH and _plain_object(old) and _plain_object(new):
        _walk_object(at, old, new, documents, wanted, found)
    elif not _covers(old, new, documents):
        found.append(
            Break(pointer(at), f"{_named(at)} could hold what it could not before{_hint(old, new)}")
        )


def _walk_object(
    at: tuple[str, ...],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    documents: _Documents,
    wanted: Sequence[tuple[str, ...]],
    found: list[Break],
) -> None:
    had, has = old.get("properties", {}), new.get("properties", {})
    if new.get("minProperties", 0) < old.get("minProperties", 0):
        found.append(Break(pointer(at), f"{_named(at)} could hold fewer fields than before"))
    for name, before in had.items():
        here = (*at, name)
        if wanted and not any(one[: len(here)] == here[: len(one)] for one in wanted):
            continue
        if name not in has:
            found.append(Break(pointer(here), f"{_named(here)} is taken away"))
            continue
        if name in old.get("required", ()) and name not in new.get("required", ()):
            found.append(Break(pointer(here), f"{_named(here)} could be missing"))
        _walk(here, before, has[name], documents, wanted, found)
    # A field that was required without being described is required still.
    for name in old.get("required", ()):
        here = (*at, name)
        if name not in had and name not in new.get("required", ()):
            found.append(Break(pointer(here), f"{_named(here)} could be missing"))
    # Where fields without a name were promised to be of some kind, all new ones are.
    rest = old.get("additionalProperties", True)
    if isinstance(rest, Mapping) and rest:
        for name, after in has.items():
            if name not in had:
                _walk((*at, name), rest, after, documents, wanted, found)
        after = new.get("additionalProperties", True)
        if after is not False:
            _walk((*at, "*"), rest, after, documents, wanted, found)


def _plain_object(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "object" and set(schema) <= _WALKED


def _followed(schema: Any, document: Mapping[str, Any], depth: int) -> Any:
    """What a schema that is nothing but a reference refers to."""
    while (
        isinstance(schema, Mapping)
        and isinstance(schema.get("$ref"), str)
        and set(schema) <= {"$ref", *_SAID}
        and depth < MAX_DEPTH
    ):
        target: Any = document
        for step in steps_of(schema["$ref"].removeprefix("#")):
            if isinstance(target, Sequence) and not isinstance(target, str) and step.isdigit():
                target = target[int(step)] if int(step) < len(target) else None
            else:
                target = target.get(step) if isinstance(target, Mapping) else None
        if target is None or target is schema:
            return schema
        schema, depth = target, depth + 1
    return schema


def _covers(old: Any, new: Any, documents: _Documents) -> bool:
    """Whether everything that `new` allows was allowed by `old`, extra properties aside."""
    if old is True or old == {}:
        return True
    if old == new and documents.old.get("$defs") == documents.new.get("$defs"):
        return True
    try:
        before = _canonical(opened(old), documents.old)
        after = _canonical(new, documents.new)
        return before.covers(after) is Containment.YES
    except (ValueError, jsonschema_rs.ReferencingError, CanonicalizationError):
        return False


def _canonical(schema: Any, document: Mapping[str, Any]) -> jsonschema_rs.CanonicalSchema:
    if isinstance(schema, Mapping) and "$defs" in document and "$defs" not in schema:
        schema = {**schema, "$defs": document["$defs"]}
    whole = dict(schema) if isinstance(schema, Mapping) else schema
    return jsonschema_rs.canonicalize(
        whole, draft=jsonschema_rs.Draft202012, offline=True, validate_formats=True,
        pattern_options=jsonschema_rs.RegexOptions(),
    )  # fmt: skip


def opened(schema: Any) -> Any:
    """The schema with every ban on extra properties lifted, as a reader takes it."""
    if isinstance(schema, Mapping):
        return {
            key: value if key in _VALUES else opened(value)
            for key, value in schema.items()
            if not (key in ("additionalProperties", "unevaluatedProperties") and value is False)
        }
    if isinstance(schema, list):
        return [opened(one) for one in schema]
    return schema


def _named(at: tuple[str, ...]) -> str:
    return "/" + "/".join(escape(step) for step in at) if at else "the data"


def _hint(old: Any, new: Any) -> str:
    """The words that changed, as far as they are few."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return ""
    changed = sorted(key for key in {*old, *new} - _SAID if old.get(key) != new.get(key))
    return f" ({', '.join(changed)})" if changed and len(changed) <= 5 else ""

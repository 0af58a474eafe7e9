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

from data_sharing.registry.compared_schemas import PLACED, SAID, WALKED, ComparedSchemas
from data_sharing.rules.value_types import values_of
from data_sharing.schemas import escape, pointer, steps_of

MOST_DOUBTS = 2  # of schemas with references; each can cost the library more than a second
MOST_REFERENCES = 200  # in a question; the library recurses over a chain of them, without a bound
MOST_LEVELS = 64  # of fields within fields
_LISTED = {"type", "items", "minItems", "maxItems", "uniqueItems", *SAID, *PLACED}
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
    _walk((), old, new, ComparedSchemas(old, new), wanted, found)
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


def _walk(
    at: tuple[str, ...],
    old: Any,
    new: Any,
    documents: ComparedSchemas,
    wanted: Sequence[tuple[str, ...]],
    found: list[Break],
    within: frozenset[tuple[int, int]] = frozenset(),
) -> None:
    """Appends what breaks below `at`. within: pairs that led here for the same value, of which
    one that leads back to itself shows nothing."""
    if wanted and not any(one[: len(at)] == at[: len(one)] for one in wanted):
        return  # nobody reads this
    old, new = documents.followed(old, documents.old), documents.followed(new, documents.new)
    below = {one[len(at) :] for one in wanted if one[: len(at)] == at} or {()}
    pair = (id(old), id(new), frozenset({()} if () in below else below))
    if pair[:2] in within:
        found.append(Break(pointer(at), f"{_named(at)} refers to itself"))
        return
    if pair in documents.met:
        return
    documents.left -= 1
    if documents.left < 0 or len(at) > MOST_LEVELS:
        if not found:
            found.append(Break(pointer(at), f"{_named(at)} is too complicated to be compared"))
        return
    documents.met.add(pair)
    before = len(found)
    if _plain_object(old) and _plain_object(new):
        _walk_object(at, old, new, documents, wanted, found)
    elif _plain_list(old) and _plain_list(new):
        _walk_list(at, old, new, documents, found)
    elif not (
        _covers_one_of(at, old, new, documents, within | {pair[:2]}) or _covers(old, new, documents)
    ):
        found.append(
            Break(pointer(at), f"{_named(at)} could hold what it could not before{_hint(old, new)}")
        )
    if len(found) > before:
        documents.met.discard(pair)  # what it breaks is told wherever it is met


def _breaks_inside(
    at: tuple[str, ...],
    old: Any,
    new: Any,
    documents: ComparedSchemas,
    within: frozenset[tuple[int, int]] = frozenset(),
) -> bool:
    """Of a place that is no field of its own. Pairs that were met on the way to a break rested on
    something that is not so, and are forgotten."""
    before, found = set(documents.met), list[Break]()
    _walk((*at, "*"), old, new, documents, (), found, within)
    if found:
        documents.met = before
    return bool(found)


def _walk_list(
    at: tuple[str, ...],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    documents: ComparedSchemas,
    found: list[Break],
) -> None:
    plain = [{key: one for key, one in schema.items() if key != "items"} for schema in (old, new)]
    items = old.get("items", True), new.get("items", True)
    if not _covers(plain[0], plain[1], documents) or _breaks_inside(at, *items, documents):
        found.append(
            Break(pointer(at), f"{_named(at)} could hold what it could not before{_hint(old, new)}")
        )


def _covers_one_of(
    at: tuple[str, ...],
    old: Any,
    new: Any,
    documents: ComparedSchemas,
    within: frozenset[tuple[int, int]],
) -> bool:
    """Of schemas that are nothing but alternatives, or of which the new one is one: whether each
    new one is covered by an old one."""
    before = _alternatives(old)
    if before is None:
        return False
    exclusive = "oneOf" in old
    if exclusive and not _apart(before, documents.old):
        return False  # where two old ones hold at once, a value was not allowed
    return all(
        any(not _breaks_inside(at, one, other, documents, within) for one in before)
        for other in _alternatives(new) or (new,)
    )


def _alternatives(schema: Any) -> Sequence[Any] | None:
    for word in ("anyOf", "oneOf"):
        if isinstance(schema, Mapping) and word in schema:
            if set(schema) <= {word, *SAID, *PLACED}:
                several: Sequence[Any] = schema[word]
                return several
            return None
    return None


def _apart(schemas: Sequence[Any], document: Mapping[str, Any]) -> bool:
    """Whether no value can fulfil two of them, by its type."""
    placed = {key: one for key, one in document.items() if key in PLACED}
    seen: set[str] = set()
    for one in schemas:
        if not isinstance(one, Mapping):
            return False
        types = values_of({**placed, "allOf": [one]}).types
        if seen & types:
            return False
        seen |= types
    return True


def _walk_object(
    at: tuple[str, ...],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    documents: ComparedSchemas,
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
    return isinstance(schema, Mapping) and schema.get("type") == "object" and set(schema) <= WALKED


def _plain_list(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "array" and set(schema) <= _LISTED


def _covers(old: Any, new: Any, documents: ComparedSchemas) -> bool:
    """Whether everything that `new` allows was allowed by `old`, extra properties aside."""
    if old is True or old == {}:
        return True
    if old == new and (not _references_of(old) or documents.old == documents.new):
        return True
    refers = bool(_references_of(old) or _references_of(new))
    if refers and documents.doubts >= MOST_DOUBTS:
        return False
    try:
        before = _canonical(opened(old), documents.old)
        after = _canonical(new, documents.new)
        covers = before.covers(after) is Containment.YES
        documents.doubts += refers and not covers
        return covers
    except (ValueError, jsonschema_rs.ReferencingError, CanonicalizationError):
        return False


def _canonical(schema: Any, document: Mapping[str, Any]) -> jsonschema_rs.CanonicalSchema:
    """Raises ValueError where it would mean something else by itself than it does in the document,
    among others."""
    references = _references_of(schema)
    if references:
        references |= _references_of(document.get("$defs", {}))
    if len(references) > MOST_REFERENCES:
        raise ValueError("it refers to too much")
    elsewhere = any(not one.startswith("#/$defs/") for one in references)
    if schema is not document and isinstance(schema, Mapping) and ("$defs" in schema or elsewhere):
        raise ValueError("what it refers to is not in $defs")
    if isinstance(schema, Mapping) and "$defs" in document and "$defs" not in schema:
        schema = {**schema, "$defs": document["$defs"]}
    whole = dict(schema) if isinstance(schema, Mapping) else schema
    return jsonschema_rs.canonicalize(
        whole, draft=jsonschema_rs.Draft202012, offline=True, validate_formats=True,
        pattern_options=jsonschema_rs.RegexOptions(),
    )  # fmt: skip


def _references_of(schema: Any) -> set[str]:
    """Everything that a schema, and what is in it, refers to by itself."""
    if isinstance(schema, Mapping):
        own = {
            schema[word] for word in ("$ref", "$dynamicRef") if isinstance(schema.get(word), str)
        }
        return own.union(*map(_references_of, schema.values()))
    return set().union(*map(_references_of, schema)) if isinstance(schema, list) else set()


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
    changed = sorted(key for key in {*old, *new} - SAID if old.get(key) != new.get(key))
    return f" ({', '.join(changed)})" if changed and len(changed) <= 5 else ""

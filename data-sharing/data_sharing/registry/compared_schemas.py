"""ComparedSchemas: two whole schemas while one is held against the other: what their references
lead to, schemas that are made of several objects as one object, which pairs were met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from data_sharing.schema_references import SchemaReferences

MAX_DEPTH = 16  # of references that are nothing else
MOST_PAIRS = 2_000  # of schemas that are compared
SAID = {
    "title", "description", "examples", "default", "$comment", "deprecated", "readOnly",
    "writeOnly",
}  # fmt: skip
PLACED = {"$schema", "$id", "$defs", "definitions", "$anchor", "$dynamicAnchor"}
# An object schema of these words alone is walked property by property.
WALKED = {
    "type", "properties", "required", "additionalProperties", "minProperties", *SAID, *PLACED,
}  # fmt: skip


class ComparedSchemas:
    """The whole schemas, what their references lead to, and which pairs are being compared.

    A pair that is met again within itself is taken to be compatible: values are finite, so a
    value that breaks it would break one of the other words first (induction over its depth)."""

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self.old, self.new = old, new
        self._references = {id(old): SchemaReferences(old), id(new): SchemaReferences(new)}
        self._merged: dict[int, tuple[Any, Any]] = {}
        self.met: set[tuple[int, int, frozenset[tuple[str, ...]]]] = set()
        self.left = MOST_PAIRS
        self._levels = 0
        self.doubts = 0  # questions of inclusion that were not answered with yes

    def followed(self, schema: Any, document: Mapping[str, Any]) -> Any:
        """What a schema that is nothing but a reference refers to; of one that is made of several
        objects, one object that says the same."""
        for _ in range(MAX_DEPTH):
            if not isinstance(schema, Mapping):
                return schema
            targets = list(self._references[id(document)].of(schema))
            if not targets or not set(schema) <= {"$ref", "$dynamicRef", *SAID, *PLACED}:
                break
            if len(targets) > 1 or len(targets[0]) > 1 or not isinstance(targets[0][0], Mapping):
                break
            schema = targets[0][0]
        return self._as_one_object(schema, document)

    def _as_one_object(self, schema: Mapping[str, Any], document: Mapping[str, Any]) -> Any:
        kept = self._merged.get(id(schema))
        if kept is not None:
            return kept[1]
        if not {"$ref", "allOf"} & set(schema) or "$dynamicRef" in schema:
            return schema
        if self._levels >= MAX_DEPTH:
            return schema
        self._levels += 1
        parts = [{key: one for key, one in schema.items() if key not in ("$ref", "allOf")}]
        self._merged[id(schema)] = (schema, schema)  # for one that refers to itself
        for (target,) in self._references[id(document)].of(schema):
            parts.append(self.followed(target, document))
        parts += [self.followed(one, document) for one in schema.get("allOf", ())]
        found = _merged(parts)
        self._levels -= 1
        self._merged[id(schema)] = (schema, schema if found is None else found)
        return self._merged[id(schema)][1]


def _merged(parts: Sequence[Any]) -> Mapping[str, Any] | None:
    """One plain object for several that must all hold; None: there is none. A ban on further
    fields is left out: of old schemas it counts for nothing, and without it a new one allows more,
    so that nothing is found compatible which is not."""
    properties: dict[str, list[Any]] = {}
    required: dict[str, None] = {}
    least, an_object = 0, False
    for part in parts:
        if not isinstance(part, Mapping) or not set(part) <= {*WALKED, "unevaluatedProperties"}:
            return None
        if part.get("type", "object") != "object" or any(
            part.get(word, False) not in (True, False)
            for word in ("additionalProperties", "unevaluatedProperties")
        ):
            return None
        an_object = an_object or "type" in part
        least = max(least, part.get("minProperties", 0))
        required |= dict.fromkeys(part.get("required", ()))
        for name, one in part.get("properties", {}).items():
            properties.setdefault(name, []).append(one)
    if not an_object:
        return None
    return {
        "type": "object",
        "properties": {
            name: several[0] if len(several) == 1 else {"allOf": several}
            for name, several in properties.items()
        },
        "required": list(required),
        "minProperties": least,
    }

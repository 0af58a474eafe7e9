"""SchemaReferences: what the references within a schema lead to, as the validator resolves them.

By JSON Schema 2020-12, core 8.2: a pointer or an anchor counts from the nearest schema around it
with an `$id`; a `$dynamicRef` may lead to any of the anchors of its name, by the way that led
there. Nothing outside of the document is looked at (data_sharing.schemas refuses it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

# Words whose value is a schema, a list of schemas, or schemas by name.
_ONE = (
    "additionalProperties", "unevaluatedProperties", "propertyNames", "items", "unevaluatedItems",
    "contains", "contentSchema", "not", "if", "then", "else",
)  # fmt: skip
_LIST = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED = (
    "$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies",
)  # fmt: skip


class SchemaReferences:
    """Of one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._roots: dict[int, Mapping[str, Any]] = {}  # of a schema, by its identity
        self._anchors: dict[tuple[int, str], Mapping[str, Any]] = {}  # by root and name
        self._dynamic: dict[str, list[Mapping[str, Any]]] = {}
        self._read(document, document)

    def of(self, schema: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
        """For each reference that a schema makes, the schemas one of which it leads to. True,
        which says nothing, where there is none."""
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield (self._target(schema, reference),)
        reference = schema.get("$dynamicRef")
        if isinstance(reference, str):
            first, name = self._target(schema, reference), reference.removeprefix("#")
            if isinstance(first, Mapping) and first.get("$dynamicAnchor") == name:
                yield tuple(self._dynamic[name])
            else:
                yield (first,)

    def _target(self, schema: Mapping[str, Any], reference: str) -> Any:
        if not reference.startswith("#"):
            return True
        root = self._roots.get(id(schema), self._document)
        fragment = unquote(reference[1:])
        if fragment and not fragment.startswith("/"):
            return self._anchors.get((id(root), fragment), True)
        found: Any = root
        for step in fragment.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return True
        if isinstance(found, Mapping) and id(found) not in self._roots:
            self._read(found, root)  # a place where schemas do not stand by themselves
        return found

    def _read(self, schema: Any, root: Mapping[str, Any]) -> None:
        todo: list[tuple[Any, Mapping[str, Any]]] = [(schema, root)]
        while todo:
            node, root = todo.pop()
            if not isinstance(node, Mapping) or id(node) in self._roots:
                continue
            if isinstance(node.get("$id"), str):
                root = node
            self._roots[id(node)] = root
            for word in ("$anchor", "$dynamicAnchor"):
                name = node.get(word)
                if isinstance(name, str):
                    self._anchors.setdefault((id(root), name), node)
                    if word == "$dynamicAnchor":
                        self._dynamic.setdefault(name, []).append(node)
            todo += [(below, root) for below in parts_of(node)]


def parts_of(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas that stand in a schema."""
    for word in _ONE:
        if word in schema:
            yield schema[word]
    for word in _LIST:
        if isinstance(schema.get(word), list):
            yield from schema[word]
    for word in _NAMED:
        if isinstance(schema.get(word), Mapping):
            yield from schema[word].values()

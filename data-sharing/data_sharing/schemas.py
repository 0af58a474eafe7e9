"""DataSchema: a JSON Schema (2020-12) compiled once, for values that are checked often.

Wraps jsonschema-rs, a validator in Rust: 0.4 µs for a small object, where the reference in
Python takes 60. Nothing is ever fetched: references stay within the schema. No schema can make
checking slow: its parts are counted before it is compiled, what it can cost is worked out (see
`schema_cost`), and patterns run on a regex engine whose time is linear in the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import jsonschema_rs
import msgspec

from control_plane.printable import quoted
from data_sharing.schema_cost import SchemaCost, SchemaTooCostly, schema_cost

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_DEPTH = 32  # of nesting in a schema
MOST_WORK = 400_000  # steps for one value, see `schema_cost`; about 6 ms
MOST_PATTERN = 1_024  # characters
PATTERN_BYTES = 1 << 20  # of a compiled one
_REFERENCES = ("$ref", "$dynamicRef")
_COMBINING = ("allOf", "anyOf", "oneOf")


class _Bound(NamedTuple):
    most: int
    what: str


_BOUNDS = {
    "parts": _Bound(20_000, "objects, lists and values"),
    "references": _Bound(1_000, "references"),
    "combined": _Bound(1_000, "schemas in allOf, anyOf and oneOf"),
    "patterns": _Bound(100, "patterns"),
    "values": _Bound(10_000, "values in one enum"),
}


class Breach(NamedTuple):
    """Where a value breaks its schema. `pointer`: RFC 6901, into the value; empty: all of it.
    way: the words of the schema that led there."""

    pointer: str
    message: str
    way: tuple[str | int, ...] = ()


class BadSchema(Exception):
    """Why something is no schema we take; `pointer` says where in it."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.message = message


class DataSchema:
    """See the module. Immutable; safe from several threads."""

    __slots__ = ("_first", "_most_a_byte", "_validator", "accepts", "cost", "document")

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Raises BadSchema."""
        check_references(document)
        try:
            validator = jsonschema_rs.Draft202012Validator(
                dict(document),
                offline=True,
                validate_formats=True,
                pattern_options=jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES),
            )
            self.cost: SchemaCost = schema_cost(document)
        except SchemaTooCostly as error:
            raise BadSchema("", str(error)) from None
        except jsonschema_rs.ValidationError as error:
            raise BadSchema(pointer(error.instance_path), _sentence(error.message)) from error
        except ValueError as error:
            raise BadSchema("", _sentence(str(error))) from error
        self._first, self._most_a_byte = self.cost.first, self.cost.most_a_byte()
        self.document = document
        self._validator = validator
        self.accepts = validator.is_valid  # the whole hot path

    def too_much_work(self, content: bytes) -> str:
        """Why a value, as JSON text, would take too long to be checked; empty: it would not."""
        if self._first + self._most_a_byte * len(content) <= MOST_WORK:
            return ""
        work = self.cost.work(content, MOST_WORK)
        if work <= MOST_WORK:
            return ""
        return (
            f"may take {work:,} steps or more to be checked by its schema; at most {MOST_WORK:,}. "
            "Send less at once, or make the schema simpler"
        )

    def breach_within_bounds(self, value: Any) -> Breach | None:
        """The same as `breach` for a value that was not measured before."""
        try:
            too_much = self.too_much_work(msgspec.json.encode(value))
        except (TypeError, ValueError, RecursionError) as error:
            return Breach("", _sentence(f"JSON cannot say it: {error}"))
        return Breach("", too_much) if too_much else self.breach(value)

    def breach(self, value: Any) -> Breach | None:
        """The first thing that is wrong with a value; None: nothing. What JSON cannot say, or
        is nested too deep to be checked, breaks every schema."""
        try:
            if self.accepts(value):
                return None
            return next(iter(self.breaches(value, 1)), None)
        except ValueError as error:
            return Breach("", _sentence(str(error)))

    def breaches(self, value: Any, limit: int) -> list[Breach]:
        """Everything that is wrong with a value, up to `limit`. Raises ValueError for what
        JSON cannot say."""
        return [
            Breach(
                pointer(error.instance_path), _sentence(error.message), tuple(error.evaluation_path)
            )
            for error in islice(self._validator.iter_errors(value), limit)
        ]


def check_references(document: Any) -> None:
    """Raises BadSchema where a schema is of another dialect, refers to another document, is nested
    too deep or has too many parts; one pass. Looks everywhere, also where a `$ref` would be no
    reference: a schema that only looks like fetching is refused as well."""
    todo: list[tuple[str, Any, int]] = [("", document, 0)]
    counts = dict.fromkeys(_BOUNDS, 0)
    while todo:
        where, node, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise BadSchema(where, f"is nested deeper than {MAX_DEPTH} levels")
        counts["parts"] += 1
        if isinstance(node, Mapping):
            _check_words(where, node)
            _count(node, counts)
            todo += [(f"{where}/{escape(str(key))}", one, depth + 1) for key, one in node.items()]
        elif isinstance(node, list):
            todo += [(f"{where}/{place}", one, depth + 1) for place, one in enumerate(node)]
        for name, bound in _BOUNDS.items():
            if counts[name] > bound.most:
                raise BadSchema(where, f"has more than {bound.most:,} {bound.what}")


def _check_words(where: str, node: Mapping[str, Any]) -> None:
    for word in _REFERENCES:
        target = node.get(word)
        if isinstance(target, str) and not target.startswith("#"):
            raise BadSchema(
                f"{where}/{word}",
                f"refers to {quoted(target)}; only references within the schema (#…) are taken",
            )
    dialect = node.get("$schema", DIALECT)
    if isinstance(dialect, str) and dialect.rstrip("#") != DIALECT:
        raise BadSchema(f"{where}/$schema", f"is {quoted(dialect)}; only {DIALECT} is taken")
    for word, pattern in _patterns(node):
        if len(pattern) > MOST_PATTERN:
            raise BadSchema(
                f"{where}/{word}", f"is a pattern of more than {MOST_PATTERN:,} characters"
            )


def _count(node: Mapping[str, Any], counts: dict[str, int]) -> None:
    """Adds what one schema has."""
    counts["references"] += sum(isinstance(node.get(word), str) for word in _REFERENCES)
    for word in _COMBINING:
        several = node.get(word)
        counts["combined"] += len(several) if isinstance(several, list) else 0
    counts["patterns"] += sum(1 for _ in _patterns(node))
    values = node.get("enum")
    counts["values"] = max(counts["values"], len(values) if isinstance(values, list) else 0)


def _patterns(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each with the word it stands at."""
    if isinstance(node.get("pattern"), str):
        yield "pattern", node["pattern"]
    by_name = node.get("patternProperties")
    for name in by_name if isinstance(by_name, Mapping) else ():
        yield "patternProperties", str(name)


def pointer(path: list[str | int] | tuple[str | int, ...]) -> str:
    """A path as JSON Pointer.

    >>> pointer(["a/b", 0])
    '/a~1b/0'
    """
    return "".join(f"/{escape(str(step))}" for step in path)


def escape(step: str) -> str:
    """One step of a JSON Pointer."""
    return step.replace("~", "~0").replace("/", "~1")


def steps_of(text: str) -> tuple[str, ...]:
    """The steps of a JSON Pointer; raises ValueError where it is none.

    >>> steps_of("/data/a~1b")
    ('data', 'a/b')
    """
    if text and not text.startswith("/"):
        raise ValueError(f"{quoted(text)} is not a JSON Pointer: it does not begin with /")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])


def _sentence(message: str, limit: int = 240) -> str:
    """The validator's words, in one line, without a value of megabytes."""
    line = " ".join(message.split())
    return line if len(line) <= limit else f"{line[: limit // 2]} … {line[-limit // 2 :]}"

"""DataSchema: a JSON Schema (2020-12) compiled once, for values that are checked often.

Wraps jsonschema-rs, a validator in Rust: 0.4 µs for a small object, where the reference in
Python takes 60. Nothing is ever fetched: references stay within the schema. Patterns run on a
regex engine whose time is linear in the text, so no schema can make checking an event slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

import jsonschema_rs

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_DEPTH = 32  # of nesting in a schema
_REFERENCES = ("$ref", "$dynamicRef")


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

    __slots__ = ("_validator", "accepts", "document")

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Raises BadSchema."""
        check_references(document)
        try:
            validator = jsonschema_rs.Draft202012Validator(
                dict(document),
                offline=True,
                validate_formats=True,
                pattern_options=jsonschema_rs.RegexOptions(),
            )
        except jsonschema_rs.ValidationError as error:
            raise BadSchema(pointer(error.instance_path), _sentence(error.message)) from error
        except ValueError as error:
            raise BadSchema("", _sentence(str(error))) from error
        self.document = document
        self._validator = validator
        self.accepts = validator.is_valid  # the whole hot path

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
    """Raises BadSchema where a schema is of another dialect, refers to another document, or is
    nested too deep. Looks everywhere, also where a `$ref` would be no reference: a schema that
    only looks like fetching is refused as well."""
    todo: list[tuple[str, Any, int]] = [("", document, 0)]
    while todo:
        where, node, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise BadSchema(where, f"is nested deeper than {MAX_DEPTH} levels")
        if isinstance(node, Mapping):
            for word in _REFERENCES:
                target = node.get(word)
                if isinstance(target, str) and not target.startswith("#"):
                    raise BadSchema(
                        f"{where}/{word}",
                        f"refers to {target!r}; only references within the schema (#…) are taken",
                    )
            dialect = node.get("$schema", DIALECT)
            if isinstance(dialect, str) and dialect.rstrip("#") != DIALECT:
                raise BadSchema(f"{where}/$schema", f"is {dialect!r}; only {DIALECT} is taken")
            todo += [(f"{where}/{escape(str(key))}", one, depth + 1) for key, one in node.items()]
        elif isinstance(node, list):
            todo += [(f"{where}/{place}", one, depth + 1) for place, one in enumerate(node)]


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
        raise ValueError(f"{text!r} is not a JSON Pointer: it does not begin with /")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:])


def _sentence(message: str, limit: int = 240) -> str:
    """The validator's words, in one line, without a value of megabytes."""
    line = " ".join(message.split())
    return line if len(line) <= limit else f"{line[: limit // 2]} … {line[-limit // 2 :]}"

"""Routes: which gRPC method an HTTP request is for, and what its path says.

    POST /v1/tenants/{tenant}/clients/{client_id}:provision

A name in braces is one segment, percent-encoded UTF-8, for the request's field of that name; what
follows the last colon of a path is an action if a route has it, and else belongs to the name.
Paths are matched as they were sent: a %2F separates nothing, and a %3A begins no action. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_to_bytes

from control_plane.errors import InvalidInput

_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """request, response: the message classes of the gRPC method at the full path `method`. reads:
    it takes no body. headers: those that a field of the request comes from, unless the body says
    it; query: its fields, true or false, that may be asked for there."""

    verb: str
    path: str
    method: str
    request: type[Any]
    response: type[Any]
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    query: tuple[str, ...] = ()
    lines: bool = False  # the body is NDJSON, a client a line

    @property
    def reads(self) -> bool:
        return self.verb == "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What is at a path: routes by verb, and the fields that the path gives."""

    by_verb: Mapping[str, Route]
    fields: Mapping[str, str]


def path_and_query(target: str) -> tuple[str, str]:
    """Of a request's target in origin form or, as proxies are sent it, in absolute form (RFC 9112,
    3.2). Neither is decoded."""
    found = _ABSOLUTE.match(target)
    rest = target[found.end() :] if found is not None else target
    path, _, query = rest.partition("#")[0].partition("?")
    return path or "/", query


class Routes:
    """`match` says what is at a path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        """Raises ValueError where two of them are for the same."""
        self._by_shape: dict[tuple[str, ...], dict[str, Route]] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        for route in routes:
            shape, names = _shape(route.path)
            by_verb = self._by_shape.setdefault(shape, {})
            if route.verb in by_verb or self._names.setdefault(shape, names) != names:
                raise ValueError(f"{route.verb} {route.path} is there twice")
            by_verb[route.verb] = route

    def match(self, path: str) -> Match | None:
        """None: nothing is there. Raises InvalidInput that names the field whose name cannot be
        read."""
        if not path.startswith("/"):
            return None
        segments = path.split("/")[1:]
        last, _, action = segments[-1].rpartition(":")
        for ends, acts in (((last, action), True), ((segments[-1], ""), False)):
            given = (*segments[:-1], ends[0])
            for shape, by_verb in self._by_shape.items():
                if bool(shape[-1]) is acts and shape[-1] == ends[1] and _fits(shape[:-1], given):
                    values = [one for one, part in zip(given, shape, strict=False) if not part]
                    fields = dict(zip(self._names[shape], values, strict=True))
                    return Match(
                        by_verb=by_verb,
                        fields={name: _decoded(name, value) for name, value in fields.items()},
                    )
        return None


def _shape(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The segments of a template, empty for a name, and then its action, which may be empty; and
    the names."""
    segments = path.split("/")[1:]
    segments[-1], _, action = segments[-1].partition(":")
    names = tuple(one.strip("{}") for one in segments if one.startswith("{"))
    return (*("" if one.startswith("{") else one for one in segments), action), names


def _fits(shape: tuple[str, ...], given: tuple[str, ...]) -> bool:
    return len(shape) == len(given) and all(
        one == part if part else one != "" for one, part in zip(given, shape, strict=True)
    )


def _decoded(name: str, segment: str) -> str:
    if not segment.isascii():
        raise InvalidInput(name, f"{name}: percent-encode what is not ASCII in a path, as UTF-8")
    if bad := _BAD_ESCAPE.search(segment):
        raise InvalidInput(
            name, f"{name}: '%' at position {bad.start()} is not followed by two hexadecimal digits"
        )
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(name, f"{name} is not UTF-8 once it is percent-decoded") from error

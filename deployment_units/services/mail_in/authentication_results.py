"""Authentication-Results (RFC 8601): what the relay in front of a unit found out about mail. Pure.

Fields of that relay's authserv-id alone are read. Everybody else's are what their senders like to
say; the relay takes those away that use its name (section 5), and where two of its name disagree,
the worse counts, so that one which slipped through proves nothing beside a real one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

MOST_FIELDS = 20
MOST_RESULTS = 50
_TOKEN = re.compile(
    r'\s*(?:("(?:[^"\\]|\\.)*")|([;=]|[A-Za-z0-9!#$%&\'*+\-./?@^_`{|}~\x80-\U0010ffff:]+))'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodResult:
    """One method: `dkim`, `pass`, and what it is about: {"header.d": "talk.example"}. Method,
    result and names of properties are in small letters."""

    method: str
    result: str
    properties: dict[str, str] = field(default_factory=dict)


def read_results(fields: Iterable[str], authserv_id: str) -> list[MethodResult]:
    """Of the fields of one server; of a field that is no Authentication-Results, nothing."""
    found: list[MethodResult] = []
    for place, value in enumerate(fields):
        if place >= MOST_FIELDS:
            break
        tokens = _tokens(value)
        if tokens is None or not tokens or tokens[0].casefold() != authserv_id.casefold():
            continue
        found += _results(tokens)
    return found[:MOST_RESULTS]


def _tokens(value: str) -> list[str] | None:
    """Words, quoted strings without their quotes, `;` and `=`. None: it is not to be read."""
    bare = _without_comments(value)
    if bare is None:
        return None
    tokens: list[str] = []
    at = 0
    while at < len(bare):
        found = _TOKEN.match(bare, at)
        if found is None:
            return tokens if not bare[at:].strip() else None
        quoted = found[1]
        tokens.append(re.sub(r"\\(.)", r"\1", quoted[1:-1]) if quoted else found[2])
        at = found.end()
    return tokens


def _without_comments(value: str) -> str | None:
    """Comments nest and may hold quoted pairs (RFC 5322, 3.2.2). None: one does not end."""
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for one in value:
        if escaped:
            escaped = False
        elif one == "\\":
            escaped = True
        elif one == '"' and not depth:
            quoted = not quoted
        elif one == "(" and not quoted:
            depth += 1
        elif one == ")" and depth:
            depth -= 1
            kept.append(" ")
            continue
        if not depth:
            kept.append(one)
    return None if depth or quoted else "".join(kept)


def _results(tokens: list[str]) -> list[MethodResult]:
    found = []
    clause: list[str] = []
    for token in [*tokens[1:], ";"]:
        if token != ";":
            clause.append(token)
            continue
        if len(clause) >= 3 and clause[1] == "=":
            found.append(
                MethodResult(
                    method=clause[0].partition("/")[0].lower(),
                    result=clause[2].lower(),
                    properties=_properties(clause[3:]),
                )
            )
        clause = []
    return found


def _properties(tokens: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for at in range(len(tokens) - 2):
        if tokens[at + 1] == "=" and tokens[at] != "=" and tokens[at].lower() not in found:
            found[tokens[at].lower()] = tokens[at + 2]
    return found

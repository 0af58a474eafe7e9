"""Clauses: a condition split at its outermost && and ||, so that each part can be shown with
what it came to. A clause is again a text of the language; parentheses around one are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clause:
    """joined_by: "&&" or "||" of its parts; empty for a leaf."""

    text: str
    joined_by: str = ""
    parts: tuple[Clause, ...] = ()

    def leaves(self) -> Iterator[Clause]:
        """Those without parts, left to right."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()


def clauses_of(text: str) -> Clause:
    """Of a text that compiles."""
    text = _bare(text.strip())
    if _split(text, "?") is not None:  # binds loosest: one clause
        return Clause(text)
    for operator in ("||", "&&"):
        parts = _split(text, operator)
        if parts is not None:
            return Clause(text, operator, tuple(clauses_of(part) for part in parts))
    return Clause(text)


def _split(text: str, operator: str) -> list[str] | None:
    """The parts between the operator where it stands outside brackets; None: nowhere."""
    parts, start = [], 0
    for at, depth in _outside_literals(text):
        if depth == 0 and text.startswith(operator, at) and at >= start:
            parts.append(text[start:at])
            start = at + len(operator)
    return [*parts, text[start:]] if parts else None


def _bare(text: str) -> str:
    """Without parentheses that enclose all of it, and without a comment at its end."""
    while text.startswith("("):
        closes = next(at for at, depth in _outside_literals(text) if depth == 0 and text[at] == ")")
        if text[closes + 1 :].strip():
            break
        text = text[1:closes].strip()
    return text


def _outside_literals(text: str) -> Iterator[tuple[int, int]]:
    """Each place outside string literals and comments, with the bracket depth there; a closing
    bracket counts as outside what it closes."""
    at, depth = 0, 0
    while at < len(text):
        character = text[at]
        if character in "'\"":
            at = _end_of_literal(text, at)
            continue
        if text.startswith("//", at):
            newline = text.find("\n", at)
            at = len(text) if newline < 0 else newline
            continue
        if character in ")]}":
            depth -= 1
        yield at, depth
        if character in "([{":
            depth += 1
        at += 1


def _end_of_literal(text: str, at: int) -> int:
    """The place after the literal whose first quote is at `at`."""
    raw = _is_raw(text, at)
    quote = text[at] * 3 if text.startswith(text[at] * 3, at) else text[at]
    at += len(quote)
    while at < len(text) and not text.startswith(quote, at):
        at += 2 if text[at] == "\\" and not raw else 1
    return at + len(quote)


def _is_raw(text: str, at: int) -> bool:
    """Whether r, br or rb stands before the quote, as a word of its own."""
    start = at
    while start > 0 and text[start - 1] in "rRbB":
        start -= 1
    prefix = text[start:at].lower()
    before = text[start - 1] if start else " "
    return "r" in prefix and len(prefix) <= 2 and not (before.isalnum() or before == "_")

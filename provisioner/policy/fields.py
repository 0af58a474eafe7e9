"""Fields: one object of a policy document, read strictly. Pure.

Each reader gives a value of the right type, or its default and a problem that names the place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from control_plane.identity.names import is_slug
from control_plane.printable import quoted
from provisioner.policy.conditions import nearest

MOST_CHARACTERS = 4_096  # of a text


class Problems:
    """What is wrong with a document, in the order in which it was found."""

    def __init__(self, found: Sequence[str] = ()) -> None:
        self.found = list(found)

    def add(self, where: str, problem: str) -> None:
        """`where`: the place in the document."""
        self.found.append(f"{where}: {problem}" if where else problem)


class Fields:
    """An object that may have the fields `known`. where: its place; empty: the document."""

    def __init__(self, said: object, where: str, known: Sequence[str], problems: Problems) -> None:
        self.where = where
        self.problems = problems
        self._before = len(problems.found)
        self.given = isinstance(said, Mapping)
        self._said: Mapping[Any, Any] = said if isinstance(said, Mapping) else {}
        if not self.given:
            problems.add(where, f"has to be an object, and is {_kind(said)}")
        for name in self._said:
            if name not in known:
                text = name if isinstance(name, str) else quoted(name)
                hint = nearest(text, known)
                problems.add(where, f"there is no field {quoted(name)}; {hint}")

    @property
    def has_problems(self) -> bool:
        """Whether anything was wrong since it was made."""
        return len(self.problems.found) > self._before

    def has(self, name: str) -> bool:
        """Whether the field is there, be it null."""
        return name in self._said

    def get(self, name: str) -> Any:
        """As it stands; None: it is not there."""
        return self._said.get(name)

    def problem(self, name: str, problem: str) -> None:
        """Something is wrong with a field, or (empty name) with the whole."""
        self.problems.add(".".join(part for part in (self.where, name) if part), problem)

    def unknown(self, kind: str, name: str, known: Sequence[str]) -> str:
        """The sentence for a name that is not defined."""
        hint = nearest(name, known) if known else f"the policy has no {kind}s"
        return f"there is no {kind} {quoted(name)}; {hint}"

    def text(self, name: str) -> str:
        """Empty where it is not there."""
        value = self._said.get(name, "")
        if not isinstance(value, str):
            self.problem(name, f"has to be a text, and is {_kind(value)}")
            return ""
        if len(value) > MOST_CHARACTERS:
            self.problem(name, f"has {len(value):,} characters; at most {MOST_CHARACTERS:,}")
            return ""
        return value

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        value = self._said.get(name, default)
        if not isinstance(value, bool):
            self.problem(name, f"has to be true or false, and is {_kind(value)}")
            return default
        return value

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A number from low to high."""
        if name not in self._said:
            return default
        value = self._said[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problem(name, f"has to be a number, and is {_kind(value)}")
            return default
        if not (low <= value <= high) or math.isnan(value):
            self.problem(name, f"is {quoted(value)}, outside {low:g} to {high:g}")
            return default
        return float(value)

    def choice(self, name: str, words: Sequence[str]) -> str:
        """One of these words; empty where it is not there."""
        value = self._said.get(name, "")
        if name in self._said and value not in words:
            hint = nearest(value, words) if isinstance(value, str) else f"one of {', '.join(words)}"
            self.problem(name, f"{quoted(value)} is none of {', '.join(words)}; {hint}")
            return ""
        return str(value)

    def entries(self, name: str, *, most: int) -> Sequence[Any]:
        """Empty where it is not there."""
        value = self._said.get(name, [])
        if not isinstance(value, list):
            self.problem(name, f"has to be a list, and is {_kind(value)}")
            return []
        if len(value) > most:
            self.problem(name, f"has {len(value):,} entries; at most {most:,}")
            return []
        return value

    def texts(self, name: str, *, most: int) -> Sequence[str]:
        """A list of texts that are not empty; one text counts as a list of it."""
        value = self._said.get(name, [])
        listed = [value] if isinstance(value, str) else self.entries(name, most=most)
        for one in listed:
            if not isinstance(one, str) or not one:
                self.problem(name, f"has to be a list of texts, and has {quoted(one)} in it")
                return []
        return listed

    def part(self, name: str, known: Sequence[str]) -> Fields:
        """An object inside; an empty one where it is not there."""
        return self.inner(name, self._said.get(name, {}), known)

    def inner(self, name: str, said: object, known: Sequence[str] | None = None) -> Fields:
        """An object inside, as it was said. known None: any fields."""
        where = ".".join(part for part in (self.where, name) if part)
        if known is None:
            known = [str(key) for key in said] if isinstance(said, Mapping) else []
        return Fields(said, where, known, self.problems)

    def list_object(self, name: str) -> Mapping[str, Any]:
        """An object with text keys and whatever values; empty where it is not there."""
        value = self._said.get(name, {})
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            self.problem(name, 'has to be an object with text keys (write NO as "NO")')
            return {}
        return value

    def names(self, name: str) -> list[str]:
        """The keys of an object inside."""
        value = self._said.get(name)
        return [str(key) for key in value] if isinstance(value, Mapping) else []

    def named(self, name: str, known: Sequence[str], *, most: int) -> Iterator[tuple[str, Fields]]:
        """The objects of an object, by name."""
        said = self.list_object(name)
        if len(said) > most:
            self.problem(name, f"has {len(said):,} entries; at most {most:,}")
            return
        for key, value in said.items():
            if not is_slug(key):
                self.problem(name, f"{quoted(key)} is no name; use 1 to 63 of a-z 0-9 '-' '.'")
                continue
            inner = self.inner(f"{name}.{key}", value, known)
            if inner.given:
                yield key, inner


def _kind(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else f"{quoted(value)}"

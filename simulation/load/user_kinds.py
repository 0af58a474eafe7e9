"""What users do who arrive: the kinds of calls, and how many are of which kind. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from control_plane.printable import quoted


class UserKind(IntEnum):
    """What a user who arrives is, and so what it asks for."""

    NEW = 0  # has no home yet, and asks for one
    KNOWN = 1  # has one, and asks for it from where it always is
    ROAMING = 2  # has one, and asks for it from somewhere else, this once
    MOVING = 3  # has one, and asks for it from somewhere else, where it is from now on
    RELEASED = 4  # gives its home back

    @property
    def word(self) -> str:
        """As command lines and reports have it."""
        return self.name.lower()


KINDS = {kind.word: kind for kind in UserKind}
USUAL: Mapping[UserKind, float] = {
    UserKind.NEW: 30.0,
    UserKind.KNOWN: 50.0,
    UserKind.ROAMING: 10.0,
    UserKind.MOVING: 5.0,
    UserKind.RELEASED: 5.0,
}
# Everybody has a home already, and wants to hear of it.
RETURNING: Mapping[UserKind, float] = {UserKind.KNOWN: 95.0, UserKind.ROAMING: 5.0}


def parse_mix(text: str) -> dict[UserKind, float]:
    """`new=30,known=70`: weights of any sum. Raises ValueError that says what is wrong."""
    found: dict[UserKind, float] = {}
    for part in text.split(","):
        word, _, number = part.partition("=")
        kind = KINDS.get(word.strip())
        if kind is None:
            raise ValueError(
                f"{quoted(word.strip())} is no kind of user; there are {', '.join(KINDS)}"
            )
        try:
            weight = float(number)
        except ValueError:
            weight = -1.0
        if not 0.0 <= weight < 1e9:
            raise ValueError(f"{word.strip()}={number}: a weight is a number from 0 on")
        if kind in found:
            raise ValueError(f"{word.strip()} is there twice")
        found[kind] = weight
    check_weights(found)
    return found


def check_weights(mix: Mapping[Any, float]) -> None:
    """Raises ValueError unless they are numbers from 0 on, one of them above it."""
    if not all(0.0 <= weight < 1e9 for weight in mix.values()):
        raise ValueError("a weight of a mix is a number from 0 on, below 1,000,000,000")
    if not sum(mix.values()):
        raise ValueError("a mix needs a weight above 0")


def mix_text(mix: Mapping[UserKind, float]) -> str:
    """The same as `parse_mix` reads it."""
    return ",".join(f"{kind.word}={weight:g}" for kind, weight in sorted(mix.items()))

"""What becomes of events that users publish, and which way they go. Pure.

A call of a load has a number for its kind; that of an event is both: `kind_of` puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from control_plane.printable import quoted
from simulation.load.user_kinds import check_weights

MOST_RULES = 10_000
MOST_PLANS = 10_000


class EventKind(IntEnum):
    """What a published event leads to."""

    QUIET = 0  # no rule holds for it
    INVOKING = 1  # a rule has an application perform an action: an outcome follows
    CHANGING = 2  # a rule changes an event plan of its user

    @property
    def word(self) -> str:
        """As command lines and reports have it."""
        return self.name.lower()


class Way(IntEnum):
    """How it is published."""

    GRPC = 0
    HTTP = 1

    @property
    def word(self) -> str:
        """As command lines and reports have it."""
        return self.name.lower()


KINDS = {kind.word: kind for kind in EventKind}
WAYS = tuple(way.word for way in Way)
USUAL: Mapping[EventKind, float] = {
    EventKind.QUIET: 80.0,
    EventKind.INVOKING: 10.0,
    EventKind.CHANGING: 10.0,
}


def kind_of(kind: EventKind, way: Way) -> int:
    """The number of a call that publishes such an event."""
    return kind << 1 | way


def way_in(number: int) -> Way:
    """The way in `kind_of`'s number."""
    return Way(number & 1)


def kind_in(number: int) -> EventKind:
    """The kind in `kind_of`'s number."""
    return EventKind(number >> 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSettings:
    """mix: of kinds, by weight; http_share: of events that are published over HTTP, 0.0 to 1.0.
    rules: that invoke, each for events of its own; plans: that events change, of as many users."""

    mix: Mapping[EventKind, float] = field(default_factory=lambda: USUAL)
    http_share: float = 0.0
    rules: int = 100
    plans: int = 100

    def __post_init__(self) -> None:
        """Raises ValueError that names what is wrong."""
        for name in ("rules", "plans"):
            if type(getattr(self, name)) is not int:
                raise ValueError(f"{name} has to be a whole number")
        if not 1 <= self.rules <= MOST_RULES:
            raise ValueError(f"rules is {self.rules}; it can be 1 to {MOST_RULES}")
        if not 1 <= self.plans <= MOST_PLANS:
            raise ValueError(f"plans is {self.plans}; it can be 1 to {MOST_PLANS}")
        if not 0.0 <= self.http_share <= 1.0:
            raise ValueError(f"the share over HTTP is {self.http_share:g}; it can be 0 to 1")
        check_weights(self.mix)

    def document(self) -> dict[str, Any]:
        """For a report."""
        return {
            "mix": {kind.word: weight for kind, weight in self.mix.items()},
            "http_share": self.http_share,
            "rules": self.rules,
            "plans": self.plans,
        }


def event_settings_of(document: Mapping[str, Any]) -> EventSettings:
    """What `document` gave. Raises ValueError where it is none of these."""
    try:
        mix = {KINDS[word]: float(weight) for word, weight in document["mix"].items()}
        return EventSettings(**{**document, "mix": mix})
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"these are no settings of a load with events: {error}") from error


def parse_event_mix(text: str) -> dict[EventKind, float]:
    """`quiet=80,invoking=20`: weights of any sum. Raises ValueError that says what is wrong."""
    found: dict[EventKind, float] = {}
    for part in text.split(","):
        word, _, number = part.partition("=")
        kind = KINDS.get(word.strip())
        if kind is None:
            raise ValueError(
                f"{quoted(word.strip())} is no kind of event; there are {', '.join(KINDS)}"
            )
        try:
            weight = float(number)
        except ValueError:
            weight = -1.0
        if not 0.0 <= weight < 1e9:
            raise ValueError(f"{word.strip()}={quoted(number)}: a weight is a number from 0 on")
        if kind in found:
            raise ValueError(f"{word.strip()} is there twice")
        found[kind] = weight
    check_weights(found)
    return found

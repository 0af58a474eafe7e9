"""Rules and events for matching: the same ones in CEL, for Homeport, and as event patterns, for
event-ruler.

Of the rules two in five ask for one value of a field, one in five for one of three, one in five for
a range, one in ten for how a text begins and one in ten that a field is there; half of them ask for
a kind besides, of which there are four. How many values there are grows with the rules, so that an
event matches about MATCHING of them however many there are. Pure: the same for the same seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

MATCHING: Final = 5  # rules that an event matches, about
KINDS: Final = 4
SPEEDS: Final = 1_000_000
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["road", "vehicle", "speed", "place", "kind"],
    "properties": {
        "road": {"type": "string", "maxLength": 64},
        "vehicle": {"type": "string", "maxLength": 64},
        "speed": {"type": "integer", "minimum": 0, "maximum": SPEEDS},
        "place": {"type": "string", "maxLength": 64},
        "kind": {"type": "string", "maxLength": 16},
    },
}
_BOTH: Final = 0.5 + 0.5 / KINDS  # of the events that match a rule's own clause, on average
_SHARES: Final = {"equality": 4, "in": 2, "range": 2, "prefix": 1, "presence": 1}  # tenths
_OF_TEN: Final = tuple(name for name, tenths in _SHARES.items() for _ in range(tenths))


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedRule:
    """when: in CEL, over the input `e`. pattern: the same for event-ruler."""

    name: str
    when: str
    pattern: dict[str, Any]


def mixed_rules(count: int, seed: int = 1) -> list[MixedRule]:
    """In no order of their kinds."""
    rng = random.Random(seed)
    values = _values(count)
    found = []
    for number in range(count):
        when, pattern = _clause(rng, _OF_TEN[number % 10], values)
        if number // 10 % 2:
            kind = f"kind-{rng.randrange(KINDS)}"
            when += f' && e.data.kind == "{kind}"'
            pattern["kind"] = [kind]
        found.append(MixedRule(name=f"rule-{number}", when=when, pattern=pattern))
    rng.shuffle(found)
    return found


def event_texts(count: int, rules: int, seed: int = 2) -> list[bytes]:
    """Data of events, of some 600 bytes as JSON, for so many rules."""
    rng = random.Random(seed)
    values = _values(rules)
    filler = {f"field{number}": "x" * 27 for number in range(11)}
    return [
        json.dumps(
            {
                "road": f"road-{rng.randrange(values['equality'])}",
                "vehicle": f"vehicle-{rng.randrange(values['in'])}",
                "speed": rng.randrange(SPEEDS),
                "place": f"place-{rng.randrange(values['prefix'])}-{rng.randrange(1_000)}",
                "kind": f"kind-{rng.randrange(KINDS)}",
                f"extra{rng.randrange(values['presence'])}": True,
                **filler,
            },
            separators=(",", ":"),
        ).encode()
        for _ in range(count)
    ]


def _values(rules: int) -> dict[str, int]:
    """How many values each kind of clause chooses from, so that of `rules` rules an event matches
    MATCHING; of ranges, how wide they are."""
    found = {}
    for name, tenths in _SHARES.items():
        asked = rules * tenths / 10 * (3 if name == "in" else 1)
        wanted = MATCHING * tenths / 10
        found[name] = max(3, round(asked * _BOTH / wanted))
    return found


def _clause(
    rng: random.Random, kind: str, values: dict[str, int]
) -> tuple[str, dict[str, Sequence[Any]]]:
    """A condition and its pattern."""
    number = rng.randrange(values[kind])
    if kind == "equality":
        return f'e.data.road == "road-{number}"', {"road": [f"road-{number}"]}
    if kind == "in":
        names = [f"vehicle-{one}" for one in rng.sample(range(values[kind]), 3)]
        return f"e.data.vehicle in {json.dumps(names)}", {"vehicle": names}
    if kind == "range":
        low = rng.randrange(SPEEDS)
        high = low + SPEEDS // values[kind]
        asked = {"numeric": [">=", low, "<", high]}
        return f"e.data.speed >= {low} && e.data.speed < {high}", {"speed": [asked]}
    if kind == "prefix":
        return f'e.data.place.startsWith("place-{number}-")', {
            "place": [{"prefix": f"place-{number}-"}]
        }
    return f"has(e.data.extra{number})", {f"extra{number}": [{"exists": True}]}

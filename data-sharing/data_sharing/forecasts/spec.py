"""ForecastSpec: what an operator writes to have a value of a feed estimated, per key."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from data_sharing.memory_limits import MemorySpec

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(?:[0-9]+(?:ms|s|m|h|d))+")
_PART = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_MOST_CHARACTERS = 64
LONGEST_MS = 400 * _UNITS_MS["d"]


class SeasonSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What repeats: every so long, in so many steps. One step is what trend and season count in."""

    every: str
    steps: int


class ForecastSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One running estimate. Rules read it as forecast.<name>, at their own key."""

    forecast: str  # its name: letters, digits and _, no digit first
    feed: str  # CloudEvents type
    value: str  # CEL over `event`: the number to estimate
    key: str = "event.key"  # CEL over `event`: a text
    where: str | None = None  # CEL over `event`; only these events count
    half_life: str = "1h"  # an event this old counts half as much as one now
    step: str | None = None  # of the trend; not with season, whose steps it goes by
    season: SeasonSpec | None = None
    forget: str = "90d"  # keys without an event for so long are dropped
    memory: MemorySpec | None = None  # what it may remember, no more than its tenant's may
    purpose: str | None = None  # what for; needed where the feed has a sharing policy
    readers: list[str] = []  # applications that rules tell of it, where the feed has one
    plans: bool = False  # whether rules may change plans by it, where the feed has one
    description: str = ""


def duration_ms(text: str, field: str, *, least_ms: int = 0, most_ms: int = LONGEST_MS) -> int:
    """Of "90s", "1h30m", "7d". Raises InvalidInput naming the field.

    >>> duration_ms("1h30m", "within")
    5400000
    """
    ms = None if len(text) > _MOST_CHARACTERS else _ms_of(text)
    if ms is None:
        said = quoted(text)
        raise InvalidInput(field, f"{field}: {said} is no duration; write 90s, 10m or 1h30m")
    if not least_ms <= ms <= most_ms:
        raise InvalidInput(
            field,
            f"{field}: {text} is out of bounds; from {shown(least_ms)} to {shown(most_ms)}",
        )
    return ms


@lru_cache(maxsize=1_024)
def _ms_of(text: str) -> int | None:
    """None: it is no duration. Kept, because rules by the thousand say the same few."""
    if _DURATION.fullmatch(text) is None:
        return None
    return sum(int(number) * _UNITS_MS[unit] for number, unit in _PART.findall(text))


def shown(ms: int) -> str:
    """A duration in the form that `duration_ms` reads.

    >>> shown(5_400_000)
    '1h30m'
    """
    said, rest = "", abs(ms)
    for unit, size in sorted(_UNITS_MS.items(), key=lambda one: -one[1]):
        count, rest = divmod(rest, size)
        said += f"{count}{unit}" if count else ""
    return ("-" if ms < 0 else "") + (said or "0s")

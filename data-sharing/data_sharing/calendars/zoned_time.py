"""Times as plans give them, placed in a time zone: local ones, dates, instants with an offset.

A local time that a clock change leaves out is read with the offset before the gap, and of one that
comes twice the first is meant (RFC 5545, 3.3.5). A time with an offset of its own is that instant,
whatever the zone's clocks show. Nothing here knows of recurrence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

from control_plane.errors import InvalidInput
from control_plane.printable import quoted

FIRST_YEAR, LAST_YEAR = 1971, 2399  # of a zone's local time
DAY_MS = 86_400_000
_LONGEST_TEXT = 64
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?)?\Z"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTime:
    """A time that somebody wrote. local: what the zone's clocks show then, naive; at_ms: Unix ms;
    dated: a day was given, without a time; both are those of its midnight."""

    local: datetime
    at_ms: int
    dated: bool = False


def unix_ms(local: datetime, zone: tzinfo, *, fold: int = 0) -> int:
    """Of a naive local time, Unix ms; fold 1: the second reading of one that comes twice."""
    return (local.replace(tzinfo=zone, fold=fold) - _EPOCH) // _MS


def local_time(at_ms: int, zone: tzinfo) -> datetime:
    """What the zone's clocks show at an instant, naive."""
    return (_EPOCH + at_ms * _MS).astimezone(zone).replace(tzinfo=None, fold=0)


def naive_utc(at_ms: int) -> datetime:
    """The instant in UTC, as a naive time: at most a day from any zone's local time."""
    return _NAIVE_EPOCH + at_ms * _MS


def shown(at_ms: int, zone: tzinfo) -> str:
    """For people: local time with its offset, which names the instant in any zone."""
    return (_EPOCH + at_ms * _MS).astimezone(zone).isoformat()


def read_time(text: str, zone: tzinfo, field: str) -> GivenTime:
    """Reads `2026-03-02T09:00` (local), one with an offset or Z, or `2026-03-02` (a day), to the
    millisecond. Raises InvalidInput naming the field."""
    if len(text) > _LONGEST_TEXT:
        raise InvalidInput(field, f"{field}: a time has at most {_LONGEST_TEXT} characters")
    if not is_rfc3339(text):
        raise InvalidInput(
            field,
            f"{field}: {quoted(text)} is no time of RFC 3339; write 2026-03-02T09:00 (local), "
            "2026-03-02T09:00Z or +01:00 (an instant), or 2026-03-02 (a day)",
        )
    return time_as_stored(text, zone, field)


def is_rfc3339(text: str) -> bool:
    """Whether it has the form of a date or time of RFC 3339 (section 5.6), of which seconds and
    offset may be left out; a leap second is none that clocks of a zone show. Not the weeks, days
    of the year and basic forms of ISO 8601.

    >>> is_rfc3339("2026-03-02 09:00"), is_rfc3339("2026-W10-1"), is_rfc3339("20260302T0900")
    (True, False, False)
    """
    return _RFC3339.match(text) is not None


def time_as_stored(text: str, zone: tzinfo, field: str) -> GivenTime:
    """The same of a plan that was checked when it was made: whatever form of ISO 8601 was taken
    then still has the meaning that it had."""
    day = _date(text)
    try:
        found = (
            datetime(day.year, day.month, day.day)
            if day is not None
            else datetime.fromisoformat(text.upper())
        )
    except ValueError:
        raise InvalidInput(
            field, f"{field}: {quoted(text)} is no time: no calendar or clock shows it"
        ) from None
    # The years are checked before any arithmetic, which ends at the years 1 and 9999.
    _check_year(found.year, field)
    found = found.replace(microsecond=found.microsecond // 1_000 * 1_000, fold=0)
    if found.tzinfo is None:
        return GivenTime(local=found, at_ms=unix_ms(found, zone), dated=day is not None)
    at_ms = (found - _EPOCH) // _MS
    local = local_time(at_ms, zone)
    _check_year(local.year, field)
    return GivenTime(local=local, at_ms=at_ms)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text.upper())
    except ValueError:
        return None


def _check_year(year: int, field: str) -> None:
    if not FIRST_YEAR <= year < LAST_YEAR:
        raise InvalidInput(
            field, f"{field}: the year {year} is not within {FIRST_YEAR} to {LAST_YEAR - 1}"
        )

"""Timing: when a plan's event happens, once or recurring, in a time zone.

Recurrence is RFC 5545's, expanded by dateutil in local time and then placed in the zone: a local
time that a clock change leaves out is read with the offset before the gap, and of one that comes
twice the first is meant (RFC 5545, 3.3.5). An occurrence is named by where it was planned to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import takewhile

from dateutil.rrule import rrule, rrulestr

from control_plane.errors import InvalidInput

MOST_COUNT = 10_000
LAST_YEAR = 2399
# The Gregorian calendar repeats every 400 years, weekdays included. dateutil looks for the next
# occurrence until the year 9999; moving all of it there bounds a rule that has none to come.
_MOVED_YEARS = 7_600
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_PARTS = frozenset(
    ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS",
     "BYYEARDAY", "BYWEEKNO", "WKST")
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """start: local and naive. rule: RFC 5545 parts; empty: once."""

    start: datetime
    zone: tzinfo
    rule: tuple[tuple[str, str], ...] = ()
    left_out: frozenset[int] = frozenset()  # Unix ms

    @property
    def repeats(self) -> bool:
        return bool(self.rule)

    def between(self, from_ms: int, to_ms: int) -> Iterator[int]:
        """Planned times of occurrences, Unix ms, ascending; both ends included."""
        yield from takewhile(lambda at: at <= to_ms, self.since(from_ms))

    def since(self, from_ms: int) -> Iterator[int]:
        """All from then on."""
        for local in self._locals(from_ms):
            at = unix_ms(local, self.zone)
            if at >= from_ms and at not in self.left_out:
                yield at

    def _locals(self, from_ms: int) -> Iterator[datetime]:
        if not self.rule:
            yield self.start
            return
        # No zone is farther than a day from UTC, no gap longer than that.
        about = (_EPOCH + timedelta(milliseconds=from_ms)).replace(tzinfo=None)
        start = self._forwarded(about - timedelta(days=2))
        for moved in _expanded(start, self.rule):
            yield moved.replace(year=moved.year - _MOVED_YEARS)

    def _forwarded(self, to: datetime) -> datetime:
        """A start nearer to `to` from which the rule gives the same occurrences after it."""
        parts = dict(self.rule)
        days = {"DAILY": 1, "WEEKLY": 7}.get(parts["FREQ"])
        if days is None or "COUNT" in parts or to <= self.start:
            return self.start
        step = days * int(parts.get("INTERVAL", "1"))
        return self.start + timedelta(days=(to - self.start).days // step * step)


def unix_ms(local: datetime, zone: tzinfo) -> int:
    """Of a local time; see the module for times that a clock change skips or repeats."""
    return round((local.replace(tzinfo=zone, fold=0) - _EPOCH) / timedelta(milliseconds=1))


def timing_of(
    at: str, zone: tzinfo, repeats: str | None = None, except_at: tuple[str, ...] = ()
) -> Timing:
    """Raises InvalidInput naming the field."""
    start = _local(at, zone, "at")
    left_out = frozenset(unix_ms(_local(one, zone, "except_at"), zone) for one in except_at)
    made = Timing(
        start=start, zone=zone, rule=() if repeats is None else _parts(repeats), left_out=left_out
    )
    if made.rule:
        try:
            first = next(_expanded(start, made.rule), None)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise InvalidInput("repeats", f"repeats: {error}") from None
        if first is None or first.replace(year=first.year - _MOVED_YEARS) != start:
            raise InvalidInput(
                "repeats", "repeats: `at` is not part of it; give the first occurrence as `at`"
            )
    return made


@lru_cache(maxsize=4_096)
def _rule(start: datetime, parts: tuple[tuple[str, str], ...]) -> rrule:
    moved = start.replace(year=start.year + _MOVED_YEARS)
    given = dict(parts)
    if "UNTIL" in given:
        until = _until(given["UNTIL"])
        given["UNTIL"] = f"{until.replace(year=until.year + _MOVED_YEARS):%Y%m%dT%H%M%S}"
    text = ";".join(f"{name}={value}" for name, value in given.items())
    made = rrulestr(text, dtstart=moved)
    assert isinstance(made, rrule)
    return made


def _expanded(start: datetime, parts: tuple[tuple[str, str], ...]) -> Iterator[datetime]:
    return iter(_rule(start, parts))


def _local(text: str, zone: tzinfo, field: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            field, f'{field}: "{text}" is no time; write 2026-03-02T09:00 (local) or with an offset'
        ) from None
    if found.tzinfo is not None:
        found = found.astimezone(zone).replace(tzinfo=None)
    if not 1971 <= found.year < LAST_YEAR:
        raise InvalidInput(field, f"{field}: the year {found.year} is not within 1971 to 2398")
    return found.replace(microsecond=0, fold=0)


def _parts(text: str) -> tuple[tuple[str, str], ...]:
    """What dateutil would take in silence is refused here."""
    parts: dict[str, str] = {}
    for part in text.removeprefix("RRULE:").upper().strip().rstrip(";").split(";"):
        name, equals, value = part.partition("=")
        if not equals or name not in _PARTS or not value:
            known = ", ".join(sorted(_PARTS))
            raise InvalidInput("repeats", f'repeats: "{part}" is not one of {known}')
        if name in parts:
            raise InvalidInput("repeats", f"repeats: {name} stands there twice")
        parts[name] = value
    if parts.get("FREQ") not in _FREQUENCIES:
        raise InvalidInput("repeats", f"repeats: needs FREQ, one of {', '.join(_FREQUENCIES)}")
    for name, most in (("INTERVAL", 1_000), ("COUNT", MOST_COUNT)):
        value = parts.get(name, "1")
        if not value.isdecimal() or not 1 <= int(value) <= most:
            raise InvalidInput("repeats", f"repeats: {name} is a number from 1 to {most:,}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise InvalidInput("repeats", "repeats: either COUNT or UNTIL")
    if "UNTIL" in parts:
        _until(parts["UNTIL"])
    return tuple(sorted(parts.items(), key=lambda one: one[0] != "FREQ"))


def _until(text: str) -> datetime:
    """Local. A date means its whole day; Z is not read, the rule being in local time."""
    for form in ("%Y%m%dT%H%M%S", "%Y%m%d"):
        try:
            found = datetime.strptime(text, form)
        except ValueError:
            continue
        if found.year > LAST_YEAR:
            break
        return found if "T" in text else found.replace(hour=23, minute=59, second=59)
    raise InvalidInput(
        "repeats", f'repeats: UNTIL "{text}" is no local time; write 20261231 or 20261231T090000'
    )

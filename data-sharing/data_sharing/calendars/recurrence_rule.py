"""RecurrenceRule: a recurrence rule as RFC 5545, section 3.3.10, writes it, read and checked.

Reading takes what has the form of a rule. Checking refuses what the RFC forbids, by the table of
its parts below, and what plans do not take: frequencies above daily, and rules beyond the bounds
that keep the work on a rule small. What a rule means is in `recurrence`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import NamedTuple

from control_plane.errors import InvalidInput
from data_sharing.calendars.zoned_time import LAST_YEAR, naive_utc, unix_ms

MOST_INTERVAL = 1_000
MOST_COUNT = 10_000
MOST_TIMES = 24  # of a day: BYHOUR x BYMINUTE x BYSECOND
MOST_TEXT = 4_096
SECTION = "RFC 5545, 3.3.10"
FIELD = "repeats"
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_WEEKDAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,6}")
_UNTIL = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:T([0-9]{2})([0-9]{2})([0-9]{2})(Z?))?")


class Frequency(StrEnum):
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


_EVERY = frozenset(Frequency)
_YEARLY = frozenset((Frequency.YEARLY,))


class PartRule(NamedTuple):
    """What the RFC says of one BYxxx part: its values, from `least` to `most`, where signed also
    the same counted from the end; and the frequencies that it may stand beside."""

    least: int
    most: int
    signed: bool
    beside: frozenset[Frequency] = _EVERY

    @property
    def values(self) -> str:
        plain = f"{self.least} to {self.most}"
        return f"{plain} or -{self.most} to -{self.least}" if self.signed else plain


# The table of RFC 5545, 3.3.10, and the ranges in the text before it.
PARTS: dict[str, PartRule] = {
    "BYMONTH": PartRule(1, 12, False),
    "BYWEEKNO": PartRule(1, 53, True, _YEARLY),
    "BYYEARDAY": PartRule(1, 366, True, _YEARLY),
    "BYMONTHDAY": PartRule(1, 31, True, _EVERY - {Frequency.WEEKLY}),
    "BYDAY": PartRule(1, 53, True),
    "BYHOUR": PartRule(0, 23, False),
    "BYMINUTE": PartRule(0, 59, False),
    "BYSECOND": PartRule(0, 60, False),
    "BYSETPOS": PartRule(1, 366, True),
}
_KNOWN = ("FREQ", "INTERVAL", "COUNT", "UNTIL", *PARTS, "WKST")


class Until(NamedTuple):
    """The end of a rule. day: whole; else local or, with utc, in UTC."""

    time: datetime
    day: bool
    utc: bool


class Weekday(NamedTuple):
    """A value of BYDAY. nth: of its kind in the month or year, from the end if negative; 0: all.
    day: 0 is Monday."""

    nth: int
    day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrenceRule:
    """The parts of a rule; empty: not given. week_start: 0 is Monday."""

    freq: Frequency
    interval: int = 1
    count: int | None = None
    until: Until | None = None
    week_start: int = 0
    months: frozenset[int] = frozenset()
    week_numbers: frozenset[int] = frozenset()
    year_days: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    weekdays: frozenset[Weekday] = frozenset()
    hours: frozenset[int] = frozenset()
    minutes: frozenset[int] = frozenset()
    seconds: frozenset[int] = frozenset()
    positions: frozenset[int] = frozenset()

    def by(self, part: str) -> frozenset[int]:
        """The numbers of a BYxxx part; of BYDAY those before the weekdays."""
        return {
            "BYMONTH": self.months,
            "BYWEEKNO": self.week_numbers,
            "BYYEARDAY": self.year_days,
            "BYMONTHDAY": self.month_days,
            "BYDAY": frozenset(one.nth for one in self.weekdays),
            "BYHOUR": self.hours,
            "BYMINUTE": self.minutes,
            "BYSECOND": self.seconds,
            "BYSETPOS": self.positions,
        }[part]


def parse_rule(text: str) -> RecurrenceRule:
    """Of `FREQ=…;…`, parts in any order and letters of any case, with `RRULE:` before it or not.
    Raises InvalidInput where the text has no meaning; see check_rule for the rest."""
    if len(text) > MOST_TEXT:
        raise _refused(f"a rule has at most {MOST_TEXT:,} characters")
    parts: dict[str, str] = {}
    for part in text.upper().strip().removeprefix("RRULE:").rstrip(";").split(";"):
        name, equals, value = part.partition("=")
        if not equals or name not in _KNOWN or not value:
            raise _refused(f'"{part}" is not one of {", ".join(_KNOWN)}')
        if name in parts:
            raise _refused(f"{name} stands there twice; a rule has each part once ({SECTION})")
        parts[name] = value
    if parts.get("FREQ") not in _EVERY:
        raise _refused(
            f"needs FREQ, one of {', '.join(Frequency)}; for several times a day write FREQ=DAILY "
            f"with BYHOUR and BYMINUTE, up to {MOST_TIMES} times"
        )
    start = parts.get("WKST", "MO")
    if start not in WEEKDAYS:
        raise _refused(f'WKST is a weekday, one of {", ".join(WEEKDAYS)}, not "{start}"')
    lists = {name: _numbers(name, parts.get(name)) for name in PARTS if name != "BYDAY"}
    return RecurrenceRule(
        freq=Frequency(parts["FREQ"]),
        interval=_amount("INTERVAL", parts.get("INTERVAL", "1"), MOST_INTERVAL),
        count=_amount("COUNT", parts["COUNT"], MOST_COUNT) if "COUNT" in parts else None,
        until=_until(parts["UNTIL"]) if "UNTIL" in parts else None,
        week_start=WEEKDAYS.index(start),
        months=lists["BYMONTH"],
        week_numbers=lists["BYWEEKNO"],
        year_days=lists["BYYEARDAY"],
        month_days=lists["BYMONTHDAY"],
        weekdays=_weekdays(parts.get("BYDAY")),
        hours=lists["BYHOUR"],
        minutes=lists["BYMINUTE"],
        seconds=lists["BYSECOND"],
        positions=lists["BYSETPOS"],
    )


def check_rule(rule: RecurrenceRule, *, dated: bool, zone: tzinfo) -> None:
    """Raises InvalidInput for the first part that RFC 5545 does not allow where it stands. dated:
    the rule's start is a day without a time."""
    for name, allowed in PARTS.items():
        _check_part(rule, name, allowed, dated=dated)
    if rule.positions and not any(rule.by(name) for name in PARTS if name != "BYSETPOS"):
        raise _refused(f"BYSETPOS needs another BYxxx part to choose from ({SECTION})")
    times = max(1, len(rule.hours)) * max(1, len(rule.minutes)) * max(1, len(rule.seconds))
    if times > MOST_TIMES:
        raise _refused(
            f"BYHOUR, BYMINUTE and BYSECOND give {times:,} times a day; at most {MOST_TIMES}"
        )
    if rule.until is not None:
        if rule.count is not None:
            raise _refused(f"either COUNT or UNTIL, not both ({SECTION})")
        _check_until(rule.until, dated=dated, zone=zone)


def _check_part(rule: RecurrenceRule, name: str, allowed: PartRule, *, dated: bool) -> None:
    given = rule.by(name)
    if not given:
        return
    if rule.freq not in allowed.beside:
        beside = ", ".join(one for one in Frequency if one in allowed.beside)
        raise _refused(f"{name} may stand beside {beside} only, not {rule.freq} ({SECTION})")
    for number in sorted(given):
        if name == "BYDAY" and number == 0:
            continue  # every one
        inside = allowed.least <= number <= allowed.most
        from_end = allowed.signed and allowed.least <= -number <= allowed.most
        if not (inside or from_end):
            raise _refused(f"{name} takes {allowed.values}, not {number} ({SECTION})")
    if name == "BYDAY" and given != {0}:
        if rule.freq not in (Frequency.MONTHLY, Frequency.YEARLY):
            raise _refused(
                f"BYDAY takes a number before a weekday with MONTHLY and YEARLY only, not with "
                f"{rule.freq} ({SECTION})"
            )
        if rule.week_numbers:
            raise _refused(
                f"BYDAY takes no number before a weekday where BYWEEKNO stands ({SECTION})"
            )
    if dated and name in ("BYHOUR", "BYMINUTE", "BYSECOND"):
        raise _refused(
            f"{name} must not stand where `at` is a day without a time ({SECTION}); "
            "give `at` a time"
        )


def _check_until(until: Until, *, dated: bool, zone: tzinfo) -> None:
    """UNTIL has the form of the start: a day for a day, and UTC for a local time in a zone."""
    if dated:
        if not until.day:
            raise _refused(
                f"UNTIL is a day where `at` is one ({SECTION}); write {until.time:%Y%m%d}"
            )
        return
    if until.utc:
        return
    wrong = "a day" if until.day else "local time"
    advice = "UTC, as 20261231T090000Z"
    if until.time.year <= LAST_YEAR:
        end = until.time.replace(hour=23, minute=59, second=59) if until.day else until.time
        advice = f"{naive_utc(unix_ms(end, zone)):%Y%m%dT%H%M%SZ}"
    raise _refused(
        f"UNTIL is {wrong}; with `at` a time in a zone it is in UTC ({SECTION}): write {advice}"
    )


def _amount(name: str, text: str, most: int) -> int:
    if re.fullmatch(r"[0-9]{1,9}", text) is None or not 1 <= int(text) <= most:
        raise _refused(f"{name} is a number from 1 to {most:,}")
    return int(text)


def _numbers(name: str, text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset()
    found = text.split(",")
    for one in found:
        if _NUMBER.fullmatch(one) is None or (not PARTS[name].signed and one[0] in "+-"):
            raise _refused(f'{name} takes {PARTS[name].values}, not "{one}" ({SECTION})')
    return frozenset(map(int, found))


def _weekdays(text: str | None) -> frozenset[Weekday]:
    found = set()
    for one in [] if text is None else text.split(","):
        match = _WEEKDAY.fullmatch(one)
        if match is None or (match[1] and int(match[1]) == 0):
            raise _refused(
                f"BYDAY takes weekdays, {', '.join(WEEKDAYS)}, with a number of "
                f'{PARTS["BYDAY"].values} before it or none, not "{one}" ({SECTION})'
            )
        found.add(Weekday(int(match[1] or 0), WEEKDAYS.index(match[2])))
    return frozenset(found)


def _until(text: str) -> Until:
    match = _UNTIL.fullmatch(text)
    if match is not None:
        year, month, day, hour, minute, second, utc = match.groups()
        try:
            # Without leap seconds the second 60 is the 59th (RFC 5545, 3.3.12).
            seconds = 59 if second == "60" else int(second or 0)
            time = datetime(
                int(year), int(month), int(day), int(hour or 0), int(minute or 0), seconds
            )
            return Until(time, day=hour is None, utc=utc == "Z")
        except ValueError:
            pass
    raise _refused(f'UNTIL "{text}" is no time; write 20261231T090000Z ({SECTION})')


def _refused(complaint: str) -> InvalidInput:
    return InvalidInput(FIELD, f"{FIELD}: {complaint}")

"""DayPattern: on which days of a year a recurrence rule can happen, INTERVAL and BYSETPOS aside.

Whether a day matches is a matter of its year's shape alone: on which weekday it begins, and which
of it and its neighbours are leap years. There are 28 such shapes, so a rule is worked out at most
28 times, however far ahead it is asked for, and however seldom it happens.
"""

from __future__ import annotations

from calendar import isleap
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from functools import lru_cache
from itertools import accumulate, pairwise

from data_sharing.calendars.recurrence_rule import Frequency, RecurrenceRule, Weekday

_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPattern:
    """What a day has to match, each where it is given. nth_in_month: the numbers before weekdays
    count within the month, else within the year. week_start: 0 is Monday."""

    months: frozenset[int] = _NONE
    week_numbers: frozenset[int] = _NONE
    year_days: frozenset[int] = _NONE
    month_days: frozenset[int] = _NONE
    weekdays: frozenset[Weekday] = frozenset()
    nth_in_month: bool = True
    week_start: int = 0


# The fields of a pattern that can fail, and the parts of a rule that they come from.
FIELDS = {
    "months": "BYMONTH",
    "week_numbers": "BYWEEKNO",
    "year_days": "BYYEARDAY",
    "month_days": "BYMONTHDAY",
    "weekdays": "BYDAY",
}


@dataclass(frozen=True, slots=True)
class YearShape:
    """begins: the weekday of 1 January, 0 is Monday. leap, before, after: whether the year and its
    neighbours are leap years."""

    begins: int
    leap: bool
    before: bool
    after: bool


@dataclass(frozen=True, slots=True)
class DayOfYear:
    """index: from 0. month_length: days of its month."""

    index: int
    month: int
    day: int
    month_length: int


# Of a year without and with a leap day: where its months begin, and at last where it ends.
MONTH_BEGINS = tuple(
    (0, *accumulate((31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31))) for leap in (0, 1)
)
_DAYS = tuple(
    tuple(
        DayOfYear(index, month, index - begin + 1, end - begin)
        for month, (begin, end) in enumerate(pairwise(begins), start=1)
        for index in range(begin, end)
    )
    for begins in MONTH_BEGINS
)


def pattern_of(rule: RecurrenceRule, start: datetime) -> DayPattern:
    """A rule's days. What it leaves out is taken from its start, as RFC 5545, 3.3.10, demands and
    RFC 8984, 4.3.3.1, spells out."""
    months, month_days, weekdays = rule.months, rule.month_days, rule.weekdays
    of_start = frozenset((Weekday(0, start.weekday()),))
    if rule.freq is Frequency.WEEKLY and not weekdays:
        weekdays = of_start
    elif rule.freq is Frequency.MONTHLY and not (weekdays or month_days):
        month_days = frozenset((start.day,))
    elif rule.freq is Frequency.YEARLY and not rule.year_days:
        if not (months or rule.week_numbers) and (month_days or not weekdays):
            months = frozenset((start.month,))
        if not (month_days or rule.week_numbers or weekdays):
            month_days = frozenset((start.day,))
        if rule.week_numbers and not (month_days or weekdays):
            weekdays = of_start
    return DayPattern(
        months=months,
        week_numbers=rule.week_numbers,
        year_days=rule.year_days,
        month_days=month_days,
        weekdays=weekdays,
        nth_in_month=rule.freq is Frequency.MONTHLY or bool(rule.months),
        week_start=rule.week_start,
    )


def days_of(pattern: DayPattern, year: int) -> tuple[int, ...]:
    """The days of a year that match, from 0 for 1 January, ascending."""
    return _matching(
        pattern,
        YearShape(date(year, 1, 1).weekday(), isleap(year), isleap(year - 1), isleap(year + 1)),
    )


def failing_parts(pattern: DayPattern, day: date) -> list[str]:
    """The parts of the rule that a day does not match, each taken by itself."""
    index = day.timetuple().tm_yday - 1
    nothing = {field.name: _NONE for field in fields(pattern) if field.name in FIELDS}
    return [
        part
        for name, part in FIELDS.items()
        if index
        not in days_of(replace(pattern, **{**nothing, name: getattr(pattern, name)}), day.year)
    ]


def week_year(day: date, week_start: int) -> int:
    """The year whose week a day is in, which around New Year may be another one than its own: a
    week belongs to the year that has at least four of its days (ISO 8601, for any first day of
    the week)."""
    return date.fromordinal(_fourth_day(day.toordinal(), week_start)).year


def _fourth_day(ordinal: int, week_start: int) -> int:
    return ordinal - (ordinal - 1 - week_start) % 7 + 3


@lru_cache(maxsize=4_096)
def _matching(pattern: DayPattern, shape: YearShape) -> tuple[int, ...]:
    days = _DAYS[shape.leap]
    return tuple(one.index for one in days if _matches(pattern, shape, one, len(days)))


def _matches(pattern: DayPattern, shape: YearShape, one: DayOfYear, length: int) -> bool:
    if pattern.months and one.month not in pattern.months:
        return False
    if pattern.month_days and pattern.month_days.isdisjoint(
        (one.day, one.day - one.month_length - 1)
    ):
        return False
    if pattern.year_days and pattern.year_days.isdisjoint((one.index + 1, one.index - length)):
        return False
    weekday = (shape.begins + one.index) % 7
    if pattern.weekdays:
        place, of = (one.day - 1, one.month_length) if pattern.nth_in_month else (one.index, length)
        if pattern.weekdays.isdisjoint(
            (
                Weekday(0, weekday),
                Weekday(place // 7 + 1, weekday),
                Weekday(-((of - 1 - place) // 7 + 1), weekday),
            )
        ):
            return False
    if not pattern.week_numbers:
        return True
    return not pattern.week_numbers.isdisjoint(_week_numbers(shape, one.index, weekday, pattern))


def _week_numbers(
    shape: YearShape, index: int, weekday: int, pattern: DayPattern
) -> tuple[int, int]:
    """Of a day's week within its week-year: from its beginning and, negative, from its end."""
    lengths = (365 + shape.before, 365 + shape.leap, 365 + shape.after)
    fourth = index - (weekday - pattern.week_start) % 7 + 3
    begins = shape.begins
    length = lengths[1]
    if fourth < 0:
        length = lengths[0]
        fourth, begins = fourth + length, (begins - length) % 7
    elif fourth >= length:
        fourth, begins = fourth - length, (begins + length) % 7
        length = lengths[2]
    first = (pattern.week_start + 3 - begins) % 7  # the fourth day of week 1
    weeks = (length - 1 - first) // 7 + 1
    number = fourth // 7 + 1
    return number, number - weeks - 1

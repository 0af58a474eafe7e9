"""Recurrence: the local times of a recurrence rule, from any time on, in order.

RFC 5545, 3.3.10, for frequencies of a day and more, where every BYxxx part but BYSETPOS asks
something of a day or of a time of day: a rule's occurrences are the days that match, in every
INTERVAL-th period since the start's, at each of its times of day; BYSETPOS chooses among those of
a whole period, also of the one that the start lies within. So whether a time is an occurrence
follows from the rule and its start alone, never from where one begins to look. Zones, COUNT, UNTIL
and exceptions are the matter of `timing`.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import isleap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby, pairwise

from data_sharing.calendars.day_pattern import (
    MONTH_BEGINS,
    DayPattern,
    days_of,
    failing_parts,
    pattern_of,
    week_year,
)
from data_sharing.calendars.recurrence_rule import Frequency, RecurrenceRule
from data_sharing.calendars.zoned_time import LAST_YEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """A rule with its start, worked out. start: local, naive. times: of day, ascending."""

    rule: RecurrenceRule
    start: datetime
    pattern: DayPattern
    times: tuple[time, ...]

    def since(self, local: datetime) -> Iterator[datetime]:
        """Every occurrence from a local time on, but none before the start or after the year
        LAST_YEAR. The work between two of them is bounded by that year."""
        earliest = max(local, self.start)
        for found in self._all_since(earliest.date()):
            if found.year > LAST_YEAR:
                return
            if found >= earliest:
                yield found

    def _all_since(self, day: date) -> Iterator[datetime]:
        if not self.rule.positions:
            for ordinal in self._days(day.toordinal()):
                found = date.fromordinal(ordinal)
                for at in self.times:
                    yield datetime.combine(found, at)
        elif min(map(abs, self.rule.positions)) <= self._most_in_period * len(self.times):
            for days in self._periods(self._period_start(day)):
                yield from self._positioned(days)

    def _positioned(self, days: Sequence[int]) -> list[datetime]:
        """Those at the positions of BYSETPOS within one period."""
        of = len(days) * len(self.times)
        wanted = {place - 1 if place > 0 else of + place for place in self.rule.positions}
        found = []
        for place in sorted(wanted):
            if 0 <= place < of:
                day, at = divmod(place, len(self.times))
                found.append(datetime.combine(date.fromordinal(days[day]), self.times[at]))
        return found

    @property
    def _most_in_period(self) -> int:
        """No period has more days; a position beyond is never reached, and not looked for."""
        match self.rule.freq:
            case Frequency.DAILY:
                return 1
            case Frequency.WEEKLY:
                return len({weekday.day for weekday in self.pattern.weekdays})
            case Frequency.MONTHLY:
                return 31
            case Frequency.YEARLY:
                return 7 * len(self.pattern.week_numbers) or 366

    def _periods(self, from_ordinal: int) -> Iterator[Sequence[int]]:
        """The days of each period that counts, by period."""
        if not self._in_calendar_years:
            for _, group in groupby(self._days(from_ordinal), key=self._period):
                yield list(group)
            return
        first = self._period(self.start.toordinal())
        for year in range(date.fromordinal(from_ordinal).year, LAST_YEAR + 1):
            yearly = self.rule.freq is Frequency.YEARLY
            if yearly and (year - first) % self.rule.interval:
                continue
            begin = date(year, 1, 1).toordinal()
            days = days_of(self.pattern, year)
            if yearly:
                yield [begin + index for index in days]
                continue
            for month, (start, end) in enumerate(pairwise(MONTH_BEGINS[isleap(year)]), start=1):
                if (year * 12 + month - first) % self.rule.interval == 0:
                    of_month = days[bisect_left(days, start) : bisect_left(days, end)]
                    yield [begin + index for index in of_month]

    def _days(self, from_ordinal: int) -> Iterator[int]:
        """Days that match, in the periods that count."""
        if self._in_calendar_years:
            for days in self._periods(from_ordinal):
                yield from days[bisect_left(days, from_ordinal) :]
            return
        first = self._period(self.start.toordinal())
        interval = self.rule.interval
        # One year more, so that a week which ends in it is whole.
        for year in range(date.fromordinal(from_ordinal).year, LAST_YEAR + 2):
            begin = date(year, 1, 1).toordinal()
            days = days_of(self.pattern, year)
            for index in days[bisect_left(days, from_ordinal - begin) :]:
                if interval == 1 or (self._period(begin + index) - first) % interval == 0:
                    yield begin + index

    @property
    def _in_calendar_years(self) -> bool:
        """Whether periods are months, or years from January to December."""
        match self.rule.freq:
            case Frequency.MONTHLY:
                return True
            case Frequency.YEARLY:
                return not self.pattern.week_numbers
            case _:
                return False

    def _period(self, ordinal: int) -> int:
        """The number of the period that a day is in: of its day, week, month or year. Where weeks
        are numbered the year is the one that has the week."""
        match self.rule.freq:
            case Frequency.DAILY:
                return ordinal
            case Frequency.WEEKLY:
                return (ordinal - 1 - self.rule.week_start) // 7
            case Frequency.MONTHLY:
                day = date.fromordinal(ordinal)
                return day.year * 12 + day.month
            case Frequency.YEARLY:
                day = date.fromordinal(ordinal)
                if self.pattern.week_numbers:
                    return week_year(day, self.rule.week_start)
                return day.year

    def _period_start(self, day: date) -> int:
        """The first day of the period that a day is in, as an ordinal."""
        match self.rule.freq:
            case Frequency.DAILY:
                return day.toordinal()
            case Frequency.WEEKLY:
                return day.toordinal() - (day.weekday() - self.rule.week_start) % 7
            case Frequency.MONTHLY:
                return day.replace(day=1).toordinal()
            case Frequency.YEARLY:
                if self.pattern.week_numbers:  # its first week begins in the last days of December
                    year = week_year(day, self.rule.week_start)
                    return (date(year, 1, 1) - timedelta(days=3)).toordinal()
                return date(day.year, 1, 1).toordinal()


def recurrence_of(rule: RecurrenceRule, start: datetime) -> Recurrence:
    """start: local, naive. Parts of the day that the rule leaves out are those of the start."""
    seconds = {min(one, 59) for one in rule.seconds}  # no leap seconds: RFC 5545, 3.3.12
    times = sorted(
        time(hour, minute, second, start.microsecond)
        for hour in rule.hours or {start.hour}
        for minute in rule.minutes or {start.minute}
        for second in seconds or {start.second}
    )
    return Recurrence(rule=rule, start=start, pattern=pattern_of(rule, start), times=tuple(times))


def parts_against(recurrence: Recurrence) -> list[str]:
    """The parts by which the start is no occurrence of its own rule; empty: it is one."""
    if next(recurrence.since(recurrence.start), None) == recurrence.start:
        return []
    start, rule = recurrence.start, recurrence.rule
    against = failing_parts(recurrence.pattern, start.date())
    of_day = (
        ("BYHOUR", rule.hours, start.hour),
        ("BYMINUTE", rule.minutes, start.minute),
        ("BYSECOND", rule.seconds, start.second),
    )
    against += [part for part, allowed, given in of_day if allowed and given not in allowed]
    return against or ["BYSETPOS"]

"""Active hours: when somebody wants to hear of something, and when the next such time begins.

Hours are open by weekday from one local time to another, or for a while from each occurrence of a
recurrence (RFC 5545). Dates that are given one by one are closed or open as a whole, whatever the
hours say. Local times are placed in the zone as those of plans are: one that a clock change leaves
out is read with the offset before the gap, and of one that comes twice the first is meant. So an
interval that a clock change swallows is not open, and one around it is an hour shorter or longer.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import takewhile

from data_sharing.calendars.timing import Timing
from data_sharing.calendars.zoned_time import DAY_MS, local_time, unix_ms

FARTHEST_DAYS = 400  # how far an opening is looked for
_MIDNIGHT = time(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeeklyHours:
    """days: 0 is Monday. An end that is not after the begin is of the next day; where both are the
    same, it is a whole day later."""

    days: frozenset[int]
    begin: time
    end: time

    def of(self, day: date, zone: tzinfo) -> tuple[int, int] | None:
        """From when until when it is open that begins on this day, Unix ms; None: it does not."""
        if day.weekday() not in self.days:
            return None
        last = day if self.end > self.begin else day + timedelta(days=1)
        begin = unix_ms(datetime.combine(day, self.begin), zone)
        return begin, unix_ms(datetime.combine(last, self.end), zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurringHours:
    """From each occurrence on for so long, by the clock that no zone changes."""

    timing: Timing
    lasts_ms: int


class ActiveHours:
    """Of one zone. closed_on, open_on: local dates. Remembers the last closed time that it looked
    at, and is otherwise immutable."""

    __slots__ = ("_closed", "_closed_on", "_open_on", "_recurring", "_weekly", "zone")

    def __init__(
        self,
        zone: tzinfo,
        weekly: Sequence[WeeklyHours] = (),
        recurring: Sequence[RecurringHours] = (),
        closed_on: frozenset[date] = frozenset(),
        open_on: frozenset[date] = frozenset(),
    ) -> None:
        self.zone = zone
        self._weekly, self._recurring = tuple(weekly), tuple(recurring)
        self._closed_on, self._open_on = closed_on, open_on
        # From when on it is closed, and until when: the next opening; None: none is near.
        self._closed: tuple[int, int | None] | None = None

    def is_open(self, at_ms: int) -> bool:
        """At an instant, Unix ms."""
        day = local_time(at_ms, self.zone).date()
        if day in self._open_on:
            return True
        if day in self._closed_on:
            return False
        for hours in self._weekly:
            for back in (0, 1, 2):  # it may have begun the day before, and clocks may go back
                found = hours.of(day - timedelta(days=back), self.zone)
                if found is not None and found[0] <= at_ms < found[1]:
                    return True
        return any(
            next(one.timing.between(at_ms - one.lasts_ms + 1, at_ms), None) is not None
            for one in self._recurring
        )

    def next_opening(self, at_ms: int) -> int | None:
        """The first instant from this one on at which it is open, Unix ms; None: there is none
        within FARTHEST_DAYS."""
        known = self._closed
        if known is not None and known[0] <= at_ms and known[1] is not None and at_ms < known[1]:
            return known[1]
        if self.is_open(at_ms):
            return at_ms
        until_ms = at_ms + FARTHEST_DAYS * DAY_MS
        begins = [one.timing.since(at_ms) for one in self._recurring]
        begins.append(self._day_begins(at_ms))
        for begin in takewhile(lambda one: one <= until_ms, heapq.merge(*begins)):
            if begin > at_ms and self.is_open(begin):
                self._closed = (at_ms, begin)
                return begin
        return None

    def _day_begins(self, at_ms: int) -> Iterator[int]:
        """Midnights, and the begins of weekly hours: from the day before on, ascending."""
        first = local_time(at_ms, self.zone).date() - timedelta(days=1)
        for number in range(FARTHEST_DAYS + 2):
            day = first + timedelta(days=number)
            found = [hours.of(day, self.zone) for hours in self._weekly]
            begins = [one[0] for one in found if one is not None]
            yield from sorted({unix_ms(datetime.combine(day, _MIDNIGHT), self.zone), *begins})

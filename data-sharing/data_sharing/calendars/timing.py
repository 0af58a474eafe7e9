"""Timing: when a plan's event happens, once or recurring, in a time zone.

A recurrence goes by local time and is placed in the zone afterwards, so nine stays nine. An
occurrence is named by when it was planned to be, its instant. COUNT and UNTIL end a recurrence at
an instant too, before exceptions are taken out of it (RFC 5545, 3.3.10 and 3.8.5.1).
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import islice, takewhile

from control_plane.errors import InvalidInput
from data_sharing.calendars.recurrence import Recurrence, parts_against, recurrence_of
from data_sharing.calendars.recurrence_rule import RecurrenceRule, check_rule, parse_rule
from data_sharing.calendars.zoned_time import (
    DAY_MS,
    LAST_YEAR,
    GivenTime,
    local_time,
    naive_utc,
    read_time,
    shown,
    time_as_stored,
    unix_ms,
)

__all__ = [
    "MOST_EXCEPTIONS",
    "Timing",
    "nearest_occurrence",
    "shown",
    "timing_as_stored",
    "timing_of",
    "unix_ms",
]

MOST_EXCEPTIONS = 366
_FARTHEST_MS = unix_ms(datetime(LAST_YEAR + 2, 1, 1), UTC)  # past LAST_YEAR in every zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """start: its local time and its instant. recurrence None: once. last_ms: no occurrence is
    later. left_out: by instant, Unix ms; days_left_out: by local date."""

    start: GivenTime
    zone: tzinfo
    recurrence: Recurrence | None = None
    last_ms: int = _FARTHEST_MS
    left_out: frozenset[int] = frozenset()
    days_left_out: frozenset[date] = frozenset()

    @property
    def repeats(self) -> bool:
        return self.recurrence is not None

    def between(self, from_ms: int, to_ms: int) -> Iterator[int]:
        """Planned times of occurrences, Unix ms, ascending; both ends included."""
        yield from takewhile(lambda at: at <= to_ms, self.since(from_ms))

    def since(self, from_ms: int) -> Iterator[int]:
        """All from then on."""
        for at in self._with_exceptions(from_ms):
            if not self._is_left_out(at):
                yield at

    def _with_exceptions(self, from_ms: int) -> Iterator[int]:
        earliest = max(from_ms, self.start.at_ms)
        if earliest > self.last_ms:
            return
        for at in self._placed(earliest):
            if at > self.last_ms:
                return
            if at >= earliest:
                yield at

    def _placed(self, from_ms: int) -> Iterator[int]:
        """Instants of local times, each once and ascending, from a little before a time on. Only
        local times that a clock change leaves out can come out of order or together with another:
        they wait for the local times behind the gap."""
        if self.recurrence is None:
            yield self.start.at_ms
            return
        # No zone is farther than a day from UTC, no gap longer than that.
        about = naive_utc(from_ms) - timedelta(days=2)
        waiting: list[int] = []
        last: int | None = None
        for local in self.recurrence.since(about):
            at, second = unix_ms(local, self.zone), unix_ms(local, self.zone, fold=1)
            if second < at:  # a gap: see PEP 495
                insort(waiting, at)
                continue
            if at < self.start.at_ms:  # the start is the second of two, and so are those after it
                at = second
            while waiting and waiting[0] <= at:
                last = waiting.pop(0)
                yield last
            if at != last:
                yield at
                last = at
        yield from waiting

    def _is_left_out(self, at_ms: int) -> bool:
        if at_ms in self.left_out:
            return True
        return bool(self.days_left_out) and local_date(at_ms, self.zone) in self.days_left_out


def local_date(at_ms: int, zone: tzinfo) -> date:
    return local_time(at_ms, zone).date()


def timing_of(
    at: str, zone: tzinfo, repeats: str | None = None, except_at: Sequence[str] = ()
) -> Timing:
    """Of what somebody plans, checked. Raises InvalidInput naming the field."""
    if len(except_at) > MOST_EXCEPTIONS:
        raise InvalidInput(
            "except_at", f"except_at: {len(except_at):,} times; at most {MOST_EXCEPTIONS}"
        )
    start = read_time(at, zone, "at")
    recurrence = None
    if repeats is not None:
        rule = parse_rule(repeats)
        check_rule(rule, dated=start.dated, zone=zone)
        recurrence = recurrence_of(rule, start.local)
        _check_start(recurrence, start, zone)
    whole = _ended(Timing(start=start, zone=zone, recurrence=recurrence))
    exceptions = [(text, read_time(text, zone, "except_at")) for text in except_at]
    for text, one in exceptions:
        _check_exception(whole, text, one)
    made = _without(whole, [one for _, one in exceptions])
    if exceptions and next(made.since(start.at_ms), None) is None:
        raise InvalidInput("except_at", "except_at: leaves no occurrence; make no such plan")
    return made


def timing_as_stored(
    at: str,
    zone: tzinfo,
    repeats: str | None = None,
    except_at: Sequence[str] = (),
    last_ms: int | None = None,
) -> Timing:
    """Of a plan that was checked when it was made: what is refused by now still has the meaning
    that it had. last_ms: as it came out then. Raises InvalidInput where there is none."""
    start = time_as_stored(at, zone, "at")
    recurrence = None if repeats is None else recurrence_of(parse_rule(repeats), start.local)
    whole = Timing(start=start, zone=zone, recurrence=recurrence)
    whole = _ended(whole) if last_ms is None else replace(whole, last_ms=last_ms)
    return _without(whole, [time_as_stored(text, zone, "except_at") for text in except_at])


def _ended(timing: Timing) -> Timing:
    """With COUNT and UNTIL as the instant of the last occurrence that there can be."""
    if timing.recurrence is None:
        return timing
    rule = timing.recurrence.rule
    last_ms = timing.last_ms
    if rule.until is not None:
        last_ms = min(last_ms, _until_ms(rule, timing.zone))
    if rule.count is not None:
        counted = _last(islice(timing.since(timing.start.at_ms), rule.count))
        last_ms = min(last_ms, timing.start.at_ms if counted is None else counted)
    return replace(timing, last_ms=last_ms)


def _until_ms(rule: RecurrenceRule, zone: tzinfo) -> int:
    """Of a day: its last millisecond, by the zone's clocks."""
    assert rule.until is not None
    time, day, utc = rule.until
    if time.year > LAST_YEAR:
        return _FARTHEST_MS
    if day:
        return unix_ms(time + timedelta(days=1), zone) - 1
    return (unix_ms(time, UTC) if utc else unix_ms(time, zone)) + 999


def _check_start(recurrence: Recurrence, start: GivenTime, zone: tzinfo) -> None:
    """RFC 5545 leaves undefined what a rule means whose start is not part of it."""
    rule = recurrence.rule
    if rule.until is not None and _until_ms(rule, zone) < start.at_ms:
        raise InvalidInput("repeats", "repeats: UNTIL lies before `at`, so nothing is part of it")
    against = parts_against(recurrence)
    if not against:
        return
    first = next(recurrence.since(start.local), None)
    advice = (
        f"no time is, up to the year {LAST_YEAR}"
        if first is None
        else f"give the first occurrence as `at`; the next is {first.isoformat()}"
    )
    raise InvalidInput(
        "repeats", f"repeats: `at` is not part of it, by {' and '.join(against)}; {advice}"
    )


def _without(timing: Timing, exceptions: Sequence[GivenTime]) -> Timing:
    return replace(
        timing,
        left_out=frozenset(one.at_ms for one in exceptions if not one.dated),
        days_left_out=frozenset(one.local.date() for one in exceptions if one.dated),
    )


def _check_exception(timing: Timing, text: str, one: GivenTime) -> None:
    """An exception that excludes nothing is a slip of whoever wrote it."""
    # The next midnight may be at the end of a gap, or come twice.
    to_ms = one.at_ms + 2 * DAY_MS if one.dated else one.at_ms
    for at in timing.between(one.at_ms, to_ms):
        if not one.dated or local_date(at, timing.zone) == one.local.date():
            return
    nearest = nearest_occurrence(timing, one.at_ms)
    assert nearest is not None  # the start, if nothing else
    raise InvalidInput(
        "except_at",
        f'except_at: "{text}" excludes nothing; the nearest occurrence is at '
        f"{shown(nearest, timing.zone)}",
    )


def nearest_occurrence(timing: Timing, at_ms: int) -> int | None:
    """The occurrence that is nearest to a time, Unix ms, the earlier of two; None: there is none.
    Going back, it looks through twice as many days each time."""
    after = next(timing.since(at_ms), None)
    to_ms = min(at_ms - 1, timing.last_ms)
    from_ms, before = to_ms + 1, None
    while before is None and from_ms > timing.start.at_ms:
        from_ms = max(timing.start.at_ms, 2 * from_ms - to_ms - DAY_MS)
        before = _last(timing.between(from_ms, to_ms))
    found = [one for one in (before, after) if one is not None]
    return min(found, key=lambda one: abs(one - at_ms), default=None)


def _last(found: Iterator[int]) -> int | None:
    return next(iter(deque(found, maxlen=1)), None)

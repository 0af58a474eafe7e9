"""Active hours agree with looking at a clock minute by minute, also where it is changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.calendars.active_hours import ActiveHours, RecurringHours, WeeklyHours
from data_sharing.calendars.timing import timing_of
from data_sharing.calendars.zoned_time import unix_ms

MINUTE_MS = 60_000
EVERY_DAY = frozenset(range(7))


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


def hours(
    begin: str, end: str, days: frozenset[int] = EVERY_DAY, **more: frozenset[date]
) -> ActiveHours:
    weekly = WeeklyHours(days=days, begin=time.fromisoformat(begin), end=time.fromisoformat(end))
    return ActiveHours(ZoneInfo("Europe/Berlin"), [weekly], **more)


def test_by_day_they_open_and_close_on_the_minute() -> None:
    work = hours("08:00", "20:00", frozenset(range(5)))
    assert not work.is_open(ms("2026-03-02T07:59:59.999+01:00"))
    assert work.is_open(ms("2026-03-02T08:00+01:00"))
    assert not work.is_open(ms("2026-03-02T20:00+01:00"))
    friday_evening = ms("2026-03-06T20:00+01:00")
    assert work.next_opening(friday_evening) == ms("2026-03-09T08:00+01:00")


def test_hours_past_midnight_are_of_the_day_on_which_they_begin() -> None:
    night = hours("22:00", "06:00", frozenset((4,)))
    assert night.is_open(ms("2026-03-07T05:59+01:00"))
    assert not night.is_open(ms("2026-03-08T05:59+01:00"))


def test_a_date_that_is_closed_or_open_is_so_as_a_whole() -> None:
    work = hours(
        "08:00", "20:00", frozenset(range(5)),
        closed_on=frozenset((date(2026, 12, 25),)), open_on=frozenset((date(2026, 12, 27),)),
    )  # fmt: skip
    assert not work.is_open(ms("2026-12-25T12:00+01:00"))
    assert work.next_opening(ms("2026-12-24T20:00+01:00")) == ms("2026-12-27T00:00+01:00")


def test_where_nothing_opens_within_400_days_there_is_no_opening() -> None:
    once = timing_of("2026-03-02T09:00", ZoneInfo("Europe/Berlin"))
    found = ActiveHours(UTC, recurring=[RecurringHours(timing=once, lasts_ms=MINUTE_MS)])
    assert found.next_opening(ms("2026-03-01T09:00+01:00")) == ms("2026-03-02T09:00+01:00")
    assert found.next_opening(ms("2026-03-03T09:00+01:00")) is None
    assert found.next_opening(ms("2024-03-03T09:00+01:00")) is None


ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "UTC")
CHANGES = ("2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04")
CLOCK = st.times(min_value=time(0), max_value=time(23, 59)).map(
    lambda one: time(one.hour, one.minute // 15 * 15)
)


@given(
    st.sampled_from(ZONES), st.sampled_from(CHANGES), CLOCK, CLOCK,
    st.frozensets(st.integers(0, 6), min_size=1), st.booleans(), st.booleans(),
    st.sampled_from(("", "FREQ=DAILY;INTERVAL=2", "FREQ=WEEKLY;BYDAY=SU")),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_they_agree_with_a_scan_of_every_quarter_of_an_hour_around_a_clock_change(
    zone_name: str, change: str, begin: time, end: time, days: frozenset[int], closed: bool,
    opened: bool, repeats: str,
) -> None:  # fmt: skip
    """The scan knows of each interval by its own two ends alone."""
    zone, changed = ZoneInfo(zone_name), date.fromisoformat(change)
    lasts_ms = 7 * 15 * MINUTE_MS
    recurring, starts = [], list[int]()
    if repeats:
        first = changed - timedelta(days=(changed.weekday() - 6) % 7 + 14)
        timing = timing_of(f"{first}T02:30", zone, repeats)
        recurring = [RecurringHours(timing=timing, lasts_ms=lasts_ms)]
        starts = list(timing.between(timing.start.at_ms, timing.start.at_ms + 60 * 86_400_000))
    closed_on = frozenset((changed,)) if closed else frozenset[date]()
    open_on = frozenset((changed + timedelta(days=2),)) if opened else frozenset[date]()
    weekly = WeeklyHours(days=days, begin=begin, end=end)
    found = ActiveHours(zone, [weekly], recurring, closed_on, open_on)

    intervals = [(one, one + lasts_ms) for one in starts]
    for number in range(-10, 12):
        day = changed + timedelta(days=number)
        if day.weekday() in days:
            until = datetime.combine(day + timedelta(days=end <= begin), end)
            intervals.append((unix_ms(datetime.combine(day, begin), zone), unix_ms(until, zone)))

    def scanned(at_ms: int) -> bool:
        day = datetime.fromtimestamp(at_ms / 1_000, zone).date()
        if day in open_on or day in closed_on:
            return day in open_on
        return any(one <= at_ms < other for one, other in intervals)

    start = unix_ms(datetime.combine(changed - timedelta(days=2), time(0)), zone)
    every = range(start, start + 6 * 86_400_000, 15 * MINUTE_MS)
    said = [scanned(at_ms) for at_ms in every]
    assert [found.is_open(at_ms) for at_ms in every] == said
    following: int | None = None
    for at_ms, is_open in reversed(list(zip(every, said, strict=True))):
        following = at_ms if is_open else following
        if following is not None:
            assert found.next_opening(at_ms) == following


@pytest.mark.parametrize(
    ("begin", "end", "minutes"),
    [("02:15", "02:45", 30), ("01:30", "03:30", 60), ("02:30", "04:30", 60)],
    ids=["within-the-gap", "around-the-gap", "from-within-the-gap"],
)
def test_hours_around_a_clock_that_is_put_forward(begin: str, end: str, minutes: int) -> None:
    """As plans have it: 02:30, which is left out, is 03:30; so both ends of the first are moved."""
    found = hours(begin, end)
    day = range(ms("2026-03-29T00:00+01:00"), ms("2026-03-30T00:00+02:00"), MINUTE_MS)
    assert sum(found.is_open(at_ms) for at_ms in day) == minutes

"""The occurrences of recurrence rules: the RFC's own examples, and a second implementation for
every part beside every other."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_sharing.calendars import day_pattern
from data_sharing.calendars.recurrence import recurrence_of
from data_sharing.calendars.recurrence_rule import check_rule, parse_rule
from data_sharing.calendars.timing import timing_as_stored, timing_of
from data_sharing.calendars.zoned_time import LAST_YEAR, unix_ms
from tests.support.recurrence_oracle import DAYS, occurrences

NEW_YORK = ZoneInfo("America/New_York")
MONDAYS_OF_WEEK_1 = ["2024-12-30", "2025-12-29", "2027-01-04", "2028-01-03"]


@pytest.mark.parametrize(
    ("at", "rule", "days"),
    [
        # RFC 5545, 3.8.5.3
        ("1997-09-02", "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
         "1997-09-02 09-04 09-16 09-18 09-30 10-02 10-14 10-16"),
        ("1997-09-05", "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
         "1997-09-05 10-03 11-07 12-05 1998-01-02 02-06 03-06 04-03 05-01 06-05"),
        ("1997-09-22", "FREQ=MONTHLY;COUNT=6;BYDAY=-2MO",
         "1997-09-22 10-20 11-17 12-22 1998-01-19 02-16"),
        ("1997-09-28", "FREQ=MONTHLY;BYMONTHDAY=-3",
         "1997-09-28 10-29 11-28 12-29 1998-01-29 02-26"),
        ("1997-01-01", "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
         "1997-01-01 04-10 07-19 2000-01-01 04-09 07-18 2003-01-01 04-10 07-19 2006-01-01"),
        ("1987-04-05", "FREQ=YEARLY;BYMONTH=4;BYDAY=1SU", "1987-04-05 1988-04-03 1989-04-02"),
        ("1997-10-26", "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU", "1997-10-26 1998-10-25"),
        ("1997-05-19", "FREQ=YEARLY;BYDAY=20MO", "1997-05-19 1998-05-18 1999-05-17"),
        ("1997-05-12", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997-05-12 1998-05-11 1999-05-17"),
        ("1998-02-13", "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
         "1998-02-13 03-13 11-13 1999-08-13 2000-10-13"),
        ("1996-11-05", "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
         "1996-11-05 2000-11-07 2004-11-02"),
        ("1997-09-04", "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",
         "1997-09-04 10-07 11-06"),
        ("1997-09-29", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
         "1997-09-29 10-30 11-27 12-30 1998-01-29 02-26 03-30"),
        ("1997-08-05", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
         "1997-08-05 08-10 08-19 08-24"),
        ("1997-08-05", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
         "1997-08-05 08-17 08-19 08-31"),
        ("2007-01-15", "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",
         "2007-01-15 01-30 02-15 03-15 03-30"),
        # BYSETPOS chooses from the whole week, month or year that the start lies within
        ("2026-12-02", "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=2", "2026-12-02 12-09 12-16"),
        ("2026-12-04", "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=-1,2", "2026-12-04 12-09 12-11"),
        ("2024-11-12", "FREQ=WEEKLY;WKST=WE;BYSETPOS=-1;BYDAY=MO,TU,WE",
         "2024-11-12 11-19 11-26"),
        ("2026-12-31", "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1",
         "2026-12-31 2027-01-01 12-31 2028-01-03 12-29"),
        # weeks at New Year
        ("2024-12-30", "FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO", " ".join(MONDAYS_OF_WEEK_1)),
        ("2024-12-30", "FREQ=YEARLY;BYWEEKNO=1", " ".join(MONDAYS_OF_WEEK_1)),
        ("2024-12-30", "FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO,TU,WE;BYSETPOS=1",
         " ".join(MONDAYS_OF_WEEK_1)),
        ("2024-12-30", "FREQ=YEARLY;INTERVAL=2;BYWEEKNO=1;BYDAY=MO",
         "2024-12-30 2027-01-04 2029-01-01"),
        ("2027-01-01", "FREQ=YEARLY;BYWEEKNO=53;BYDAY=FR", "2027-01-01 2032-12-31 2038-01-01"),
        ("2027-01-01", "FREQ=YEARLY;BYWEEKNO=-1;BYDAY=FR", "2027-01-01 12-31 2028-12-29"),
        ("2011-01-01", "FREQ=YEARLY;BYWEEKNO=52;BYDAY=SA,SU", "2011-01-01 01-02 12-31 2012-01-01"),
        # days that are not there are left out
        ("2024-02-29", "FREQ=YEARLY", "2024-02-29 2028-02-29 2032-02-29"),
        ("2096-02-29", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2096-02-29 2104-02-29"),
        ("2026-01-31", "FREQ=MONTHLY", "2026-01-31 03-31 05-31"),
        ("2024-12-31", "FREQ=YEARLY;BYYEARDAY=366", "2024-12-31 2028-12-31"),
        # what the rule leaves out comes from the start
        ("2026-03-15", "FREQ=YEARLY;BYMONTHDAY=15", "2026-03-15 2027-03-15"),
        ("2026-03-15", "FREQ=YEARLY;BYMONTH=3,9", "2026-03-15 09-15 2027-03-15"),
        # numbered weekdays beside plain ones
        ("2026-03-02", "FREQ=MONTHLY;BYDAY=1MO,-1FR,SU;BYMONTHDAY=1,2,8,27",
         "2026-03-02 03-08 03-27 06-01"),
    ],
)  # fmt: skip
def test_examples(at: str, rule: str, days: str) -> None:
    expected: list[str] = []
    for one in days.split():
        expected.append(one if len(one) == 10 else expected[-1][:5] + one)
    timing = timing_of(f"{at}T09:00", NEW_YORK, rule)
    found = list(islice(timing.since(0), len(expected)))
    shown = [f"{datetime.fromtimestamp(one / 1_000, NEW_YORK):%Y-%m-%dT%H:%M}" for one in found]
    assert shown == [f"{day}T09:00" for day in expected]
    if "COUNT" in rule:
        assert len(list(timing.since(0))) == len(expected)


def test_every_20_minutes_from_9_to_16_40_as_in_the_rfc() -> None:
    rule = "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40"
    found = islice(timing_of("1997-09-02T09:00", UTC, rule).since(0), 25)
    start = datetime(1997, 9, 2, 9, tzinfo=UTC)
    expected = [start + n * timedelta(minutes=20) for n in range(24)] + [start + timedelta(days=1)]
    assert [datetime.fromtimestamp(one / 1_000, UTC) for one in found] == expected


def numbers(*values: int, most: int = 4) -> st.SearchStrategy[str]:
    several = st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)
    return several.map(lambda found: ",".join(map(str, found)))


PLAIN_WEEKDAYS = st.lists(st.sampled_from(DAYS), min_size=1, max_size=5, unique=True)
NUMBERED_WEEKDAYS = st.lists(
    st.tuples(st.sampled_from(["", "1", "+2", "4", "5", "-1", "-2", "-5", "53", "-53", "10"]),
              st.sampled_from(DAYS)).map("".join),
    min_size=1, max_size=5, unique=True,
)  # fmt: skip


@st.composite
def rules(draw: st.DrawFn) -> dict[str, str]:
    """Any that the RFC allows, of the frequencies that plans take."""
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY", "YEARLY"]))
    parts: dict[str, st.SearchStrategy[str]] = {
        "INTERVAL": st.integers(1, 5).map(str),
        "WKST": st.sampled_from(DAYS),
        "BYMONTH": numbers(*range(1, 13)),
        "BYHOUR": numbers(0, 1, 2, 3, 12, 23, most=3),
        "BYMINUTE": numbers(0, 15, 30, 59, most=2),
        "BYSECOND": numbers(0, 30, 59, 60, most=2),
    }
    if freq != "WEEKLY":
        parts["BYMONTHDAY"] = numbers(1, 2, 13, 28, 29, 30, 31, -1, -2, -29, -30, -31)
    if freq == "YEARLY":
        parts["BYWEEKNO"] = numbers(1, 2, 20, 51, 52, 53, -1, -2, -52, -53)
        parts["BYYEARDAY"] = numbers(1, 2, 59, 60, 61, 100, 365, 366, -1, -2, -306, -307, -366)
    chosen = draw(st.sets(st.sampled_from(sorted(parts)), max_size=4))
    rule = {"FREQ": freq} | {name: draw(parts[name]) for name in sorted(chosen)}
    if draw(st.booleans()):
        numbered = freq in ("MONTHLY", "YEARLY") and "BYWEEKNO" not in rule
        rule["BYDAY"] = ",".join(draw(NUMBERED_WEEKDAYS if numbered else PLAIN_WEEKDAYS))
    if any(name.startswith("BY") for name in rule) and draw(st.booleans()):
        rule["BYSETPOS"] = draw(numbers(1, 2, 3, 5, 12, 40, -1, -2, -3, -12, most=3))
    return rule


# New Year, leap days, clock changes and the day that Samoa skipped, or any day.
STARTS = st.builds(
    lambda day, hour, minute: datetime(day.year, day.month, day.day, hour, minute),
    st.one_of(
        st.sampled_from([date(2008, 12, 29), date(2011, 1, 1), date(2011, 12, 28),
                         date(2015, 12, 31), date(2020, 2, 29), date(2024, 12, 30),
                         date(2026, 3, 27), date(2026, 10, 24), date(2027, 1, 3)]),
        st.dates(date(1990, 1, 1), date(2040, 12, 31)),
    ),
    st.sampled_from([0, 1, 2, 9, 23]),
    st.sampled_from([0, 30]),
)  # fmt: skip
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe"]
).map(ZoneInfo)


def text_of(rule: dict[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in rule.items())


@settings(max_examples=160, deadline=None)
@given(rules(), STARTS, ZONES, st.integers(0, 2))
def test_every_rule_has_the_occurrences_of_a_second_implementation(
    rule: dict[str, str], start: datetime, zone: ZoneInfo, years: int
) -> None:
    """Also where the start is no part of it, which the service refuses."""
    check_rule(parse_rule(text_of(rule)), dated=False, zone=zone)
    expected = occurrences(rule, start, zone, from_year=start.year, to_year=start.year + years)
    found = timing_as_stored(start.isoformat(), zone, text_of(rule))
    end_ms = unix_ms(datetime(start.year + years + 1, 1, 1), zone) - 1
    assert list(found.between(0, end_ms)) == [one for one in expected if one <= end_ms]


@settings(max_examples=60, deadline=None)
@given(rules(), STARTS, ZONES, st.integers(1, 40), st.booleans())
def test_count_and_until_end_a_rule_as_in_the_second_implementation(
    rule: dict[str, str], start: datetime, zone: ZoneInfo, count: int, counted: bool
) -> None:
    if counted:
        ended = {**rule, "COUNT": str(count)}
    else:
        end = datetime(start.year, 12, 31) + timedelta(days=count)
        ended = {**rule, "UNTIL": f"{end:%Y%m%dT%H%M%SZ}"}
    last = start.year + 1
    expected = occurrences(ended, start, zone, from_year=start.year, to_year=last)
    found = timing_as_stored(start.isoformat(), zone, text_of(ended))
    end_ms = unix_ms(datetime(last + 1, 1, 1), zone) - 1
    assert list(found.between(0, end_ms)) == [one for one in expected if one <= end_ms]


@settings(max_examples=40, deadline=None)
@given(rules(), STARTS, st.integers(2_100, 2_390))
def test_centuries_ahead_as_in_the_second_implementation(
    rule: dict[str, str], start: datetime, year: int
) -> None:
    expected = occurrences(rule, start, UTC, from_year=year, to_year=year)
    found = timing_as_stored(start.isoformat(), UTC, text_of(rule))
    begin, end = unix_ms(datetime(year, 1, 1), UTC), unix_ms(datetime(year + 1, 1, 1), UTC) - 1
    assert list(found.between(begin, end)) == expected


@settings(max_examples=80, deadline=None)
@given(
    rules(), STARTS, ZONES, st.none() | st.integers(1, 60),
    st.lists(st.integers(-10, 1_500 * 24), max_size=8),
)  # fmt: skip
def test_an_occurrence_is_the_same_from_wherever_one_looks(
    rule: dict[str, str], start: datetime, zone: ZoneInfo, count: int | None, hours: list[int]
) -> None:
    text = text_of(rule) + ("" if count is None else f";COUNT={count}")
    timing = timing_as_stored(start.isoformat(), zone, text)
    first_ms = unix_ms(start, zone)
    everything = list(timing.between(0, first_ms + 1_600 * 86_400_000))
    for ahead in hours:
        from_ms = first_ms + ahead * 3_600_000
        expected = [one for one in everything if one >= from_ms]
        assert list(timing.between(from_ms, first_ms + 1_600 * 86_400_000)) == expected
    for one in everything[:: len(everything) // 10 + 1]:
        assert list(timing.between(one, one)) == [one]
        assert next(timing.since(one + 1), None) != one


@settings(max_examples=60, deadline=None)
@given(rules(), STARTS)
def test_a_library_agrees_where_it_is_known_to_be_right(
    rule: dict[str, str], start: datetime
) -> None:
    """dateutil, without the parts and pairs of parts in which it differs from the RFC, and without
    rules that never come, which it looks for until the year 9999: docs/decisions tells of both."""
    rule = {name: one for name, one in rule.items() if name not in ("BYSETPOS", "BYWEEKNO")}
    if rule["FREQ"] == "YEARLY" and "BYMONTHDAY" in rule:
        rule.setdefault("BYMONTH", str(start.month))
    if "BYDAY" in rule:
        rule["BYDAY"] = ",".join(sorted({one[-2:] for one in rule["BYDAY"].split(",")}))
    if "BYSECOND" in rule:
        rule["BYSECOND"] = "0,30"
    end = datetime(start.year + 2, 1, 1)
    text = text_of(rule)
    recurrence = recurrence_of(parse_rule(text), start)
    assume(next(recurrence.since(start), None) is not None)
    expected = rrulestr(f"{text};UNTIL={end:%Y%m%dT%H%M%S}", dtstart=start)
    found = list(takewhile(lambda one: one <= end, recurrence.since(start)))
    assert found == list(expected)


@pytest.mark.parametrize(
    "rule",
    ["FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31;BYMONTH=4,6",
     "FREQ=YEARLY;BYWEEKNO=20;BYMONTH=12", "FREQ=YEARLY;BYDAY=53MO;BYMONTH=3",
     "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=2", "FREQ=YEARLY;INTERVAL=1000;BYYEARDAY=366;BYSETPOS=2"],
)  # fmt: skip
def test_a_rule_that_never_comes_is_known_to_from_28_kinds_of_year(rule: str) -> None:
    recurrence = recurrence_of(parse_rule(rule), datetime(2026, 3, 2, 9))
    before = day_pattern._matching.cache_info().misses
    assert list(recurrence.since(recurrence.start)) == []
    assert day_pattern._matching.cache_info().misses - before <= 28


def test_the_last_year_is_whole() -> None:
    recurrence = recurrence_of(
        parse_rule("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=-3"), datetime(2026, 3, 6)
    )
    last = list(recurrence.since(datetime(LAST_YEAR, 12, 1)))[-1]
    assert last.weekday() == 4
    assert last > datetime(LAST_YEAR, 12, 24)


@pytest.mark.parametrize("number", [1, 2, 51, 52, 53, -1, -2, -52, -53])
def test_the_weeks_at_each_new_year_of_four_centuries_are_those_of_iso_8601(number: int) -> None:
    pattern = day_pattern.DayPattern(week_numbers=frozenset((number,)))
    for year in range(2_000, 2_400):
        first, last = date(year, 1, 1), date(year, 12, 31)
        ends = [first + n * timedelta(days=1) for n in range(14)]
        ends += [last - n * timedelta(days=1) for n in range(14)]
        found = day_pattern.days_of(pattern, year)
        for day in ends:
            iso = day.isocalendar()
            weeks = date(iso.year, 12, 28).isocalendar().week
            expected = number in (iso.week, iso.week - weeks - 1)
            assert ((day - first).days in found) is expected, day

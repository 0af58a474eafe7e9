"""When a plan's event happens: across clock changes, in any zone, and never without bound."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from control_plane.errors import InvalidInput
from data_sharing.calendars.timing import (
    MOST_EXCEPTIONS,
    nearest_occurrence,
    timing_as_stored,
    timing_of,
)
from data_sharing.calendars.zoned_time import DAY_MS

BERLIN = ZoneInfo("Europe/Berlin")


def shown(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%dT%H:%M}"


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("at", "repeats", "expected"),
    [
        pytest.param("2026-03-27T09:00", "FREQ=DAILY",
                     ["2026-03-27T08:00", "2026-03-28T08:00", "2026-03-29T07:00",
                      "2026-03-30T07:00"],
                     id="nine-stays-nine-when-clocks-go-forward"),
        pytest.param("2026-03-28T02:30", "FREQ=DAILY",
                     ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"],
                     id="a-local-time-that-is-skipped-is-read-with-the-offset-before-the-gap"),
        pytest.param("2026-10-24T02:30", "FREQ=DAILY",
                     ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"],
                     id="of-a-local-time-that-comes-twice-the-first-counts"),
        pytest.param("2026-10-25T02:30+01:00", "FREQ=DAILY",
                     ["2026-10-25T01:30", "2026-10-26T01:30"],
                     id="a-start-with-an-offset-is-the-second-of-two-where-it-says-so"),
        pytest.param("2026-10-25T02:00+01:00", "FREQ=DAILY;BYHOUR=2;BYMINUTE=0,45",
                     ["2026-10-25T01:00", "2026-10-25T01:45", "2026-10-26T01:00"],
                     id="after-a-start-that-is-the-second-of-two-the-hour-goes-on"),
        pytest.param("2026-03-28T02:30", "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=15,30;COUNT=8",
                     ["2026-03-28T01:30", "2026-03-28T02:15", "2026-03-28T02:30",
                      "2026-03-29T01:15", "2026-03-29T01:30", "2026-03-30T00:15",
                      "2026-03-30T00:30", "2026-03-30T01:15"],
                     id="times-that-a-gap-puts-together-are-one-and-count-once"),
        pytest.param("2026-03-28T02:45",
                     "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,45;UNTIL=20260329T020000Z",
                     ["2026-03-28T01:45", "2026-03-28T02:00", "2026-03-28T02:45",
                      "2026-03-29T01:00", "2026-03-29T01:45"],
                     id="a-gap-does-not-put-times-out-of-order"),
        pytest.param("2026-03-02T09:00", "FREQ=WEEKLY;BYDAY=MO,FR",
                     ["2026-03-02T08:00", "2026-03-06T08:00", "2026-03-09T08:00"],
                     id="weekdays"),
        pytest.param("2026-01-01T12:00", "FREQ=DAILY;COUNT=2",
                     ["2026-01-01T11:00", "2026-01-02T11:00"], id="twice"),
        pytest.param("2026-12-02T09:00", "FREQ=WEEKLY;UNTIL=20261209T080000Z",
                     ["2026-12-02T08:00", "2026-12-09T08:00"], id="until-an-instant-included"),
        pytest.param("2026-12-02T09:00", "FREQ=WEEKLY;UNTIL=20261209T075959Z",
                     ["2026-12-02T08:00"], id="until-a-second-before"),
        pytest.param("2026-03-28T09:00", "FREQ=DAILY;UNTIL=20260329T070000Z",
                     ["2026-03-28T08:00", "2026-03-29T07:00"], id="until-behind-a-clock-change"),
        pytest.param("2026-01-01", "FREQ=DAILY;UNTIL=20260102",
                     ["2025-12-31T23:00", "2026-01-01T23:00"], id="days-until-a-day-included"),
        pytest.param("2026-01-01", "FREQ=DAILY;UNTIL=99991231",
                     ["2025-12-31T23:00", "2026-01-01T23:00"], id="until-the-end-of-days"),
        pytest.param("2026-03-02T09:00", None, ["2026-03-02T08:00"], id="once"),
        pytest.param("2026-03-02T09:00-05:00", None, ["2026-03-02T14:00"], id="with-an-offset"),
        pytest.param("2027-10-31T02:30:00+01:00", None, ["2027-10-31T01:30"],
                     id="the-second-half-past-two"),
        pytest.param("2027-10-31T02:30:00+02:00", None, ["2027-10-31T00:30"],
                     id="the-first-half-past-two"),
        pytest.param("2026-03-29T02:30+01:00", None, ["2026-03-29T01:30"],
                     id="an-instant-that-the-clocks-do-not-show"),
        pytest.param("2026-03-02t09:00:00z", None, ["2026-03-02T09:00"], id="small-letters"),
    ],
)  # fmt: skip
def test_occurrences_in_berlin(at: str, repeats: str | None, expected: list[str]) -> None:
    timing = timing_of(at, BERLIN, repeats)
    found = [shown(one) for one in islice(timing.since(0), len(expected))]
    assert found == expected
    ends = repeats is None or "COUNT" in repeats or "UNTIL=2026" in repeats
    if ends:
        assert len(list(timing.since(0))) == len(expected)


def test_a_day_that_a_zone_skipped_is_not_there_twice() -> None:
    """Samoa went from 29 to 31 December 2011: the 30th is the 31st, read with the offset before."""
    timing = timing_of("2011-12-28T09:00", ZoneInfo("Pacific/Apia"), "FREQ=DAILY;COUNT=4")
    assert [shown(one) for one in timing.since(0)] == [
        "2011-12-28T19:00", "2011-12-29T19:00", "2011-12-30T19:00", "2011-12-31T19:00",
    ]  # fmt: skip


def test_a_fraction_of_a_second_is_kept_to_the_millisecond() -> None:
    at = ms("2026-03-02T09:00:00.250+00:00")
    assert list(timing_of("2026-03-02T09:00:00.250999Z", BERLIN).since(0)) == [at]
    repeated = timing_of("2026-03-02T10:00:00.250", BERLIN, "FREQ=DAILY;COUNT=2")
    assert list(repeated.since(0)) == [at, at + DAY_MS]


@pytest.mark.parametrize(
    ("at", "repeats", "except_at", "expected"),
    [
        pytest.param("2026-03-02T09:00", "FREQ=DAILY;COUNT=3", ["2026-03-03T09:00"],
                     ["2026-03-02T08:00", "2026-03-04T08:00"], id="a-local-time"),
        pytest.param("2026-03-02T09:00", "FREQ=DAILY;COUNT=3", ["2026-03-03T03:00-05:00"],
                     ["2026-03-02T08:00", "2026-03-04T08:00"], id="an-instant-from-elsewhere"),
        pytest.param("2026-12-01T09:00", "FREQ=DAILY;COUNT=3", ["2026-12-01"],
                     ["2026-12-02T08:00", "2026-12-03T08:00"],
                     id="a-day-and-count-gives-nothing-back"),
        pytest.param("2026-03-02T00:30", "FREQ=DAILY;COUNT=3", ["2026-03-03"],
                     ["2026-03-01T23:30", "2026-03-03T23:30"],
                     id="a-day-is-the-zones-where-it-is-another-in-utc"),
        pytest.param("2026-03-02T09:00", "FREQ=DAILY;BYHOUR=9,15;COUNT=4", ["2026-03-02"],
                     ["2026-03-03T08:00", "2026-03-03T14:00"], id="a-day-is-all-that-is-on-it"),
        pytest.param("2026-03-02T09:00", "FREQ=DAILY;COUNT=3", ["2026-03-03", "2026-03-03T09:00"],
                     ["2026-03-02T08:00", "2026-03-04T08:00"], id="one-by-its-day-and-its-time"),
        pytest.param("2026-03-28T02:30", "FREQ=DAILY;COUNT=3", ["2026-03-29T03:30"],
                     ["2026-03-28T01:30", "2026-03-30T00:30"],
                     id="one-in-a-gap-by-what-the-clocks-show"),
        pytest.param("2026-03-28T02:30", "FREQ=DAILY;COUNT=3", ["2026-03-29T02:30"],
                     ["2026-03-28T01:30", "2026-03-30T00:30"], id="one-in-a-gap-as-planned"),
        pytest.param("2026-10-25T02:30+01:00", "FREQ=DAILY;COUNT=2", ["2026-10-25T02:30+01:00"],
                     ["2026-10-26T01:30"], id="the-second-of-two"),
        pytest.param("2026-03-02", "FREQ=WEEKLY;COUNT=2", ["2026-03-09"],
                     ["2026-03-01T23:00"], id="a-day-of-days"),
    ],
)  # fmt: skip
def test_exceptions(at: str, repeats: str, except_at: list[str], expected: list[str]) -> None:
    timing = timing_of(at, BERLIN, repeats, except_at)
    assert [shown(one) for one in timing.since(0)] == expected
    stored = timing_as_stored(at, BERLIN, repeats, except_at)
    assert list(stored.since(0)) == list(timing.since(0))


@pytest.mark.parametrize(
    ("at", "repeats", "except_at", "nearest"),
    [
        pytest.param("2026-12-01T09:00", "FREQ=DAILY;COUNT=3", "2026-12-02T10:00",
                     "2026-12-02T09:00:00\\+01:00", id="an-hour-late"),
        pytest.param("2026-12-01T09:00", "FREQ=DAILY;COUNT=3", "2026-12-02T22:00",
                     "2026-12-03T09:00:00\\+01:00", id="nearer-to-the-next"),
        pytest.param("2026-12-01T09:00", "FREQ=DAILY;COUNT=3", "2026-11-30",
                     "2026-12-01T09:00:00\\+01:00", id="the-day-before"),
        pytest.param("2026-12-01T09:00", "FREQ=DAILY;COUNT=3", "2026-12-04",
                     "2026-12-03T09:00:00\\+01:00", id="the-day-after"),
        pytest.param("2026-12-01T09:00", "FREQ=DAILY;COUNT=3", "2390-12-04",
                     "2026-12-03T09:00:00\\+01:00", id="centuries-after"),
        pytest.param("1975-12-01T09:00", "FREQ=DAILY", "2390-12-04T10:00",
                     "2390-12-04T09:00:00\\+01:00", id="centuries-on"),
        pytest.param("2026-10-25T02:30+01:00", "FREQ=DAILY;COUNT=2", "2026-10-25T02:30",
                     "2026-10-25T02:30:00\\+01:00", id="the-first-of-two-where-the-second-is"),
        pytest.param("2026-03-02T09:00", None, "2026-03-03",
                     "2026-03-02T09:00:00\\+01:00", id="of-what-is-once"),
    ],
)  # fmt: skip
def test_an_exception_that_excludes_nothing_is_refused(
    at: str, repeats: str | None, except_at: str, nearest: str
) -> None:
    with pytest.raises(InvalidInput, match=f"excludes nothing; the nearest .* {nearest}$"):
        timing_of(at, BERLIN, repeats, [except_at])


@pytest.mark.parametrize(
    ("at", "repeats", "except_at", "words"),
    [
        pytest.param("tomorrow", None, [], "at: .*no time", id="words"),
        pytest.param("2" * 10_000, None, [], "at most 64", id="a-long-time"),
        pytest.param("0001-01-01T00:00", None, [], "1971", id="antiquity"),
        pytest.param("1971-01-01T00:30+14:00", None, [], "1970", id="before-the-first-local-year"),
        pytest.param("2398-12-31T23:30-14:00", None, [], "2399", id="behind-the-last-local-year"),
        pytest.param("0001-01-01T00:00+14:00", None, [], "1971", id="before-the-first-year"),
        pytest.param("9999-12-31T23:59-14:00", None, [], "2398", id="behind-the-last-year"),
        pytest.param("2026-13-01", None, [], "no time", id="month-13"),
        pytest.param("2026-01-01T00:00", "FREQ=DAILY;UNTIL=20251231T000000Z", [], "before `at`",
                     id="over-before-it-began"),
        pytest.param("2026-01-01T00:00", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", [], "not part.*no",
                     id="a-day-that-never-comes"),
        pytest.param("2026-01-01T00:00", "FREQ=YEARLY;BYMONTH=12;BYWEEKNO=20;INTERVAL=1000", [],
                     "not part.*no", id="a-week-that-never-comes"),
        pytest.param("2026-03-03T09:00", "FREQ=WEEKLY;BYDAY=MO", [],
                     "not part of it, by BYDAY; .*2026-03-09T09:00", id="a-tuesday"),
        pytest.param("2026-03-03T09:00", "FREQ=DAILY;BYHOUR=10;BYMONTH=4", [],
                     "by BYMONTH and BYHOUR; .*2026-04-01T10:00", id="month-and-hour"),
        pytest.param("2026-12-07T09:00", "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=2", [],
                     "by BYSETPOS; .*2026-12-09", id="the-first-where-the-second-is-meant"),
        pytest.param("2026-03-02T09:00", "FREQ=DAILY", ["never"], "except_at: .*no time",
                     id="an-exception-of-words"),
        pytest.param("2026-03-02T09:00", "FREQ=DAILY;COUNT=2",
                     ["2026-03-02", "2026-03-03T09:00"], "no occurrence", id="nothing-is-left"),
        pytest.param("2026-03-02T09:00", "FREQ=DAILY", ["2026-03-02"] * (MOST_EXCEPTIONS + 1),
                     "at most 366", id="too-many-exceptions"),
    ],
)  # fmt: skip
def test_timing_that_cannot_be(
    at: str, repeats: str | None, except_at: list[str], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        timing_of(at, BERLIN, repeats, except_at)


@pytest.mark.parametrize(
    ("at", "nearest"),
    [
        ("2026-03-02T08:00:00.001+00:00", "2026-03-02T08:00"),
        ("2026-03-02T20:00+00:00", "2026-03-02T08:00"),
        ("2026-03-03T08:00+00:00", "2026-03-02T08:00"),
        ("2026-03-03T08:00:00.001+00:00", "2026-03-04T08:00"),
        ("2026-03-20T00:00+00:00", "2026-03-04T08:00"),
        ("1970-01-01T00:00+00:00", "2026-03-02T08:00"),
        ("9999-01-01T00:00+00:00", "2026-03-04T08:00"),
    ],
)
def test_the_nearest_occurrence_passes_over_what_is_left_out(at: str, nearest: str) -> None:
    timing = timing_of("2026-03-02T09:00", BERLIN, "FREQ=DAILY;COUNT=3", ["2026-03-03"])
    found = nearest_occurrence(timing, ms(at))
    assert found is not None
    assert shown(found) == nearest


def test_there_is_no_nearest_where_there_is_none() -> None:
    timing = timing_as_stored("2026-03-02T09:00", BERLIN, None, ["2026-03-02"])
    assert [
        nearest_occurrence(timing, ms(f"{year}-01-01T00:00+00:00")) for year in (1970, 2300)
    ] == [None, None]


def test_what_is_refused_by_now_keeps_its_meaning_where_it_is_stored() -> None:
    """UNTIL in local time; a rule whose start is no part of it; an exception of nothing."""
    timing = timing_as_stored("2026-01-01T12:00", BERLIN, "FREQ=DAILY;UNTIL=20260103T120000")
    assert len(list(timing.since(0))) == 3
    timing = timing_as_stored("2026-01-01T12:00", BERLIN, "FREQ=DAILY;UNTIL=20260103")
    assert len(list(timing.since(0))) == 3
    timing = timing_as_stored("2026-03-03T09:00", BERLIN, "FREQ=WEEKLY;BYDAY=MO", ["2026-03-03"])
    assert shown(next(timing.since(0))) == "2026-03-09T08:00"
    assert (
        list(timing_as_stored("2026-03-03T09:00", BERLIN, "FREQ=DAILY;BYMONTHDAY=0").since(0)) == []
    )


@pytest.mark.parametrize("from_ms", [-(10**18), 10**18], ids=["long-ago", "far-ahead"])
def test_any_time_can_be_asked_for(from_ms: int) -> None:
    timing = timing_of("2026-03-02T09:00", BERLIN, "FREQ=DAILY")
    first = next(timing.since(from_ms), None)
    assert (first is None) == (from_ms > 0)


def test_a_recurrence_ends_with_the_last_year() -> None:
    timing = timing_of("1975-01-01T07:00", BERLIN, "FREQ=DAILY;INTERVAL=3")
    ahead = list(timing.since(ms("2399-12-01T00:00+00:00")))
    assert 10 <= len(ahead) <= 11
    days = [datetime.fromtimestamp(one / 1_000, BERLIN).date() for one in ahead]
    assert all((one - date(1975, 1, 1)).days % 3 == 0 for one in days)

"""When a plan's event happens: across clock changes, in any zone, and never without bound."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from data_sharing.plans.timing import timing_of, unix_ms

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def shown(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%dT%H:%M}"


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
        pytest.param("2026-03-02T09:00", "FREQ=WEEKLY;BYDAY=MO,FR",
                     ["2026-03-02T08:00", "2026-03-06T08:00", "2026-03-09T08:00"],
                     id="weekdays"),
        pytest.param("2024-02-29T12:00", "FREQ=YEARLY", ["2024-02-29T11:00", "2028-02-29T11:00"],
                     id="a-leap-day-comes-every-four-years"),
        pytest.param("2026-01-31T12:00", "FREQ=MONTHLY;BYMONTHDAY=-1",
                     ["2026-01-31T11:00", "2026-02-28T11:00", "2026-03-31T10:00"],
                     id="the-last-of-each-month"),
        pytest.param("2026-01-01T12:00", "FREQ=DAILY;COUNT=2",
                     ["2026-01-01T11:00", "2026-01-02T11:00"], id="twice"),
        pytest.param("2026-01-01T12:00", "FREQ=DAILY;UNTIL=20260102",
                     ["2026-01-01T11:00", "2026-01-02T11:00"], id="until-a-day-it-is-part-of"),
        pytest.param("2026-03-02T09:00", None, ["2026-03-02T08:00"], id="once"),
        pytest.param("2026-03-02T09:00-05:00", None, ["2026-03-02T14:00"], id="with-an-offset"),
    ],
)  # fmt: skip
def test_occurrences_in_berlin(at: str, repeats: str | None, expected: list[str]) -> None:
    timing = timing_of(at, BERLIN, repeats)
    found = [shown(one) for one in islice(timing.since(0), len(expected))]
    assert found == expected
    if repeats is None or "COUNT" in repeats or "UNTIL" in repeats:
        assert len(list(timing.since(0))) == len(expected)


def test_what_is_left_out_is_not_there() -> None:
    timing = timing_of("2026-03-02T09:00", BERLIN, "FREQ=DAILY", ("2026-03-03T09:00",))
    assert [shown(one) for one in islice(timing.since(0), 2)] == [
        "2026-03-02T08:00",
        "2026-03-04T08:00",
    ]


RULES = st.builds(
    lambda freq, interval, more: f"FREQ={freq};INTERVAL={interval}{more}",
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
    st.integers(1, 5),
    st.sampled_from(["", ";COUNT=40", ";UNTIL=20291231", ";WKST=SU"]),
)


@settings(max_examples=100, deadline=None)
@given(RULES, st.integers(1, 28), st.integers(1, 12), st.integers(0, 23), st.integers(0, 2_000))
def test_occurrences_are_those_of_the_library_wherever_one_begins(
    rule: str, day: int, month: int, hour: int, ahead_days: int
) -> None:
    start = datetime(2026, month, day, hour)
    timing = timing_of(start.isoformat(), BERLIN, rule)
    from_ms = unix_ms(start, BERLIN) + ahead_days * 86_400_000
    expected = [
        at
        for local in islice(rrulestr(rule, dtstart=start), 3_000)
        if (at := unix_ms(local, BERLIN)) >= from_ms
    ][:5]
    assert list(islice(timing.since(from_ms), len(expected))) == expected


@pytest.mark.parametrize(
    ("at", "repeats", "words"),
    [
        pytest.param("tomorrow", None, "no time", id="words"),
        pytest.param("0001-01-01T00:00", None, "1971", id="antiquity"),
        pytest.param("2026-01-01T00:00", "FREQ=SECONDLY", "FREQ", id="every-second"),
        pytest.param("2026-01-01T00:00", "FREQ=HOURLY", "FREQ", id="every-hour"),
        pytest.param("2026-01-01T00:00", "FREQ=DAILY;BYSECOND=1,2,3", "BYSECOND", id="seconds"),
        pytest.param("2026-01-01T00:00", "FREQ=DAILY;FREQ=WEEKLY", "twice", id="a-part-twice"),
        pytest.param("2026-01-01T00:00", "FREQ=DAILY;INTERVAL=0", "INTERVAL", id="no-interval"),
        pytest.param("2026-01-01T00:00", "FREQ=DAILY;COUNT=99999999", "COUNT", id="a-huge-count"),
        pytest.param("2026-01-01T00:00", "FREQ=DAILY;COUNT=2;UNTIL=20270101", "either", id="both"),
        pytest.param("2026-01-01T00:00", "FREQ=DAILY;UNTIL=whenever", "UNTIL", id="until-words"),
        pytest.param("2026-01-01T00:00", "FREQ=DAILY;BYMONTH=13", "repeats", id="month-13"),
        pytest.param("2026-01-01T00:00", "every day", "not one of", id="english"),
        pytest.param("2026-01-01T00:00", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "not part",
                     id="a-day-that-never-comes"),
        pytest.param("2026-03-03T09:00", "FREQ=WEEKLY;BYDAY=MO", "not part", id="a-tuesday"),
    ],
)  # fmt: skip
def test_timing_that_cannot_be(at: str, repeats: str | None, words: str) -> None:
    began = time.process_time()
    with pytest.raises(InvalidInput, match=words):
        timing_of(at, BERLIN, repeats)
    assert time.process_time() - began < 20  # it looks no farther than 400 years


def test_a_daily_plan_of_long_ago_is_looked_up_where_we_are() -> None:
    timing = timing_of("1975-01-01T07:00", BERLIN, "FREQ=DAILY;INTERVAL=3")
    from_ms = utc("2026-01-01")
    reference = [
        at
        for local in rrulestr("FREQ=DAILY;INTERVAL=3", dtstart=datetime(1975, 1, 1, 7)).xafter(
            datetime(2025, 12, 28), count=9
        )
        if (at := unix_ms(local, BERLIN)) >= from_ms
    ]
    assert list(islice(timing.since(from_ms), 5)) == reference[:5]

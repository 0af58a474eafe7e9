"""Quiet hours are by the clock on the wall, also when it changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.gateway.quiet_hours import QuietHours

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_MS = 60_000


def ms(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(milliseconds=1)


def text(at_ms: int) -> str:
    return (EPOCH + timedelta(milliseconds=at_ms)).strftime("%Y-%m-%dT%H:%MZ")


def quiet(start: str, end: str, zone: str) -> QuietHours:
    minutes = [int(one[:2]) * 60 + int(one[3:]) for one in (start, end)]
    return QuietHours(from_minute=minutes[0], to_minute=minutes[1], time_zone=zone)


@pytest.mark.parametrize(
    ("window", "now", "over"),
    [
        pytest.param(("22:00", "07:00", "UTC"), "2026-11-28T23:00Z", "2026-11-29T07:00Z",
                     id="before midnight"),
        pytest.param(("22:00", "07:00", "UTC"), "2026-11-28T03:00Z", "2026-11-28T07:00Z",
                     id="after midnight"),
        pytest.param(("13:00", "14:30", "UTC"), "2026-11-28T13:00Z", "2026-11-28T14:30Z",
                     id="by day, at its first minute"),
        pytest.param(("13:00", "14:30", "UTC"), "2026-11-28T14:30Z", "2026-11-28T14:30Z",
                     id="at its end it is over"),
        pytest.param(("22:00", "07:00", "Asia/Tokyo"), "2026-11-28T21:30Z", "2026-11-28T22:00Z",
                     id="where the recipient is"),
        pytest.param(("22:00", "07:00", "Asia/Kathmandu"), "2026-11-28T01:00Z",
                     "2026-11-28T01:15Z", id="a zone of quarters of an hour"),
        pytest.param(("22:00", "07:00", "Europe/London"), "2026-10-24T23:00Z", "2026-10-25T07:00Z",
                     id="the night is an hour longer"),
        pytest.param(("22:00", "07:00", "Europe/London"), "2026-03-28T23:00Z", "2026-03-29T06:00Z",
                     id="the night is an hour shorter"),
        pytest.param(("22:00", "01:30", "Europe/London"), "2026-03-29T00:30Z", "2026-03-29T01:00Z",
                     id="the clock skips its end"),
        pytest.param(("01:00", "01:30", "Europe/London"), "2026-10-25T01:10Z", "2026-10-25T01:30Z",
                     id="the second time the clock shows this hour"),
        pytest.param(("22:00", "07:00", "Australia/Lord_Howe"), "2026-10-03T13:00Z",
                     "2026-10-03T20:00Z", id="clocks change by half an hour"),
        pytest.param(("20:00", "09:00", "Pacific/Apia"), "2011-12-30T08:00Z", "2011-12-30T19:00Z",
                     id="a day that was left out"),
    ],
)  # fmt: skip
def test_when_they_are_over(window: tuple[str, str, str], now: str, over: str) -> None:
    assert text(quiet(*window).end_ms(ms(now))) == over


ZONES = ("UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
         "America/St_Johns", "Africa/Casablanca")  # fmt: skip
minutes = st.integers(0, 1439)


@given(
    st.tuples(minutes, minutes).filter(lambda both: both[0] != both[1]),
    st.sampled_from(ZONES),
    st.integers(ms("2026-01-01T00:00Z") // MINUTE_MS, ms("2027-01-01T00:00Z") // MINUTE_MS),
)
def test_they_hold_until_they_are_over_and_not_then(
    window: tuple[int, int], zone: str, minute: int
) -> None:
    hours = QuietHours(from_minute=window[0], to_minute=window[1], time_zone=zone)
    now_ms = minute * MINUTE_MS
    end_ms = hours.end_ms(now_ms)
    assert not hours.hold(end_ms)
    assert 0 <= end_ms - now_ms <= 25 * 60 * MINUTE_MS
    assert (end_ms > now_ms) is hours.hold(now_ms)
    if end_ms > now_ms:
        assert hours.hold(end_ms - 1)


@given(
    st.sampled_from(ZONES),
    st.integers(ms("1960-01-01T00:00Z"), ms("2037-01-01T00:00Z")),
    st.tuples(minutes, minutes).filter(lambda both: both[0] != both[1]),
)
def test_they_hold_as_the_clock_shows(zone: str, at_ms: int, window: tuple[int, int]) -> None:
    local = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(zone))
    shown = local.hour * 60 + local.minute
    start, end = window
    expected = start <= shown < end if start < end else not end <= shown < start
    hours = QuietHours(from_minute=start, to_minute=end, time_zone=zone)
    assert hours.hold(at_ms) is expected


@pytest.mark.parametrize(("start", "end"), [(60, 60), (-1, 5), (5, 1440)])
def test_what_is_no_window_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match=r"minute|same time"):
        QuietHours(from_minute=start, to_minute=end, time_zone="UTC")

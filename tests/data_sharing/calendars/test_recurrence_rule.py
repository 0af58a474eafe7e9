"""Which recurrence rules are taken, by the table of RFC 5545, 3.3.10, and how the others fail."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from control_plane.errors import InvalidInput
from data_sharing.calendars.recurrence_rule import (
    MOST_TEXT,
    Frequency,
    Weekday,
    check_rule,
    parse_rule,
)

BERLIN = ZoneInfo("Europe/Berlin")
# Which parts may stand beside which frequency: the columns of the RFC's table that plans take.
TABLE = {
    "BYMONTH": "DAILY WEEKLY MONTHLY YEARLY",
    "BYWEEKNO": "YEARLY",
    "BYYEARDAY": "YEARLY",
    "BYMONTHDAY": "DAILY MONTHLY YEARLY",
    "BYDAY": "DAILY WEEKLY MONTHLY YEARLY",
    "BYHOUR": "DAILY WEEKLY MONTHLY YEARLY",
    "BYMINUTE": "DAILY WEEKLY MONTHLY YEARLY",
    "BYSECOND": "DAILY WEEKLY MONTHLY YEARLY",
}
# Values at and beyond the ends of the ranges in the RFC's text.
RANGES = {
    "BYMONTH": (["1", "12", "01"], ["0", "13", "-1", "+1", "1.5", "JAN", ""]),
    "BYWEEKNO": (["1", "53", "-1", "-53", "+53"], ["0", "54", "-54", "-0"]),
    "BYYEARDAY": (["1", "366", "-1", "-366"], ["0", "367", "-367"]),
    "BYMONTHDAY": (["1", "31", "-1", "-31"], ["0", "32", "-32", "9999999"]),
    "BYHOUR": (["0", "23"], ["24", "-1"]),
    "BYMINUTE": (["0", "59"], ["60", "-1"]),
    "BYSECOND": (["0", "60"], ["61", "-1"]),
    "BYSETPOS": (["1", "366", "-1", "-366"], ["0", "367", "-367"]),
    "BYDAY": (["MO", "1MO", "+1MO", "-1MO", "53SU", "-53SU", "01MO"],
              ["0MO", "54MO", "-54MO", "XX", "1", "MO1", "--1MO", "-0MO", "100MO"]),
}  # fmt: skip


def checked(text: str, *, dated: bool = False) -> None:
    check_rule(parse_rule(text), dated=dated, zone=BERLIN)


@pytest.mark.parametrize("freq", list(Frequency))
@pytest.mark.parametrize("part", list(TABLE))
def test_a_part_stands_beside_the_frequencies_of_the_table(part: str, freq: Frequency) -> None:
    text = f"FREQ={freq};{part}={RANGES[part][0][0]}"
    if freq in TABLE[part].split():
        checked(text)
        return
    with pytest.raises(InvalidInput, match=f"{part} may stand beside .* not {freq} .*3.3.10"):
        checked(text)


@pytest.mark.parametrize("end", range(2), ids=["inside", "outside"])
@pytest.mark.parametrize("part", list(RANGES))
def test_values_of_a_part(part: str, end: int) -> None:
    for value in RANGES[part][end]:
        text = f"FREQ=YEARLY;{part}={value}" + (";BYMONTH=1" if part == "BYSETPOS" else "")
        for given in (text, text.replace(value, f"{value},{value}")) if value else (text,):
            if end == 0:
                checked(given)
                continue
            with pytest.raises(InvalidInput, match=part):
                checked(given)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("FREQ=WEEKLY;BYDAY=1MO", "BYDAY takes a number .* WEEKLY", id="weekly-1mo"),
        pytest.param("FREQ=DAILY;BYDAY=MO,-1FR", "BYDAY takes a number", id="daily-last-friday"),
        pytest.param("FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "BYDAY takes no number .* BYWEEKNO",
                     id="a-number-beside-week-numbers"),
        pytest.param("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS needs another", id="positions-alone"),
        pytest.param("FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z", "either COUNT or UNTIL",
                     id="two-ends"),
        pytest.param("FREQ=DAILY;COUNT=0", "COUNT", id="count-0"),
        pytest.param("FREQ=DAILY;COUNT=99999999", "COUNT", id="a-huge-count"),
        pytest.param("FREQ=DAILY;COUNT=1.5", "COUNT", id="a-count-and-a-half"),
        pytest.param("FREQ=DAILY;INTERVAL=0", "INTERVAL", id="interval-0"),
        pytest.param("FREQ=DAILY;INTERVAL=-1", "INTERVAL", id="interval-back"),
        pytest.param("FREQ=DAILY;INTERVAL=1001", "INTERVAL", id="interval-beyond-the-bound"),
        pytest.param("FREQ=DAILY;INTERVAL=٢", "INTERVAL", id="digits-of-another-script"),
        pytest.param("FREQ=DAILY;FREQ=WEEKLY", "FREQ stands there twice", id="a-part-twice"),
        pytest.param("FREQ=DAILY;WKST=MONDAY", "WKST", id="a-long-weekday"),
        pytest.param("FREQ=DAILY;WKST=1MO", "WKST", id="a-numbered-week-start"),
        pytest.param("FREQ=DAILY;BYEASTER=0", "BYEASTER.* not one of", id="easter"),
        pytest.param("RSCALE=CHINESE;FREQ=YEARLY", "RSCALE.* not one of", id="another-calendar"),
        pytest.param("FREQ=DAILY;X-MORE=1", "X-MORE.* not one of", id="of-ones-own"),
        pytest.param("FREQ=DAILY;;COUNT=1", "not one of", id="an-empty-part"),
        pytest.param("FREQ=DAILY;BYDAY=", "not one of", id="an-empty-value"),
        pytest.param("FREQ=DAILY;BYMONTH=1,,2", "BYMONTH", id="an-empty-place"),
        pytest.param("every day", "not one of", id="english"),
        pytest.param("", "not one of", id="nothing"),
        pytest.param("COUNT=2", "needs FREQ", id="no-frequency"),
        pytest.param("FREQ=HOURLY", "FREQ, one of .* BYHOUR", id="hourly"),
        pytest.param("FREQ=MINUTELY", "FREQ, one of", id="minutely"),
        pytest.param("FREQ=SECONDLY", "FREQ, one of", id="secondly"),
        pytest.param("FREQ=DAILY;BYHOUR=1,2,3,4,5;BYMINUTE=0,10,20,30,40", "25 times a day",
                     id="more-often-than-24-times-a-day"),
        pytest.param("FREQ=DAILY;UNTIL=whenever", "UNTIL .*no time", id="until-words"),
        pytest.param("FREQ=DAILY;UNTIL=20260230T000000Z", "UNTIL .*no time",
                     id="until-february-30"),
        pytest.param("FREQ=DAILY;UNTIL=20260101T000061Z", "UNTIL .*no time", id="until-second-61"),
        pytest.param("FREQ=DAILY;UNTIL=2026-01-01", "UNTIL .*no time", id="until-with-hyphens"),
        pytest.param("FREQ=DAILY;UNTIL=20260701T090000", "local time; .*write 20260701T070000Z",
                     id="until-local-time"),
        pytest.param("FREQ=DAILY;UNTIL=20261231", "a day; .*write 20261231T225959Z",
                     id="until-a-day"),
        pytest.param("FREQ=DAILY;UNTIL=99991231", "write UTC", id="until-the-end-of-days"),
        pytest.param("FREQ=DAILY;BYMONTH=" + "1," * MOST_TEXT + "1", "at most 4,096 characters",
                     id="a-long-list"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        checked(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("FREQ=DAILY;UNTIL=20261231T000000Z", "write 20261231", id="until-utc"),
        pytest.param("FREQ=DAILY;UNTIL=20261231T090000", "write 20261231", id="until-local"),
        pytest.param("FREQ=DAILY;BYHOUR=0", "BYHOUR must not stand", id="hours"),
        pytest.param("FREQ=DAILY;BYMINUTE=0", "BYMINUTE must not stand", id="minutes"),
        pytest.param("FREQ=DAILY;BYSECOND=0", "BYSECOND must not stand", id="seconds"),
    ],
)
def test_rules_that_cannot_be_where_the_start_is_a_day(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        checked(text, dated=True)


def test_a_day_ends_at_a_day() -> None:
    checked("FREQ=DAILY;UNTIL=20261231", dated=True)


@pytest.mark.parametrize(
    "text",
    ["RRULE:FREQ=WEEKLY;BYDAY=MO,2FR;COUNT=3", "count=3;byday=mo,+2fr;freq=weekly",
     " FREQ=WEEKLY;COUNT=3;BYDAY=2FR,MO,MO; "],
    ids=["with-its-name", "small-letters-in-another-order", "with-an-end"],
)  # fmt: skip
def test_one_rule_in_several_spellings(text: str) -> None:
    rule = parse_rule(text)
    assert (rule.freq, rule.count) == (Frequency.WEEKLY, 3)
    assert rule.weekdays == {Weekday(0, 0), Weekday(2, 4)}


def test_until_in_utc_is_taken_in_any_zone() -> None:
    for zone in (BERLIN, UTC, ZoneInfo("Pacific/Apia")):
        check_rule(parse_rule("FREQ=DAILY;UNTIL=20270101T235960Z"), dated=False, zone=zone)

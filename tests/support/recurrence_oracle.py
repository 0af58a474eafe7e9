"""A second reading of RFC 5545, 3.3.10, to hold recurrences to: slow, and written from its table.

It goes period by period and part by part: each BYxxx part names its days or times one by one, by
counting them out, and what all parts name is left. Nothing is shared with the product: weeks are
found by counting the days of a year in them, the nth weekday by listing all of them, and a local
time's instant by looking for what the zone's clocks showed. What a rule leaves out is taken from
its start as RFC 8984, 4.3.3.1, lists it.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache

DAY = timedelta(days=1)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def occurrences(
    rule: Mapping[str, str], start: datetime, zone: tzinfo, *, from_year: int, to_year: int
) -> list[int]:
    """Unix ms, ascending, of those whose local time is within the years and not before the start.
    With COUNT, from_year is to be the start's."""
    first = start.date()
    found: set[int] = set()
    start_ms = instant(start, zone)
    for period in _periods(rule, first, date(from_year - 1, 1, 1), date(to_year + 1, 12, 31)):
        times = _in_period(rule, start, period)
        if "BYSETPOS" in rule:
            places = _numbers(rule["BYSETPOS"])
            times = sorted(
                {
                    times[place - 1 if place > 0 else place]
                    for place in places
                    if abs(place) <= len(times)
                }
            )
        found |= {
            instant(one, zone) for one in times if one >= start and from_year <= one.year <= to_year
        }
    ordered = sorted(one for one in found if one >= start_ms)
    if "COUNT" in rule:
        ordered = ordered[: int(rule["COUNT"])]
    if "UNTIL" in rule:
        until = datetime.strptime(rule["UNTIL"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        ordered = [one for one in ordered if EPOCH + timedelta(milliseconds=one) <= until]
    return ordered


def instant(local: datetime, zone: tzinfo) -> int:
    """The first instant at which the zone's clocks show a local time; of one that they leave out,
    the time with the offset that was in force before (RFC 5545, 3.3.5)."""
    if zone is UTC:
        return (local.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
    offsets, before = [], timedelta(0)
    guess = local.replace(tzinfo=UTC)
    for hours in range(-26, 27, 2):
        at = guess + timedelta(hours=hours)
        offset = at.astimezone(zone).utcoffset()
        assert offset is not None
        offsets.append(offset)
        if at.replace(tzinfo=None) + offset <= local:
            before = offset
    shown = sorted(
        guess - offset
        for offset in set(offsets)
        if (guess - offset).astimezone(zone).replace(tzinfo=None) == local
    )
    at = shown[0] if shown else guess - before
    return (at - EPOCH) // timedelta(milliseconds=1)


def _periods(
    rule: Mapping[str, str], start: date, earliest: date, latest: date
) -> Iterator[list[date]]:
    """The days of every INTERVAL-th period, counted from the one of the start."""
    interval, freq = int(rule.get("INTERVAL", "1")), rule["FREQ"]
    week_start = DAYS.index(rule.get("WKST", "MO"))
    if freq == "YEARLY" and "BYWEEKNO" in rule:
        home = next(
            year
            for year in (start.year - 1, start.year, start.year + 1)
            if any(start in week for week in weeks_of(year, week_start))
        )
        for year in range(home, latest.year + 1, interval):
            if year >= earliest.year:
                yield [day for week in weeks_of(year, week_start) for day in week]
        return
    if freq in ("YEARLY", "MONTHLY"):
        months = 12 if freq == "YEARLY" else 1
        number = start.year * 12 + (start.month - 1 if months == 1 else 0)
        while number // 12 <= latest.year:
            begin = date(number // 12, number % 12 + 1, 1)
            number += months
            end = date(number // 12, number % 12 + 1, 1)
            if begin >= earliest:
                yield [begin + n * DAY for n in range((end - begin).days)]
            number += months * (interval - 1)
        return
    length = 7 if freq == "WEEKLY" else 1
    begin = start
    while freq == "WEEKLY" and begin.weekday() != week_start:
        begin -= DAY
    while begin <= latest:
        if begin >= earliest:
            yield [begin + n * DAY for n in range(length)]
        begin += length * interval * DAY


@lru_cache
def weeks_of(year: int, week_start: int) -> list[list[date]]:
    """The weeks that have at least four days in the year, each of seven days."""
    begin = date(year, 1, 1) - 6 * DAY
    while begin.weekday() != week_start:
        begin += DAY
    weeks = []
    while begin <= date(year, 12, 31):
        week = [begin + n * DAY for n in range(7)]
        if sum(day.year == year for day in week) >= 4:
            weeks.append(week)
        begin += 7 * DAY
    return weeks


def _in_period(rule: Mapping[str, str], start: datetime, days: list[date]) -> list[datetime]:
    left = [day for day in days if _day_is_in(rule, start, day)]
    hours = _numbers(rule["BYHOUR"]) if "BYHOUR" in rule else [start.hour]
    minutes = _numbers(rule["BYMINUTE"]) if "BYMINUTE" in rule else [start.minute]
    seconds = _numbers(rule["BYSECOND"]) if "BYSECOND" in rule else [start.second]
    times = {time(h, m, min(s, 59)) for h in hours for m in minutes for s in seconds}
    return sorted(datetime.combine(day, at) for day in left for at in times)


def _day_is_in(rule: Mapping[str, str], start: datetime, day: date) -> bool:
    freq = rule["FREQ"]
    given = dict(rule)
    if freq == "WEEKLY":
        given.setdefault("BYDAY", DAYS[start.weekday()])
    if freq == "MONTHLY" and "BYDAY" not in rule:
        given.setdefault("BYMONTHDAY", str(start.day))
    if freq == "YEARLY" and "BYYEARDAY" not in rule:
        if "BYWEEKNO" not in rule and ("BYMONTHDAY" in rule or "BYDAY" not in rule):
            given.setdefault("BYMONTH", str(start.month))
        if not {"BYMONTHDAY", "BYWEEKNO", "BYDAY"} & set(rule):
            given["BYMONTHDAY"] = str(start.day)
        if "BYWEEKNO" in rule and not {"BYMONTHDAY", "BYDAY"} & set(rule):
            given["BYDAY"] = DAYS[start.weekday()]
    if "BYMONTH" in given and day.month not in _numbers(given["BYMONTH"]):
        return False
    if "BYWEEKNO" in given and not _week_is_in(given, day):
        return False
    if "BYYEARDAY" in given:
        first, last = date(day.year, 1, 1), date(day.year, 12, 31)
        named = [
            first + (n - 1) * DAY if n > 0 else last + (n + 1) * DAY
            for n in _numbers(given["BYYEARDAY"])
        ]
        if day not in named:
            return False
    if "BYMONTHDAY" in given:
        length = monthrange(day.year, day.month)[1]
        if day.day not in [n if n > 0 else length + 1 + n for n in _numbers(given["BYMONTHDAY"])]:
            return False
    return "BYDAY" not in given or _weekday_is_in(rule, given["BYDAY"], day)


def _week_is_in(rule: Mapping[str, str], day: date) -> bool:
    week_start = DAYS.index(rule.get("WKST", "MO"))
    return any(
        abs(number) <= len(weeks) and day in weeks[number - 1 if number > 0 else number]
        for year in (day.year - 1, day.year, day.year + 1)
        if (weeks := weeks_of(year, week_start))
        for number in _numbers(rule["BYWEEKNO"])
    )


def _weekday_is_in(rule: Mapping[str, str], weekdays: str, day: date) -> bool:
    within_month = rule["FREQ"] == "MONTHLY" or "BYMONTH" in rule
    alike = _all_alike(day.year, day.month if within_month else 0, day.weekday())
    for one in weekdays.split(","):
        number, name = int(one[:-2] or 0), one[-2:]
        named = alike if number == 0 else []
        if 0 < abs(number) <= len(alike):
            named = [alike[number - 1 if number > 0 else number]]
        if DAYS[day.weekday()] == name and day in named:
            return True
    return False


@lru_cache
def _all_alike(year: int, month: int, weekday: int) -> list[date]:
    """Every Monday, or another weekday, of a month or, with 0, of a year."""
    day, end = date(year, month or 1, 1), date(year, month or 12, monthrange(year, month or 12)[1])
    found = []
    while day <= end:
        if day.weekday() == weekday:
            found.append(day)
        day += DAY
    return found


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]

"""Compiles what holds a rule back although it matched: active hours, and rate limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, time

from control_plane.errors import InvalidInput
from control_plane.printable import quoted
from data_sharing.calendars.active_hours import ActiveHours, RecurringHours, WeeklyHours
from data_sharing.calendars.recurrence_rule import WEEKDAYS, parse_rule
from data_sharing.calendars.timing import timing_of
from data_sharing.calendars.zones import check_zone, zone_of
from data_sharing.forecasts.spec import duration_ms
from data_sharing.rules.document_faults import FaultCollector, within
from data_sharing.rules.rate_limits import MOST_FIRINGS, RateLimit
from data_sharing.rules.spec import ActiveHoursSpec, LimitSpec, OpenHoursSpec

MOST_LIMITS = 4
MOST_HOURS = 16
MOST_DATES = 366
LONGEST_OPEN_MS = 31 * 86_400_000
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def compile_limits(
    given: Sequence[LimitSpec], faults: FaultCollector, at: str
) -> tuple[RateLimit, ...]:
    """at: of the rule."""
    if len(given) > MOST_LIMITS:
        faults.add(f"{at}.limits", f"{len(given)} limits; at most {MOST_LIMITS}")
    found: list[RateLimit] = []
    for number, one in enumerate(given[:MOST_LIMITS]):
        place = f"{at}.limits[{number}]"
        if not 1 <= one.at_most <= MOST_FIRINGS:
            faults.add(f"{place}.at_most", f"{one.at_most} is not within 1 to {MOST_FIRINGS:,}")
        with faults.gather(), within(place):
            per_ms = duration_ms(one.per, "per", least_ms=1_000)
            found.append(RateLimit(at_most=one.at_most, per_ms=per_ms, of_rule=one.of == "rule"))
    return tuple(found)


def compile_hours(
    given: ActiveHoursSpec | None, faults: FaultCollector, at: str
) -> ActiveHours | None:
    """None: any time, or what is given is no hours."""
    if given is None:
        return None
    with faults.gather(), within(at):
        check_zone(given.zone)
        zone = zone_of(given.zone)
        if not given.open and not given.open_on:
            raise InvalidInput("open", "open: names no hours, so the rule would never act")
        for field, count, most in (
            ("open", len(given.open), MOST_HOURS),
            ("closed_on", len(given.closed_on), MOST_DATES),
            ("open_on", len(given.open_on), MOST_DATES),
        ):
            if count > most:
                raise InvalidInput(field, f"{field}: {count}; at most {most}")
        weekly: list[WeeklyHours] = []
        recurring: list[RecurringHours] = []
        for number, one in enumerate(given.open):
            with within(f"open[{number}]"):
                if one.starts is None:
                    weekly.append(_weekly(one))
                else:
                    recurring.append(_recurring(one, given.zone))
        closed_on = _dates(given.closed_on, "closed_on")
        open_on = _dates(given.open_on, "open_on")
        both = sorted(closed_on & open_on)
        if both:
            raise InvalidInput("open_on", f"open_on: {both[0]} stands in `closed_on` as well")
        return ActiveHours(zone, weekly, recurring, closed_on, open_on)
    return None


def compile_action_hours(
    given: ActiveHoursSpec | None, faults: FaultCollector, at: str
) -> ActiveHours | None:
    """The same of one action of a rule, which cannot wait for them. at: of the action."""
    if given is not None and given.outside == "defer":
        said = "an action is left out outside its hours; to defer it, give the rule `active_hours`"
        faults.add(f"{at}.active_hours.outside", said)
    return compile_hours(given, faults, f"{at}.active_hours")


def _weekly(one: OpenHoursSpec) -> WeeklyHours:
    if one.lasts is not None or one.repeats is not None:
        raise InvalidInput("starts", "starts: is missing, which `lasts` and `repeats` are from")
    if one.begin is None or one.end is None:
        raise InvalidInput("from", "from: hours need `from` and `to`, or `starts` and `lasts`")
    unknown = [day for day in one.days if day not in WEEKDAYS]
    if unknown:
        raise InvalidInput("days", f"days: {quoted(unknown[0])} is none of {', '.join(WEEKDAYS)}")
    days = one.days or list(WEEKDAYS)
    return WeeklyHours(
        days=frozenset(map(WEEKDAYS.index, days)),
        begin=_time(one.begin, "from"),
        end=time(0) if one.end == "24:00" else _time(one.end, "to"),
    )


def _recurring(one: OpenHoursSpec, zone: str) -> RecurringHours:
    assert one.starts is not None
    if one.begin is not None or one.end is not None or one.days:
        raise InvalidInput("starts", "starts: goes with `lasts` and `repeats`, not with `from`")
    if one.lasts is None:
        raise InvalidInput("lasts", "lasts: is missing: how long it is open from `starts` on")
    if one.repeats is not None and parse_rule(one.repeats).count is not None:
        raise InvalidInput("repeats", "repeats: has COUNT; write when it ends, UNTIL")
    return RecurringHours(
        timing=timing_of(one.starts, zone_of(zone), one.repeats),
        lasts_ms=duration_ms(one.lasts, "lasts", least_ms=1_000, most_ms=LONGEST_OPEN_MS),
    )


def _time(text: str, field: str) -> time:
    found = _TIME.fullmatch(text)
    if found is None:
        raise InvalidInput(field, f"{field}: {quoted(text)} is no time of day; write 08:00")
    return time(int(found[1]), int(found[2]))


def _dates(given: Sequence[str], field: str) -> frozenset[date]:
    found: set[date] = set()
    for text in given:
        try:
            if len(text) != len("2026-12-25"):
                raise ValueError
            found.add(date.fromisoformat(text))
        except ValueError:
            said = f"{field}: {quoted(text)} is no date; write 2026-12-25"
            raise InvalidInput(field, said) from None
    return frozenset(found)

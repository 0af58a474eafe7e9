"""Quiet hours: when somebody does not want to be disturbed, by the clock on their wall.

Local time is what counts, so a window from 22:00 to 07:00 is an hour shorter or longer in the two
nights a year in which clocks change. An end that the clock skips comes when it has skipped it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_MINUTES = 24 * 60
_MINUTE_MS = 60_000
_QUARTER_MS = 15 * _MINUTE_MS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """from_minute, to_minute: of the day, from 0 to 1,439; a window that ends before it begins goes
    over midnight. Raises ValueError where both are the same."""

    from_minute: int
    to_minute: int
    time_zone: str  # a name of the IANA database
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for minute in (self.from_minute, self.to_minute):
            if not 0 <= minute < DAY_MINUTES:
                raise ValueError(f"{minute} is no minute of a day")
        if self.from_minute == self.to_minute:
            raise ValueError("quiet hours begin and end at the same time")
        object.__setattr__(self, "_zone", ZoneInfo(self.time_zone))

    def hold(self, at_ms: int) -> bool:
        """Whether an instant is within them."""
        offset = _offset_minutes(self._zone, at_ms // _QUARTER_MS)
        if offset is None:
            local = self._local(at_ms)
            return self._within(local.hour * 60 + local.minute)
        return self._within((at_ms // _MINUTE_MS + offset) % DAY_MINUTES)

    def end_ms(self, at_ms: int) -> int:
        """When those that hold at an instant are over; the instant itself where none do."""
        if not self.hold(at_ms):
            return at_ms
        local = self._local(at_ms)
        today = local.replace(
            hour=self.to_minute // 60, minute=self.to_minute % 60, second=0, microsecond=0, fold=0
        )
        wall, end_wall = local.replace(tzinfo=None), today.replace(tzinfo=None)
        ends = today if end_wall > wall else today + timedelta(days=1)
        end_ms = _unix_ms(ends)
        if end_ms <= at_ms:  # the clock shows this hour for the second time
            end_ms = _unix_ms(ends.replace(fold=1))
        return end_ms if self._shows(end_ms) else self._skipped(at_ms, end_ms)

    def _shows(self, at_ms: int) -> bool:
        """Whether the clock shows the end of the window then: it does not where it is skipped."""
        local = self._local(at_ms)
        return local.hour * 60 + local.minute == self.to_minute

    def _skipped(self, at_ms: int, late_ms: int) -> int:
        """The first minute after the clock has gone over the end of the window."""
        low, high = at_ms // _MINUTE_MS, late_ms // _MINUTE_MS
        while high - low > 1:
            middle = (low + high) // 2
            if self.hold(middle * _MINUTE_MS):
                low = middle
            else:
                high = middle
        return high * _MINUTE_MS

    def _local(self, at_ms: int) -> datetime:
        return _local(self._zone, at_ms)

    def _within(self, minute: int) -> bool:
        if self.from_minute < self.to_minute:
            return self.from_minute <= minute < self.to_minute
        return minute >= self.from_minute or minute < self.to_minute


@lru_cache(maxsize=4_096)
def _offset_minutes(zone: ZoneInfo, quarter: int) -> int | None:
    """Of local time from UTC within a quarter of an hour; None where it changes within it, or
    is no whole minute, as before there were time zones."""
    first = _local(zone, quarter * _QUARTER_MS).utcoffset()
    last = _local(zone, (quarter + 1) * _QUARTER_MS - 1).utcoffset()
    if first is None or first != last or first % timedelta(minutes=1):
        return None
    return first // timedelta(minutes=1)


def _local(zone: ZoneInfo, at_ms: int) -> datetime:
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone)


def _unix_ms(local: datetime) -> int:
    return (local - _EPOCH) // timedelta(milliseconds=1)

"""Instants and durations as they must stand inside objects that expressions read.

The CEL package takes datetime and timedelta as variables but not inside of maps and lists, where
it wants protobuf's forms. Results are always datetime (UTC) and timedelta.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

TimeValue: TypeAlias = Any  # opaque to everybody else


def instant(unix_ms: int) -> TimeValue:
    """A timestamp in CEL."""
    return Timestamp(seconds=unix_ms // 1_000, nanos=unix_ms % 1_000 * 1_000_000)


def duration(ms: int) -> TimeValue:
    """A duration in CEL."""
    made = Duration()
    made.FromMilliseconds(ms)
    return made


def time_text(value: object) -> str | None:
    """Of an instant in RFC 3339, of a duration in seconds ("90s"); None for anything else.

    >>> time_text(instant(1_500)), time_text(duration(-90_000)), time_text("now")
    ('1970-01-01T00:00:01.500Z', '-90s', None)
    """
    return value.ToJsonString() if isinstance(value, (Timestamp, Duration)) else None

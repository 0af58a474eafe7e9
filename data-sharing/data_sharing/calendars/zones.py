"""Zones: the time zones of the IANA database, by name."""

from __future__ import annotations

from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from control_plane.errors import InvalidInput
from control_plane.printable import quoted


@cache
def _zones() -> frozenset[str]:
    """The names of the IANA database that mean a zone. What else a system keeps beside them is
    none: `right/` counts leap seconds, which nothing here does, `localtime` is whatever the
    machine is set to, and `Factory` says that nothing is."""
    return frozenset(available_timezones()) - {"localtime", "Factory"}


def check_zone(name: str) -> None:
    """Raises InvalidInput where it is no zone of the IANA database."""
    if name not in _zones():
        raise InvalidInput("zone", f"zone: {quoted(name)} is no IANA time zone, as Europe/Berlin")


def zone_of(name: str) -> ZoneInfo:
    """Of a name that was checked. Raises InvalidInput."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput("zone", f"zone: {quoted(name)} is no IANA time zone") from None

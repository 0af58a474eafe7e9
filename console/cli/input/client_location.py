"""Where an operator says a client is: --ip or --at, never both."""

from __future__ import annotations

import ipaddress
import math

from console.cli.failure import CommandFailed, ExitCode


def parse_location(
    address: str | None, at: str | None
) -> tuple[str | None, tuple[float, float] | None]:
    """The address as it is, the position in degrees; at most one of them. Raises
    CommandFailed (usage)."""
    if address is not None and at is not None:
        raise CommandFailed("give --ip or --at, not both", ExitCode.USAGE)
    if address is not None:
        try:
            ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            raise CommandFailed(
                f"--ip {address} is not an IPv4 or IPv6 address", ExitCode.USAGE
            ) from None
    return address, None if at is None else parse_position(at, "--at")


def parse_position(text: str, flag: str) -> tuple[float, float]:
    """Latitude and longitude in degrees from `LAT,LON`. Raises CommandFailed (usage)."""
    parts = text.split(",")
    try:
        latitude, longitude = (float(part) for part in parts)
    except ValueError:
        raise CommandFailed(
            f"{flag} {text} is not LAT,LON in degrees, such as 53.3,-6.3", ExitCode.USAGE
        ) from None
    if not (math.isfinite(latitude) and math.isfinite(longitude)) or (
        abs(latitude) > 90 or abs(longitude) > 180
    ):
        raise CommandFailed(
            f"{flag} {text} is not on Earth: latitude -90 to 90, longitude -180 to 180",
            ExitCode.USAGE,
        )
    return latitude, longitude

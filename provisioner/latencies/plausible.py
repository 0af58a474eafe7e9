"""What of a reported latency can be true: no round trip is shorter than light in fibre takes. Pure.

The client may be anywhere within its location's uncertainty, so the shortest way counts. Where a
client is only by its tenant's default, nobody knows: what it measured would speak for a place that
it is not at.
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address, ip_address

from provisioner.geo.location import Location, LocationSource
from provisioner.placement.geodesy import distance_km
from provisioner.placement.latency import FIBRE_KM_PER_MS

MOST_MS = 10_000.0
LEAST_MS = 0.05  # within one machine, over a network device


class ReportOutcome(Enum):
    """What became of a reported figure, or of a whole report: the two that come too early."""

    ACCEPTED = "accepted"
    NOT_OFFERED = "not_offered"
    OUT_OF_RANGE = "out_of_range"
    NO_POSITION = "no_position"
    FASTER_THAN_LIGHT = "faster_than_light"
    CLIENT_TOO_EARLY = "client_too_early"
    NETWORK_TOO_OFTEN = "network_too_often"


def why_implausible(
    ms: float, location: Location, unit_latitude: float, unit_longitude: float
) -> tuple[ReportOutcome, str] | None:
    """Why a client at a location cannot have measured so many ms to a unit; None: it can."""
    if not LEAST_MS <= ms <= MOST_MS:
        why = f"a round trip takes {LEAST_MS:g} to {MOST_MS:,.0f} ms"
        return ReportOutcome.OUT_OF_RANGE, why
    if (
        location.latitude is None
        or location.longitude is None
        or location.source is LocationSource.TENANT_DEFAULT
    ):
        return ReportOutcome.NO_POSITION, "nobody knows where the client is"
    away_km = distance_km(location.latitude, location.longitude, unit_latitude, unit_longitude)
    least_km = max(0.0, away_km - location.uncertainty_km)
    least_ms = 2 * least_km / FIBRE_KM_PER_MS
    if ms < least_ms:
        why = f"light needs {least_ms:.1f} ms for {least_km:,.0f} km in fibre, there and back"
        return ReportOutcome.FASTER_THAN_LIGHT, why
    return None


def network_of(address: str) -> str:
    """The network whose clients count as one voice: an IPv4 /24, an IPv6 /40.

    >>> network_of("192.0.2.77"), network_of("2001:db8:12ff::1")
    ('192.0.2.0/24', '2001:db8:1200::/40')
    """
    found = ip_address(address)
    if not isinstance(found, IPv4Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    bits, keep = (32, 24) if isinstance(found, IPv4Address) else (128, 40)
    first = int(found) >> (bits - keep) << (bits - keep)
    return f"{type(found)(first)}/{keep}"

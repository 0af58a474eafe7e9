"""Certainty: how well it is known in which country a client is. Pure.

The uncertainty of a location is a radius in kilometres; whether it reaches over a border depends
on how near that is, which Homeport does not know: it has no map of borders. So the policy says
up to which uncertainty the country counts as certain.
"""

from __future__ import annotations

from enum import StrEnum

from provisioner.geo.location import Location, LocationSource
from provisioner.policy.document import Trust

SAID = frozenset({LocationSource.OVERRIDE, LocationSource.DECLARED})


class Certainty(StrEnum):
    """Of the country of one location, best first."""

    CERTAIN = "certain"
    UNCERTAIN = "uncertain"  # the client may be over a border
    REGISTERED = "registered"  # a country without position: where its network is registered
    UNKNOWN = "unknown"  # no country


def certainty_of(location: Location, certain_within_km: float) -> Certainty:
    """How well the country is known, where a radius of so many km is certain."""
    if not location.country:
        return Certainty.UNKNOWN
    if location.latitude is None:
        return Certainty.REGISTERED
    near = location.uncertainty_km <= certain_within_km
    return Certainty.CERTAIN if near else Certainty.UNCERTAIN


def trusted(location: Location, certainty: Certainty, trust: Trust) -> bool:
    """Whether a rule that trusts locations so far may match by this one."""
    if trust is Trust.STRICT:
        return certainty is Certainty.CERTAIN
    return trust is Trust.LIKELY or location.source in SAID

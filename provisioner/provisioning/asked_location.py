"""Asked location: where a client is that somebody asks about, and by whose word.

What the caller says counts. Else a client that has a home is where its record says it was,
never where the question comes from; and one that has none is where it would be for Provision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from control_plane.fleet.unit import Position
from provisioner.geo.location import Location, LocationSource
from provisioner.geo.locator import Locator
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.placement.eligibility import is_nowhere

NO_RECORD: Mapping[str, float] = MappingProxyType({})
UNSAID = "nobody said where the client is"
_BY = {
    LocationSource.OVERRIDE: ", by an operator's override",
    LocationSource.DECLARED: ", as its caller declared it",
    LocationSource.DATABASE: ", by the geo database of then",
    LocationSource.TENANT_DEFAULT: ", by the tenant's default position of then",
}


def unsaid_location(
    locator: Locator,
    record: AssignmentRecord | None,
    tenant_default: Position | None,
    *,
    caller: Callable[[], str | None],
    store_away: bool,
) -> tuple[Location, str]:
    """The location, and one sentence on it, where the caller does not say.

    record: of its home, None where it has none, or the store is away; caller: the address of
    the call.
    """
    if record is not None:
        location = record.location
        if not is_nowhere(location):
            by = _BY.get(location.source, "")
            return location, f"{UNSAID}; its record says where it was when it came to its home{by}"
        fallback, _ = locator.explain(None, None, tenant_default)
        if fallback.source is LocationSource.TENANT_DEFAULT:
            return fallback, f"{UNSAID}, nor does its record; the tenant's default position counts"
        return fallback, f"{UNSAID}, and its record says that nobody knew when it came to its home"
    if store_away:
        location, why = locator.explain(None, None, tenant_default)
        return location, f"{UNSAID}, and the store that has its record is away: {why}"
    location, why = locator.explain(caller(), None, tenant_default)
    return location, f"it has no home, and {UNSAID}; where this call comes from counts: {why}"


def recorded_distance(record: AssignmentRecord | None) -> Mapping[str, float]:
    """How far its home was where the client was, km, by the unit; empty: not recorded. The record
    keeps a cell of the position alone, and the distance from the position itself."""
    if record is None or record.why is None or record.why.distance_km < 0:
        return NO_RECORD
    return {record.unit: record.why.distance_km}

"""Locator: where a client is, by whoever knows best.

Overrides, then what the caller declared, then the database, then the tenant's default, then
nowhere, which is an answer like any other: placement knows what to do with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from control_plane.fleet.unit import Position
from provisioner.geo.address import Scope, check_client, parse, scope_of
from provisioner.geo.batch_lookup import find_many
from provisioner.geo.cells import cell_of
from provisioner.geo.database import GeoDatabase
from provisioner.geo.declared import check_position
from provisioner.geo.location import NOWHERE, Location, LocationSource
from provisioner.geo.networks import widest_network
from provisioner.geo.overrides import Overrides


class Locator:
    """`current` gives the database to use now, so that a new file counts at once."""

    def __init__(
        self, current: Callable[[], GeoDatabase], overrides: Overrides | None = None
    ) -> None:
        self._current = current
        self._overrides = overrides if overrides is not None else Overrides()
        self._has_overrides = self._overrides.count > 0

    @property
    def database(self) -> GeoDatabase:
        """The database in use now."""
        return self._current()

    def locate(
        self,
        address: str | None,
        declared: tuple[float, float] | None,
        tenant_default: Position | None,
    ) -> Location:
        """Where a client is. `declared` is (latitude, longitude) in degrees; its country is
        the address's, where there is one. Raises InvalidInput for an address or position
        that cannot be."""
        found: Location | None = None
        if address is not None:
            parsed = parse(address)
            if self._has_overrides:
                check_client(address, parsed)
                found = self._overrides.find(parsed)
                if found is not None:
                    if declared is not None:
                        check_position(*declared, "position")
                    return found
            found = self._current().find(parsed)
            if found is None:
                check_client(address, parsed)  # the database knows public addresses alone
            elif declared is None:
                return found
        if declared is not None:
            return at_position(*check_position(*declared, "position"), like=found)
        if tenant_default is not None:
            return _default(tenant_default)
        return NOWHERE

    def network(self, address: str, located: Location) -> str:
        """The widest network around an address of whose addresses `locate` says the same, where
        nothing is declared, in CIDR notation. located: what it said of this one; empty where that
        is not what the database says now. Of an IPv6 address that stands for an IPv4 one it is a
        network of those. Raises InvalidInput."""
        parsed = parse(address)
        database = self._current()
        if self._overrides.find(parsed) is not None or database.find(parsed) is not located:
            return ""
        first, last = database.around(parsed)
        if self._has_overrides:
            low, high = self._overrides.around(parsed)
            first, last = max(first, low), min(last, high)
        return widest_network(parsed, first, last)

    def locate_plain(self, addresses: Sequence[str]) -> Sequence[Location | None]:
        """Of many addresses those whose location takes nothing but a look into the database;
        None: ask `locate`."""
        if self._has_overrides:
            return [None] * len(addresses)
        return find_many(self._current(), addresses)

    def explain(
        self,
        address: str | None,
        declared: tuple[float, float] | None,
        tenant_default: Position | None,
    ) -> tuple[Location, str]:
        """The same, with one sentence on how it was found."""
        location = self.locate(address, declared, tenant_default)
        source = location.source
        if source is LocationSource.OVERRIDE:
            return location, f"an operator's override covers {address}"
        if source is LocationSource.DECLARED:
            return location, "the caller declared the position"
        if source is LocationSource.DATABASE:
            kind = self.database.info.database_type
            within = (
                f", within {location.uncertainty_km:,.0f} km" if location.uncertainty_km else ""
            )
            where = location.country or location.continent or "a country nobody names"
            return location, f"{address} is in {where} by the database {kind}{within}"
        if address is None:
            why = "there is no address to go by"
        else:
            scope = scope_of(parse(address))
            why = (
                f"the database does not know {address}"
                if scope is Scope.PUBLIC
                else f"{address} is a {scope} address, which is nowhere in particular"
            )
        if source is LocationSource.TENANT_DEFAULT:
            return location, f"{why}; the tenant's default position counts"
        return location, f"{why}, and the tenant has no default position"


def at_position(latitude: float, longitude: float, *, like: Location | None = None) -> Location:
    """A declared position; country and the rest are those of `like`, the address."""
    country = like.country if like is not None else ""
    continent = like.continent if like is not None else ""
    return Location(
        source=LocationSource.DECLARED,
        country=country,
        subdivision=like.subdivision if like is not None else "",
        continent=continent,
        latitude=latitude,
        longitude=longitude,
        uncertainty_km=0.0,
        cell=cell_of(country, latitude, longitude, 0.0, continent),
    )


def _default(position: Position) -> Location:
    return Location(
        source=LocationSource.TENANT_DEFAULT,
        latitude=position.latitude,
        longitude=position.longitude,
        cell=cell_of("", position.latitude, position.longitude, 0.0),
    )

"""Overrides: what an operator knows better than any database, by CIDR block.

    overrides:
      - {cidr: 203.0.113.0/24, country: IE, position: {latitude: 53.3, longitude: -6.3}}
      - {cidr: "2001:db8::/32", country: DE, uncertainty_km: 200}

The longest matching block wins. Nested blocks are cut into disjoint ranges once, when the
file is read, so a lookup is one bisection however many there are.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.errors import FaultyFile, InvalidInput
from control_plane.printable import quoted
from control_plane.yaml_files import UnreadableYaml, parse, read_text
from provisioner.geo.address import Address, embedded_ipv4
from provisioner.geo.cells import cell_of
from provisioner.geo.countries import continent_of, countries
from provisioner.geo.declared import check_position
from provisioner.geo.location import Location, LocationSource

_KEYS = frozenset({"cidr", "country", "subdivision", "position", "uncertainty_km"})
MOST_TOLD = 100  # problems of a file
MOST_SUBDIVISION = 64  # characters; it goes into answers


class BadOverrides(FaultyFile):
    """The overrides file is wrong; each line of the message is one problem."""

    reason = "BAD_GEO_OVERRIDES"

    def __init__(self, message: str) -> None:
        super().__init__("geo_overrides", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One block and where its addresses are."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network
    location: Location


class Overrides:
    """Immutable lookup over any number of overrides."""

    def __init__(self, overrides: Iterable[Override] = ()) -> None:
        entries = list(overrides)
        self._v4 = _disjoint([o for o in entries if o.network.version == 4])
        self._v6 = _disjoint([o for o in entries if o.network.version == 6])
        self.count = len(entries)

    def find(self, address: Address) -> Location | None:
        """The location of the longest block around the address, or None."""
        starts, found = self._v4 if address.version == 4 else self._v6
        if not starts:
            return None
        place = bisect_right(starts, address.number) - 1
        return found[place] if place >= 0 else None

    def around(self, address: Address) -> tuple[int, int]:
        """The first and the last number around an address that `find` answers alike."""
        starts, _ = self._v4 if address.version == 4 else self._v6
        place = bisect_right(starts, address.number)
        first = starts[place - 1] if place else 0
        bits = 32 if address.version == 4 else 128
        return first, (starts[place] if place < len(starts) else 1 << bits) - 1

    @classmethod
    def read(cls, path: Path) -> Overrides:
        """From a YAML file. Raises BadOverrides with everything that is wrong."""
        try:
            document, problems = parse(read_text(path))
        except UnreadableYaml as error:
            raise BadOverrides(f"{path} {error}") from error
        problems = [f"{path}: {problem}" for problem in problems]
        listed = document.get("overrides") if isinstance(document, Mapping) else document
        if not isinstance(listed, list):
            raise BadOverrides(
                "\n".join([*problems, f"{path} needs a list under the key `overrides`"])
            )
        good: list[Override] = []
        seen: dict[Any, int] = {}
        for place, entry in enumerate(listed):
            try:
                one = _override(entry)
                if one.network in seen:
                    raise InvalidInput(
                        "cidr", f"{one.network} is there already, as overrides[{seen[one.network]}]"
                    )
                seen[one.network] = place
                good.append(one)
            except InvalidInput as error:
                problems.append(f"{path}: overrides[{place}]: {error.message}")
        if problems:
            more = len(problems) - MOST_TOLD
            said = [
                *problems[:MOST_TOLD],
                *([f"{path}: {more:,} more: {FaultyFile.rest}"] if more > 0 else ()),
            ]
            raise BadOverrides("\n".join(said))
        return cls(good)


def _override(entry: Any) -> Override:
    if not isinstance(entry, Mapping):
        raise InvalidInput("overrides", "an override is a mapping with a cidr")
    for key in entry:
        if key not in _KEYS:
            raise InvalidInput(
                str(key), f"unknown key {quoted(key)}; use {', '.join(sorted(_KEYS))}"
            )
    try:
        network = ipaddress.ip_network(str(entry.get("cidr", "")))
    except ValueError as error:
        raise InvalidInput("cidr", f"cidr: {error}") from error
    if network.version == 6 and None not in (
        embedded_ipv4(int(network.network_address)),
        embedded_ipv4(int(network.broadcast_address)),
    ):
        raise InvalidInput(
            "cidr", f"cidr {network} holds IPv4 clients, who are looked up as such; write it so"
        )
    country = entry.get("country", "")
    if not isinstance(country, str) or (country and country not in countries()):
        raise InvalidInput(
            "country", f"country {quoted(country)} is not an ISO 3166-1 code, in quotes"
        )
    subdivision = entry.get("subdivision") or ""
    if not isinstance(subdivision, str) or len(subdivision) > MOST_SUBDIVISION:
        raise InvalidInput(
            "subdivision",
            f"subdivision {quoted(subdivision)} is not a text of up to {MOST_SUBDIVISION} "
            "characters, in quotes",
        )
    uncertainty = entry.get("uncertainty_km")
    if uncertainty is not None and (
        not isinstance(uncertainty, int | float) or not 0 <= uncertainty <= 20_100
    ):
        raise InvalidInput(
            "uncertainty_km", f"uncertainty_km {quoted(uncertainty)} is not 0 to 20,100"
        )
    latitude = longitude = None
    radius = float(uncertainty or 0.0)
    position = entry.get("position")
    if position is not None:
        if not isinstance(position, Mapping) or set(position) != {"latitude", "longitude"}:
            raise InvalidInput("position", "position has latitude and longitude")
        latitude, longitude = check_position(
            position["latitude"], position["longitude"], "position"
        )
    elif country:
        known = countries()[country]
        latitude, longitude = known.latitude, known.longitude
        radius = known.radius_km if uncertainty is None else radius
    else:
        raise InvalidInput("position", "an override needs a country or a position")
    return Override(
        network=network,
        location=Location(
            source=LocationSource.OVERRIDE,
            country=country,
            subdivision=subdivision,
            continent=continent_of(country),
            latitude=latitude,
            longitude=longitude,
            uncertainty_km=radius,
            cell=cell_of(country, latitude, longitude, radius),
        ),
    )


def _disjoint(overrides: list[Override]) -> tuple[list[int], list[Location | None]]:
    """(starts, what holds from there on). Blocks nest or are apart, so a stack does it."""
    ordered = sorted(overrides, key=lambda o: (int(o.network.network_address), o.network.prefixlen))
    starts: list[int] = []
    found: list[Location | None] = []

    def say(start: int, location: Location | None) -> None:
        if starts and starts[-1] == start:
            found[-1] = location
        else:
            starts.append(start)
            found.append(location)

    open_blocks: list[Override] = []

    def close_before(start: int) -> None:
        while open_blocks and int(open_blocks[-1].network.broadcast_address) < start:
            ended = open_blocks.pop()
            outer = open_blocks[-1].location if open_blocks else None
            say(int(ended.network.broadcast_address) + 1, outer)

    for override in ordered:
        start = int(override.network.network_address)
        close_before(start)
        say(start, override.location)
        open_blocks.append(override)
    close_before(1 << 129)
    return starts, found

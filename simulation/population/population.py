"""Population: as many users as are asked for, each with an address where people are.

A user is a number and a seed: who it is follows from these alone, in O(log n) of the networks,
and no list of users is ever made. Countries count by their inhabitants, and within a country
networks by the size they have in the geo database; a third of the users of a country with IPv6
networks has an IPv6 address. Two users may share an address, as they do behind a router.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from provisioner.geo.address import Address, text_of
from provisioner.geo.database import GeoDatabase
from provisioner.geo.location import Location
from provisioner.geo.sampling import (
    IPV6_SHARE,
    CountryNetworks,
    country_networks,
    population_weights,
)
from simulation.population.mixing import fraction, fractions, mixed, mixed_many

_NO_ISATAP = 1 << 62  # in the last 64 bits: no IPv4 address can be read out of them
_GUIDED = 1 << 20  # a power of two, so that parts of a number are exact
_OFFSET, _HOST = 1, 2  # what is drawn of a user besides the network: added to the seed's stream


@dataclass(frozen=True, slots=True)
class SimulatedUser:
    """One user. client_id: distinct by number and seed; country: ISO 3166-1 alpha-2."""

    client_id: str
    address: str
    country: str


@dataclass(frozen=True, slots=True, eq=False)
class Networks:
    """Where users are, arrays in step, one entry per network range. keys, sizes: of IPv4
    addresses, or of IPv6 /64s, as `versions` says (4, 6); shares: of all users, 1.0 together;
    locations: places in the geo database's `locations`."""

    versions: NDArray[np.uint8]
    keys: NDArray[np.uint64]
    sizes: NDArray[np.uint64]
    shares: NDArray[np.float64]
    locations: NDArray[np.int64]


class Population:
    """Users over `networks`; `places` are what their `locations` point to. Immutable."""

    def __init__(self, networks: Networks, places: list[Location | None]) -> None:
        if not len(networks.shares):
            raise ValueError("a population needs a network to be in")
        self.networks = networks
        self.places = places
        cumulative = np.cumsum(networks.shares)
        cumulative /= cumulative[-1]
        self._cumulative = cumulative
        # Of each part of the way from 0.0 to 1.0, where it begins among the networks: most parts
        # are of one network, and need no bisecting.
        edges = np.arange(_GUIDED + 1) / _GUIDED
        self._guide = np.searchsorted(cumulative, edges, side="right").astype(np.int32)
        # The same for one user: bisecting an array is five times as fast as asking NumPy.
        self._bounds = array("d", cumulative.tobytes())
        self._versions = bytes(networks.versions)
        self._keys = array("Q", networks.keys.tobytes())
        self._sizes = array("Q", networks.sizes.tobytes())

    def user(self, number: int, seed: int) -> SimulatedUser:
        """The user of that number, 0 or more, under a seed."""
        at = bisect_right(self._bounds, fraction(mixed(number, seed * 4)))
        size = self._sizes[at]
        part = fraction(mixed(number, seed * 4 + _OFFSET))
        key = self._keys[at] + min(int(part * float(size)), size - 1)
        version = self._versions[at]
        if version == 6:
            key = key << 64 | mixed(number, seed * 4 + _HOST) >> 2 | _NO_ISATAP
        place = self.places[self.networks.locations[at]]
        return SimulatedUser(
            f"user-{seed}-{number}",
            text_of(Address(version, key)),
            place.country if place is not None else "",
        )

    def places_of(self, first: int, count: int, seed: int) -> NDArray[np.int64]:
        """Of the users `first` to `first + count - 1`, the places in `places` of where they are;
        what looking their addresses up in the database comes to. Shape (count,)."""
        numbers = np.arange(first, first + count, dtype=np.uint64)
        drawn = fractions(mixed_many(numbers, seed * 4))
        parts = (drawn * _GUIDED).astype(np.int64)
        at = self._guide[parts].astype(np.int64)
        several = np.flatnonzero(at != self._guide[parts + 1])
        at[several] = np.searchsorted(self._cumulative, drawn[several], side="right")
        return self.networks.locations[at]

    def shares_by_place(self) -> NDArray[np.float64]:
        """The share of all users at each of `places`; shape (len(places),), 1.0 together."""
        weights = np.bincount(
            self.networks.locations, weights=self.networks.shares, minlength=len(self.places)
        )
        shares: NDArray[np.float64] = weights / weights.sum()
        return shares


def load_population(geo: Path | None = None) -> Population:
    """The world's users over a geo database; None: the bundled one. Raises GeoDatabaseError,
    and ValueError where the database knows no network of any country."""
    return population_of(GeoDatabase.open(geo))


def population_of(
    database: GeoDatabase,
    weights: Mapping[str, float] | None = None,
    *,
    ipv6_share: float = IPV6_SHARE,
) -> Population:
    """Users by country (code to relative weight; None: inhabitants) over a database.
    ipv6_share: of the users of a country that has networks of both kinds, 0.0 to 1.0.
    Raises ValueError where none of the countries is in the database."""
    wanted = weights if weights is not None else population_weights()
    four, six = country_networks(database, database.v4), country_networks(database, database.v6)
    parts: list[tuple[int, float, CountryNetworks]] = []
    for code in sorted(wanted):
        pools = [(4, four.get(code), 1 - ipv6_share), (6, six.get(code), ipv6_share)]
        found = [(version, pool, share) for version, pool, share in pools if pool is not None]
        # A country without one kind has all its users in the other.
        whole = sum(share for _, _, share in found) if len(found) == 2 else 0.0
        for version, pool, share in found:
            part = wanted[code] * (share if whole else 1.0)
            if part > 0.0:
                parts.append((version, part, pool))
    if not parts:
        raise ValueError("none of these countries is in the database")
    networks = Networks(
        versions=np.repeat(
            np.array([version for version, _, _ in parts], dtype=np.uint8),
            [len(pool.starts) for _, _, pool in parts],
        ),
        keys=np.concatenate([pool.starts for _, _, pool in parts]),
        sizes=np.concatenate([pool.sizes for _, _, pool in parts]),
        shares=np.concatenate(
            [pool.weights * (part / pool.weights.sum()) for _, part, pool in parts]
        ),
        locations=np.concatenate([pool.locations for _, _, pool in parts]),
    )
    shares = networks.shares / networks.shares.sum()
    return Population(
        Networks(networks.versions, networks.keys, networks.sizes, shares, networks.locations),
        database.locations,
    )

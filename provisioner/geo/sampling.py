"""Sampling: public addresses that look like users, not like address space.

Countries by population, and within a country by the space of its networks in the geo
database; a share is IPv6 where a country has any. For the demo and for load tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from provisioner.geo.address import Address, text_of
from provisioner.geo.countries import countries
from provisioner.geo.database import GeoDatabase
from provisioner.geo.ranges import NO_RECORD, Ranges
from provisioner.geo.tree import Numbers

IPV6_SHARE = 1 / 3
# An IPv6 range counts by its /48s, and no more than a /24's worth of them.
_V6_CAP = 1 << 24
MOST_FRUITLESS = 100  # draws in a row that find nothing new


def population_weights() -> dict[str, float]:
    """People per country code."""
    return {code: float(country.population) for code, country in countries().items()}


def sample_public_addresses(
    database: GeoDatabase,
    count: int,
    seed: int,
    weights: Mapping[str, float] | None = None,
) -> list[str]:
    """`count` distinct addresses, the same for the same database, seed and weights (country
    code to relative weight; None: population). Raises ValueError where no country of the
    weights is in the database, or where they have too few addresses."""
    rng = np.random.default_rng(seed)
    wanted = dict(weights) if weights is not None else population_weights()
    pools = {
        4: country_networks(database, database.v4),
        6: country_networks(database, database.v6),
    }
    codes = [c for c in sorted(wanted) if wanted[c] > 0 and (c in pools[4] or c in pools[6])]
    if not codes:
        raise ValueError("none of these countries is in the database")
    shares = np.array([wanted[code] for code in codes])
    found: dict[str, None] = {}
    fruitless = 0
    while len(found) < count:
        if fruitless == MOST_FRUITLESS:
            raise ValueError(
                f"these countries have hardly more than {len(found)} addresses in the database"
            )
        had = len(found)
        missing = count - len(found)
        numbers = rng.multinomial(missing + missing // 20 + 1, shares / shares.sum())
        batch: list[str] = []
        for code, number in zip(codes, numbers.tolist(), strict=True):
            sixes = round(number * IPV6_SHARE) if code in pools[6] else 0
            if code not in pools[4]:
                sixes = number
            batch += _draw(rng, pools[6].get(code), sixes, 6)
            batch += _draw(rng, pools[4].get(code), number - sixes, 4)
        order = rng.permutation(len(batch))
        for place in order.tolist():
            if len(found) == count:
                break
            found.setdefault(batch[place])
        fruitless = fruitless + 1 if len(found) == had else 0
    return list(found)


@dataclass(frozen=True, slots=True, eq=False)
class CountryNetworks:
    """The ranges of one country, arrays in step. starts, sizes: keys, as in `Ranges`; weights:
    how much of the country's users is there, relative to each other; locations: places in the
    database's `locations`."""

    starts: Numbers
    sizes: Numbers
    weights: NDArray[np.float64]
    locations: NDArray[np.int64]


def country_networks(database: GeoDatabase, ranges: Ranges) -> dict[str, CountryNetworks]:
    """The ranges of each country by its code; those without a weight are left out."""
    starts = np.array(ranges.starts, dtype=np.uint64)
    values = np.maximum(np.array(ranges.values, dtype=np.int64), NO_RECORD)
    top = np.uint64((1 << ranges.bits) - 1)
    sizes = np.append(starts[1:], top) - starts
    if ranges.bits == 64:
        weight = np.minimum((sizes >> np.uint64(16)).astype(np.float64), _V6_CAP)
    else:
        weight = sizes.astype(np.float64)
    codes = np.array([one.country if one is not None else "" for one in database.locations])
    codes_of = codes[values]
    pools: dict[str, CountryNetworks] = {}
    for code in np.unique(codes_of).tolist():
        chosen = (codes_of == code) & (weight > 0)
        if code and chosen.any():
            pools[code] = CountryNetworks(
                starts=starts[chosen],
                sizes=sizes[chosen],
                weights=weight[chosen],
                locations=values[chosen],
            )
    return pools


def _draw(
    rng: np.random.Generator, pool: CountryNetworks | None, count: int, version: int
) -> list[str]:
    """`count` addresses from a country's ranges, perhaps some of them twice."""
    if pool is None or count <= 0:
        return []
    starts, sizes, cumulative = pool.starts, pool.sizes, np.cumsum(pool.weights)
    places = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right")
    offsets = (rng.random(count) * sizes[places].astype(np.float64)).astype(np.uint64)
    keys = (starts[places] + offsets).tolist()
    if version == 4:
        return [text_of(Address(4, key)) for key in keys]
    hosts = rng.integers(1, 1 << 62, count).tolist()
    return [text_of(Address(6, key << 64 | host)) for key, host in zip(keys, hosts, strict=True)]

"""The rules of placement written down a second time, without a thought for speed.

Of the code under test it uses the distance alone, which test_geodesy holds to another formula.
"""

import math
from hashlib import blake2b
from zlib import crc32

import numpy as np

from provisioner.placement.geodesy import distances_km, unit_vector, unit_vectors

MASK = 2**64 - 1


def allowed(unit, situation):
    location, policy = situation.location, situation.policy
    nowhere = location.latitude is None and not location.country
    if nowhere and policy.nowhere == "refuse":
        return False
    areas = unit.serves.countries + unit.serves.continents
    return (
        unit.accepting
        and unit.country not in policy.denied_countries
        and (not unit.tenants or situation.tenant in unit.tenants)
        and (not areas or location.country in areas or location.continent in areas)
    )


def tier(unit, location):
    if location.latitude is not None:
        here = unit_vector(location.latitude, location.longitude)
        there = unit_vectors(np.array([unit.latitude]), np.array([unit.longitude]))
        return float(distances_km(here, there)[0])
    if not location.country:
        return 0.0
    return 0.0 if unit.country == location.country else 1.0 + (unit.continent != location.continent)


def within_km(situation):
    if situation.location.latitude is None:
        return 0.0
    policy = situation.policy
    capped = min(policy.most_uncertainty_km, situation.location.uncertainty_km)
    return max(policy.least_uncertainty_km, capped)


def step(load):
    return math.floor(min(1.0, max(0.0, load)) * 20)


def attraction(client, unit):
    """splitmix64's finaliser over unit and slot, then the logarithmic method."""

    def hashed(name):
        return int.from_bytes(blake2b(name, digest_size=8).digest(), "big")

    z = hashed(b"slot %d" % (crc32(client) % 2048)) ^ hashed(unit.id.encode())
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    z ^= z >> 31
    return -unit.weight / math.log(((z >> 12) + 0.5) / 2**52)


def with_room(situation):
    return [u for u in situation.units if allowed(u, situation) and situation.room[u.index] > 0]


def nearest_tier(situation):
    return min(tier(u, situation.location) for u in with_room(situation))


def home(situation, client):
    """The index of the unit that takes the client, or None."""
    units = with_room(situation)
    if not units:
        return None
    limit = nearest_tier(situation) + within_km(situation)
    near = [u for u in units if tier(u, situation.location) <= limit]
    least = min(step(situation.load[u.index]) for u in near)
    free = [u for u in near if step(situation.load[u.index]) == least]
    return max(free, key=lambda u: attraction(client, u)).index

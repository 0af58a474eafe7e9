"""The rules of placement written down a second time, without a thought for speed.

Of the code under test it uses the distance alone, which test_geodesy holds to another formula.
"""

import math
from dataclasses import replace
from hashlib import blake2b
from zlib import crc32

import numpy as np

from provisioner.placement.geodesy import distances_km, unit_vector, unit_vectors
from provisioner.placement.ranking import PROXIMITY

MASK = 2**64 - 1


def allowed(unit, situation):
    location, policy = situation.location, situation.policy
    nowhere = location.latitude is None and not location.country
    if nowhere and policy.nowhere == "refuse":
        return False
    areas = unit.serves.countries + unit.serves.continents
    return (
        unit.accepting
        and not policy.denied
        and all(meant(unit, one.selector) is not one.forbids for one in policy.constraints)
        and (not unit.tenants or situation.tenant in unit.tenants)
        and (not areas or location.country in areas or location.continent in areas)
    )


def meant(unit, selector):
    parts = [
        (unit.id, selector.units),
        (unit.country, selector.countries),
        (unit.continent, selector.continents),
        *((unit.labels.get(name), values) for name, values in selector.labels.items()),
    ]
    return all(not wanted or value in wanted for value, wanted in parts)


def first_of(pairs, unit, otherwise):
    for selector, value in pairs:
        if meant(unit, selector):
            return value
    return otherwise


def class_of(unit, ranking):
    """Lower ones go before all others."""
    found = []
    for order in ranking.orders:
        if hasattr(order, "label"):
            price = unit.labels.get(order.label)
            found.append(math.inf if price is None else float(price) // order.band)
        else:
            last = len(order.selectors)
            which = range(last)
            found.append(
                min((at for at in which if meant(unit, order.selectors[at])), default=last)
            )
    return found


def tier(unit, situation):
    ranking = situation.policy.ranking
    classes = sorted({tuple(class_of(one, ranking)) for one in situation.units})
    before = classes.index(tuple(class_of(unit, ranking)))
    away = distance(unit, situation.location)
    bias = first_of(ranking.biases, unit, 0.0)
    if bias < 0:
        away *= 1 / (1 + bias / 100)
    else:
        away *= 1 - bias / 100
    if ranking.latency is not None:
        bounds = latency_bounds(ranking.latency)
        ms = latency(unit, situation)
        before = (len(bounds) + 1) * before + sum(ms > bound for bound in bounds)
    return 1e7 * before + (away if ranking.by_distance else 0.0)


def within_cap(unit, situation):
    caps = situation.policy.ranking.latency
    return caps is None or not caps.steps or latency(unit, situation) <= caps.limit_ms


def latency_bounds(caps):
    if caps.steps:
        return [caps.cap_ms, *(step.to_ms for step in caps.steps)]
    return [caps.cap_ms, caps.relax_to_ms]


def latency(unit, situation):
    """In ms, by what is known of the client's cell, or the way from its middle in fibre, half as
    long again, there and back."""
    location = situation.location
    known = situation.latencies.get(location.cell, {})
    if unit.id in known:
        return known[unit.id]
    if location.latitude is None:
        return math.inf
    middle = replace(
        location, latitude=round(location.latitude, 1), longitude=round(location.longitude, 1)
    )
    return 2 * 1.5 * distance(unit, middle) / 204.2


def distance(unit, location):
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


def attraction(client, unit, ranking=PROXIMITY):
    """splitmix64's finaliser over unit and slot, then the logarithmic method."""

    def hashed(name):
        return int.from_bytes(blake2b(name, digest_size=8).digest(), "big")

    z = hashed(b"slot %d" % (crc32(client) % 2048)) ^ hashed(unit.id.encode())
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    z ^= z >> 31
    weight = unit.weight * first_of(ranking.weights, unit, 1.0)
    return -weight / math.log(((z >> 12) + 0.5) / 2**52)


def with_room(situation):
    return [
        u
        for u in situation.units
        if allowed(u, situation) and within_cap(u, situation) and situation.room[u.index] > 0
    ]


def nearest_tier(situation):
    return min(tier(u, situation) for u in with_room(situation))


def home(situation, client):
    """The index of the unit that takes the client, or None."""
    units = with_room(situation)
    if not units:
        return None
    limit = nearest_tier(situation) + within_km(situation)
    near = [u for u in units if tier(u, situation) <= limit]
    ranking, free = situation.policy.ranking, near
    if ranking.by_load:
        least = min(step(situation.load[u.index]) for u in near)
        free = [u for u in near if step(situation.load[u.index]) == least]
    return max(free, key=lambda u: attraction(client, u, ranking)).index

"""The plan of one process of a load: which user does what, when and from where. Pure.

Users are numbers; those of process p are p, p + P, p + 2 P, …, and nobody else touches them. The
first of them have a home before the clock starts; the others are the new ones. Who is picked as
known has been there for a while, by the plan. Arrays of one length, in the order of time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.load.arrivals import BACK_AT, arrivals, day_rates, rates_of
from simulation.load.settings import LoadSettings, Scenario
from simulation.load.user_kinds import UserKind

SETTLED_S = 2.0  # a new user is picked as known no sooner than that
ROAMS = 1 << 15  # of a place: not where the user lives, but one of these
HOURS = 24
Numbers = NDArray[np.int64]
Longitudes = Callable[[Numbers], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """at_s, kinds, users and places in step. places: 0 where a user lives at first, and one more
    with each move; with ROAMS: where it is this once. prepared: users who have a home before."""

    at_s: NDArray[np.float64]
    kinds: NDArray[np.uint8]
    users: Numbers
    places: NDArray[np.uint16]
    prepared: Numbers


def plan_of(settings: LoadSettings, process: int, longitudes: Longitudes) -> LoadPlan:
    """The plan of process number `process`. longitudes: where users live, in degrees east; only
    asked for a day."""
    rng = np.random.default_rng((settings.seed, process))
    mine = np.arange(process, settings.users, settings.processes, dtype=np.int64)
    share = len(mine) / settings.users
    parts = [(mine, rates_of(settings, share))]
    if settings.scenario is Scenario.DAY:
        ahead = np.mod(np.round(longitudes(mine) / 15.0), HOURS)
        zones = [(hour, mine[ahead == hour]) for hour in range(HOURS)]
        parts = [
            (users, day_rates(settings, hour, len(users) / settings.users))
            for hour, users in zones
            if len(users)
        ]
    drawn = [_part(settings, users, arrivals(rates, rng), rng) for users, rates in parts]
    if settings.scenario is Scenario.HERD:
        drawn.append(_herd(settings, mine, rng))
    at_s = np.concatenate([one.at_s for one in drawn])
    order = np.argsort(at_s, kind="stable")
    users = np.concatenate([one.users for one in drawn])[order]
    kinds, places = _histories(users, np.concatenate([one.kinds for one in drawn])[order])
    prepared = np.concatenate([one.prepared for one in drawn])
    return LoadPlan(at_s[order], kinds, users, places, prepared)


@dataclass(frozen=True, slots=True)
class _Drawn:
    at_s: NDArray[np.float64]
    kinds: NDArray[np.uint8]
    users: Numbers
    prepared: Numbers


def _part(
    settings: LoadSettings, mine: Numbers, at_s: NDArray[np.float64], rng: np.random.Generator
) -> _Drawn:
    """What these users do at these times."""
    mix = settings.users_mix
    weights = np.array([mix.get(kind, 0.0) for kind in UserKind])
    kinds = rng.choice(len(weights), size=len(at_s), p=weights / weights.sum()).astype(np.uint8)
    new = kinds == UserKind.NEW
    fresh = min(len(mine), int(np.count_nonzero(new)))
    before = len(mine) - fresh
    count = np.cumsum(new)
    kinds[new & (count > fresh)] = UserKind.KNOWN
    came = np.minimum(count, fresh)
    earlier = np.searchsorted(at_s, at_s - SETTLED_S, side="right")
    settled = before + np.where(earlier > 0, came[np.maximum(earlier - 1, 0)], 0)
    picked = np.minimum((rng.random(len(at_s)) * settled).astype(np.int64), settled - 1)
    chosen = np.where(kinds == UserKind.NEW, before + came - 1, picked)
    there = chosen >= 0  # before anybody has come, nobody can be known
    return _Drawn(at_s[there], kinds[there], mine[chosen[there]], mine[:before])


def _herd(settings: LoadSettings, mine: Numbers, rng: np.random.Generator) -> _Drawn:
    """Everybody, once, from when they can come back."""
    back_s = settings.duration_s * BACK_AT
    at_s = back_s + np.sort(rng.random(len(mine))) * settings.herd_within_s
    kinds = np.full(len(mine), UserKind.KNOWN, dtype=np.uint8)
    return _Drawn(at_s, kinds, rng.permutation(mine), mine[:0])


def _histories(
    users: Numbers, kinds: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """kinds, where whoever was released is new the next time; and places."""
    order = np.argsort(users, kind="stable")
    whose, what = users[order], kinds[order].copy()
    same = np.zeros(len(whose), dtype=bool)
    same[1:] = whose[1:] == whose[:-1]
    after = np.flatnonzero(same & (np.roll(what, 1) == UserKind.RELEASED))
    for place in after.tolist():
        if what[place - 1] == UserKind.RELEASED:  # else it was made new here
            what[place] = UserKind.NEW
    moved = np.cumsum(what == UserKind.MOVING)
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(whose))))
    base = np.where(first > 0, moved[np.maximum(first - 1, 0)], 0) if len(whose) else moved
    home = np.mod(moved - base, ROAMS)
    roaming = what == UserKind.ROAMING
    places = np.where(roaming, ROAMS + np.mod(np.arange(len(whose)), ROAMS), home)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return what[back], places[back].astype(np.uint16)

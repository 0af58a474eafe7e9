"""choose: which candidate takes a client, given room and load as they are now. Pure.

The nearest unit with room wins. Units whose distance differs from its distance by no more
than the location's uncertainty are equal: nobody knows which is nearer. Of these the least
loaded wins, by steps of 5 % of capacity, because a finer comparison would send every
client somewhere else than the one before; and within a step rendezvous hashing decides, by
weight, so that a change of the fleet moves only clients it concerns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from provisioner.placement.candidates import CandidateList
from provisioner.placement.rendezvous import score, seed_of

LOAD_STEPS = 20  # of 5 % each

NEAREST = "nearest"  # one unit was nearer than all others
LEAST_LOADED = "least-loaded-near"  # of several equally near ones, the least loaded
SPREAD_NEAR = "spread-near"  # of several equally near and loaded ones, by hash
NEXT_BEST = "next-best"  # nearer ones were full
SPREAD = "spread"  # nobody knows where the client is


class Choice(NamedTuple):
    """The unit chosen. distance_km is -1 where it is not known."""

    unit_index: int
    distance_km: float
    rule: str


@dataclass(frozen=True, slots=True)
class NoChoice:
    """No unit takes the client. `allowed`: ids of those that may but are full; when empty
    none may, for `reason`."""

    allowed: tuple[str, ...]
    reason: str


def load_step(load: float) -> int:
    """Loads of one step count as the same."""
    return int(load * LOAD_STEPS)


def choose(
    candidates: CandidateList, client_key: str, room: Sequence[int], load: Sequence[float]
) -> Choice | NoChoice:
    """`room[i]` (slots that can be had, full at 0 and below) and `load[i]` (share of
    capacity taken, 0 to 1) belong to unit i of the fleet snapshot. `client_key` is tenant
    and client id; the same key chooses alike."""
    indices = candidates.indices
    if candidates.lone_first and room[indices[0]] > 0 if indices else False:
        return Choice(indices[0], candidates.distances_km[0], _lone_rule(candidates))
    tiers = candidates.tiers
    limit, skipped = float("inf"), False
    best, best_step, best_score = -1, LOAD_STEPS + 1, 0.0
    equals, tied, seed = 0, False, -1
    seeds, weights = candidates.fleet.seeds, candidates.fleet.weights
    for place, index in enumerate(indices):
        tier = tiers[place]
        if tier > limit:
            break
        if room[index] <= 0:
            skipped = True
            continue
        if not equals:
            limit = tier + candidates.equals_within
        equals += 1
        step = load_step(load[index])
        if step > best_step:
            continue
        if seed < 0 and equals > 1:
            seed = seed_of(client_key)
            best_score = score(seed, seeds[indices[best]], weights[indices[best]])
        this_score = score(seed, seeds[index], weights[index]) if equals > 1 else 0.0
        if step < best_step:
            tied = False
        else:
            tied = True
            if this_score < best_score:
                continue
        best, best_step, best_score = place, step, this_score
    if best < 0:
        return NoChoice(
            tuple(candidates.fleet.units[index].id for index in indices), candidates.refusal
        )
    if candidates.spread:
        rule = SPREAD
    elif skipped:
        rule = NEXT_BEST
    elif equals == 1:
        rule = NEAREST
    else:
        rule = SPREAD_NEAR if tied else LEAST_LOADED
    return Choice(indices[best], candidates.distances_km[best], rule)


def _lone_rule(candidates: CandidateList) -> str:
    return SPREAD if candidates.spread else NEAREST

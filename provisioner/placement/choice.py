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
from provisioner.placement.rendezvous import score, slot_of

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
    candidates: CandidateList, client_key: bytes, room: Sequence[int], load: Sequence[float]
) -> Choice | NoChoice:
    """`room[i]` (slots that can be had, full at 0 and below) and `load[i]` (share of
    capacity taken, 0 to 1) belong to unit i of the fleet snapshot. `client_key` names
    the client and its tenant; the same key chooses alike."""
    best = shortlist(candidates, room, load)
    if isinstance(best, NoChoice):
        return best
    if len(best.places) == 1:
        return best.choice(candidates, 0)
    slot = slot_of(client_key)
    seeds, weights = candidates.fleet.seeds, candidates.fleet.weights
    indices = [candidates.indices[place] for place in best.places]
    scores = [score(slot, seeds[index], weights[index]) for index in indices]
    return best.choice(candidates, scores.index(max(scores)))


@dataclass(frozen=True, slots=True)
class Shortlist:
    """The candidates between which only the hash decides, by place in the list. `looked_at`:
    how far down the list anything mattered."""

    places: tuple[int, ...]
    rule: str
    looked_at: int

    def choice(self, candidates: CandidateList, which: int) -> Choice:
        """The `which`-th of them."""
        place = self.places[which]
        return Choice(candidates.indices[place], candidates.distances_km[place], self.rule)


def shortlist(
    candidates: CandidateList, room: Sequence[int], load: Sequence[float]
) -> Shortlist | NoChoice:
    """Everything about a choice that does not depend on the client; arguments as in choose."""
    indices, tiers = candidates.indices, candidates.tiers
    limit, skipped, equals, least = float("inf"), False, 0, LOAD_STEPS + 1
    best: list[int] = []
    looked_at = 0
    for place, index in enumerate(indices):
        if tiers[place] > limit:
            break
        looked_at += 1
        if room[index] <= 0:
            skipped = True
            continue
        if not equals:
            limit = tiers[place] + candidates.equals_within
        equals += 1
        step = load_step(load[index])
        if step < least:
            best, least = [place], step
        elif step == least:
            best.append(place)
    if not best:
        names = tuple(candidates.fleet.units[index].id for index in indices)
        return NoChoice(names, candidates.refusal)
    if candidates.spread:
        rule = SPREAD
    elif skipped:
        rule = NEXT_BEST
    elif equals == 1:
        rule = NEAREST
    else:
        rule = SPREAD_NEAR if len(best) > 1 else LEAST_LOADED
    return Shortlist(tuple(best), rule, looked_at)

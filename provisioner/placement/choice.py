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

import numpy as np

from provisioner.placement.candidates import CandidateList, Place
from provisioner.placement.eligibility import EligibleUnits
from provisioner.placement.latency import CapInForce, LatencyCaps, cap_words
from provisioner.placement.rendezvous import scores_in_slot, slot_of

LOAD_STEPS = 20  # of 5 % each

NEAREST = "nearest"  # one unit was nearer than all others
LEAST_LOADED = "least-loaded-near"  # of several equally near ones, the least loaded
SPREAD_NEAR = "spread-near"  # of several equally near and loaded ones, by hash
NEXT_BEST = "next-best"  # nearer ones were full
SPREAD = "spread"  # nobody knows where the client is
SPILLOVER = "spillover"  # the units that its policy tries first had no room
HOOK = "hook"  # the hook of its policy named the unit, and no better one had room


class Choice(NamedTuple):
    """The unit chosen, and the rule by which it won."""

    unit_index: int
    rule: str


@dataclass(frozen=True, slots=True)
class NoChoice:
    """No unit takes the client. `allowed`: ids of those that may but are full (with caps in
    latency the nearest); when empty none may, for `reason`. rules: of a policy, that left it none.
    retry: whether it is to ask again where all are full. cap: in latency, that held; None: none."""

    allowed: tuple[str, ...]
    reason: str
    rules: tuple[str, ...] = ()
    retry: bool = True
    cap: CapInForce | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Shortlist:
    """The candidates between which only the hash decides. `looked_at`: how far down the list
    anything mattered."""

    choices: list[Choice]
    looked_at: int


def load_step(load: float) -> int:
    """Loads of one step count as the same: 0 to LOAD_STEPS, which is full and beyond."""
    return min(LOAD_STEPS, int(load * LOAD_STEPS)) if load > 0.0 else 0


def choose(
    candidates: CandidateList, client_key: bytes, room: Sequence[int], load: Sequence[float]
) -> Choice | NoChoice:
    """`room[i]` (slots that can be had, full at 0 and below) and `load[i]` (share of
    capacity taken, 0 to 1) belong to unit i of the fleet snapshot. `client_key` names
    the client and its tenant; the same key chooses alike.

    It sees only the list: where that is not whole and all of it was looked at, others may
    be as good or the only ones with room, and `Chooser` looks on among all units.
    """
    best = shortlist(candidates, room, load)
    if best is None:
        return nobody(candidates)
    return by_hash(best, candidates.eligible, client_key)


def by_hash(best: Shortlist, eligible: EligibleUnits, client_key: bytes) -> Choice:
    """Which of a shortlist a client gets."""
    if len(best.choices) == 1:
        return best.choices[0]
    units = [choice.unit_index for choice in best.choices]
    weights = eligible.weights[units]
    scores = scores_in_slot(slot_of(client_key), eligible.fleet.seeds[units], weights)
    return best.choices[int(np.argmax(scores))]


def nobody(candidates: CandidateList) -> NoChoice:
    """The answer when none of these has room, nor any that the list does not reach."""
    eligible = candidates.eligible
    caps = eligible.caps
    if caps is None or not eligible.ids:
        return NoChoice(eligible.ids, eligible.refusal, eligible.emptied_by)
    units = eligible.fleet.units
    allowed = tuple(units[index].id for index in candidates.indices)
    if allowed:
        return NoChoice(allowed, "")
    return NoChoice((), _beyond(caps, candidates.place), (caps.rule,))


def _beyond(caps: LatencyCaps, place: Place) -> str:
    """Why no unit is within the cap."""
    within = f"no unit that may take it is {cap_words(caps.limit_ms)}"
    if place.middle is None:
        return f"{within}, for its position is not known"
    return f"{within}, the widest that rule {caps.rule} allows"


def shortlist(
    candidates: CandidateList, room: Sequence[int], load: Sequence[float]
) -> Shortlist | None:
    """Everything about a choice that does not depend on the client; arguments as in choose.
    None: all are full."""
    indices, tiers, place = candidates.indices, candidates.tiers, candidates.place
    by_load = candidates.eligible.by_load
    limit, nearer_full, equals, least = float("inf"), False, 0, 0
    best: list[int] = []
    looked_at = 0
    for at, index in enumerate(indices):
        if tiers[at] > limit:
            break
        looked_at += 1
        if room[index] <= 0:
            continue
        step = load_step(load[index]) if by_load else 0
        if not equals:
            limit = tiers[at] + place.equals_within
            nearer_full = tiers[0] < tiers[at]
        equals += 1
        if not best or step < least:
            best, least = [at], step
        elif step == least:
            best.append(at)
    if not best:
        return None
    rule = rule_of(place, nearer_full=nearer_full, equals=equals, best=len(best))
    return Shortlist([Choice(indices[at], rule) for at in best], looked_at)


def rule_of(place: Place, *, nearer_full: bool, equals: int, best: int) -> str:
    """The rule by which `best` of `equals` equally near units with room were left."""
    if place.nowhere:
        return SPREAD
    if nearer_full:
        return NEXT_BEST
    if equals == 1:
        return NEAREST
    return SPREAD_NEAR if best > 1 else LEAST_LOADED

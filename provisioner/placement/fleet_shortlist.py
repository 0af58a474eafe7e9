"""The shortlist of a whole fleet, for places whose candidate list does not reach far enough.

That is so when the kept candidates are full, when hundreds are equally near, and when
nobody knows where the client is. The rules are those of `choose`, written over arrays: a
Python loop over 10,000 units would hold a server up for milliseconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from provisioner.placement.candidates import Place
from provisioner.placement.choice import Choice, rule_of
from provisioner.placement.eligibility import EligibleUnits
from provisioner.placement.rendezvous import scores_in_slot


class FleetShortlist:
    """The units between which only the hash decides. There may be thousands, so who wins a
    slot is found when it is first asked for."""

    __slots__ = ("_eligible", "_indices", "_rule", "_winners")

    def __init__(self, eligible: EligibleUnits, best: NDArray[np.intp], rule: str) -> None:
        self._eligible = eligible
        self._indices = eligible.indices[best]
        self._rule = rule
        self._winners: dict[int, Choice] = {}

    def choice(self, slot: int) -> Choice:
        """The choice for clients of this slot."""
        found = self._winners.get(slot)
        if found is None:
            units = self._indices
            seeds, weights = self._eligible.fleet.seeds[units], self._eligible.weights[units]
            scores = scores_in_slot(slot, seeds, weights)
            found = Choice(int(units[int(np.argmax(scores))]), self._rule)
            self._winners[slot] = found
        return found


def shortlist_fleet(
    eligible: EligibleUnits, place: Place, is_open: NDArray[np.uint8], steps: NDArray[np.uint8]
) -> FleetShortlist | None:
    """The shortlist among all of `eligible`, None when none has room. `is_open[i]` (0 or 1)
    and `steps[i]` (of load) belong to unit i of the fleet snapshot."""
    has_room = is_open[eligible.indices] != 0
    if not has_room.any():
        return None
    tiers = place.tiers(eligible)
    if eligible.caps is not None:
        has_room &= tiers < np.inf
        if not has_room.any():
            return None
    nearest = tiers[has_room].min()
    near = np.flatnonzero(has_room & (tiers <= nearest + place.equals_within))
    best = near
    if eligible.by_load:
        near_steps = steps[eligible.indices[near]]
        best = near[near_steps == near_steps.min()]
    rule = rule_of(place, nearer_full=bool(tiers.min() < nearest), equals=len(near), best=len(best))
    return FleetShortlist(eligible, best, rule)

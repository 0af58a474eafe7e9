"""Latency: how long a round trip from places to units takes, and what a policy makes of it. Pure.

What was measured between a place and a unit counts; where nothing was, what light in fibre needs
on a path half as long again as the great circle (R. Durairajan et al., "InterTubes: a study of the
US long-haul fiber-optic infrastructure", SIGCOMM 2015, and I. N. Bozkurt et al., "Why is the
Internet so slow?!", PAM 2017, have paths of 1.5 to 2 times): what distance costs alone, without
access networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

import numpy as np

from provisioner.placement.geodesy import Floats

FIBRE_KM_PER_MS = 204.2  # light, at a refractive index of 1.468
PATH_STRETCH = 1.5


def latency_ms(distance_km: float) -> float:
    """The least round trip over that distance.

    >>> round(latency_ms(1000), 1)
    14.7
    """
    return 2 * distance_km * PATH_STRETCH / FIBRE_KM_PER_MS


def latencies_ms(distances_km: Floats) -> Floats:
    """`latency_ms` of each; shape as given."""
    found: Floats = distances_km * (2 * PATH_STRETCH / FIBRE_KM_PER_MS)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class CapStep:
    """From `after_s` seconds of waiting on units within `to_ms` may be had; inf: any."""

    after_s: float
    to_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyCaps:
    """Units within `cap_ms` go first, all of them alike; then those within `relax_to_ms`, which is
    no less; then all others.

    With `steps`, which grow in both, the cap holds, and so does each step's from its time on: units
    within `cap_ms` go first, then those within each step's; units beyond `limit_ms`, which is one
    of these, are not to be had. rule: of the policy, that says so.
    """

    cap_ms: float
    relax_to_ms: float
    steps: tuple[CapStep, ...] = ()
    limit_ms: float = inf
    rule: str = ""

    @property
    def bounds(self) -> tuple[float, ...]:
        """Between one class and the next, in ms, ascending."""
        if not self.steps:
            return self.cap_ms, self.relax_to_ms
        return self.cap_ms, *(step.to_ms for step in self.steps)

    @property
    def class_count(self) -> int:
        """So many latency classes there are, the one beyond all bounds included."""
        return len(self.bounds) + 1

    def classes(self, ms: Floats) -> Floats:
        """Of each latency how many bounds it is above, from 0.0; inf where a unit is not to be had;
        shape as given."""
        beyond: Floats = np.zeros(ms.shape)
        for bound in self.bounds:
            beyond += ms > bound
        beyond[ms > self.limit_ms] = inf
        return beyond

    def step_at(self, waited_s: float) -> int:
        """Which of `bounds` holds for who has waited so long."""
        return sum(waited_s >= step.after_s for step in self.steps)

    def at_step(self, step: int) -> LatencyCaps:
        """The same where this one of `bounds` holds."""
        return replace(self, limit_ms=self.bounds[step])

    def words(self, ms: float) -> str:
        """Where a latency lies, for explanations."""
        below = None
        for bound in self.bounds:
            if ms <= bound < inf:
                within = f"within {bound:g} ms"
                return within if below is None else f"above {below:g} ms and {within}"
            below = bound if bound < inf else below
        return f"above {below:g} ms" if ms < inf else "at an unknown latency"


def cap_words(ms: float) -> str:
    """A cap, for explanations.

    >>> cap_words(50.0), cap_words(inf)
    ('within 50 ms', 'at any latency')
    """
    return f"within {ms:g} ms" if ms < inf else "at any latency"


@dataclass(frozen=True, slots=True, kw_only=True)
class CapInForce:
    """The cap that holds for who has waited for `waited_s`. next_ms: the one that follows, from
    `next_after_s` of waiting on; both inf: none does."""

    limit_ms: float
    waited_s: float = 0.0
    next_ms: float = inf
    next_after_s: float = inf

    @property
    def left_s(self) -> float:
        """Until the next step."""
        return max(0.0, self.next_after_s - self.waited_s)

    @property
    def words(self) -> str:
        """What holds and what follows, as a clause of a sentence."""
        waited = "it begins to wait now"
        if self.waited_s:
            waited = f"it has waited for {self.waited_s:,.0f} s"
        if self.waited_s == inf:
            waited = "it has waited for as long as may be"
        now = f"{waited}, and may live {cap_words(self.limit_ms)}"
        if self.left_s == inf:
            return now
        return f"{now}, from {self.next_after_s:g} s on {cap_words(self.next_ms)}"


def cap_in_force(caps: LatencyCaps, step: int, waited_s: float) -> CapInForce:
    """Of one of the bounds of caps with steps; who has waited for less passed steps over."""
    if step >= len(caps.steps):
        return CapInForce(limit_ms=caps.bounds[step], waited_s=waited_s)
    following = caps.steps[step]
    return CapInForce(
        limit_ms=caps.bounds[step],
        waited_s=waited_s,
        next_ms=following.to_ms,
        next_after_s=following.after_s,
    )


class Latencies(Protocol):
    """What was measured."""

    def of(self, cell: str, country: str, continent: str) -> Mapping[str, float]:
        """Milliseconds by unit id, of those that are known, between clients of a place and
        units; the same for all clients of a cell."""
        ...


class NothingMeasured:
    """Latencies of which none is known."""

    def of(self, cell: str, country: str, continent: str) -> Mapping[str, float]:
        return {}


NOTHING_MEASURED = NothingMeasured()

"""WeightedRun: classes of clients as they fill units, so that a billion cost what classes cost.

Clients of a class come evenly within each part of the time, so units fill along straight lines
between moments at which one fills or enters another step of load. Those are taken in their order,
and the classes that one concerns are decided again; nothing is drawn. What chance does to real
clients is left out: of N clients at a unit, some sqrt(N).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from provisioner.placement.choice import LOAD_STEPS, load_step
from simulation.policy.decisions import Decision, Decisions

_NEVER = float("inf")


class Segment(NamedTuple):
    """What clients of a class got from `begin` to `end`, in clients of the class that had come."""

    begin: float
    end: float
    decision: Decision


@dataclass(frozen=True, slots=True, eq=False)
class WeightedOutcome:
    """segments: of each class, in order; over_time: clients of each unit at the end of each part
    of the time, shape (parts, units)."""

    segments: list[list[Segment]]
    over_time: NDArray[np.float64]


class WeightedRun:
    """clients: of each class of `decisions`; shares: the share of them that comes in each part of
    the time, shape (parts,) each, or one for all."""

    def __init__(
        self,
        decisions: Decisions,
        clients: Sequence[float],
        shares: Sequence[NDArray[np.float64]],
    ) -> None:
        self._decisions = decisions
        self._fleet = decisions.simulated
        self._parts = len(shares[0])
        self._per_part = [
            (share * count).tolist() for share, count in zip(shares, clients, strict=True)
        ]
        units = len(self._fleet.capacities)
        self._now = 0.0
        self._count = [0.0] * units
        self._since = [0.0] * units
        self._rate = [0.0] * units  # clients of a part of the time
        self._step = [load_step(load) for load in self._fleet.load]
        self._version = [0] * units
        self._moments: list[tuple[float, int, int]] = []
        classes = len(decisions)
        self._current: list[Decision | None] = [None] * classes
        self._class_rate = [0.0] * classes
        self._come = [0.0] * classes  # clients of the class by `_class_since`
        self._class_since = [0.0] * classes
        self._begun = [0.0] * classes  # clients of the class when its decision was made
        self._segments: list[list[Segment]] = [[] for _ in range(classes)]

    def run(self) -> WeightedOutcome:
        over_time = np.zeros((self._parts, len(self._count)))
        for number, per_part in enumerate(self._per_part):
            if sum(per_part) > 0.0:
                self._current[number] = self._decisions.decide(number)
        for part in range(self._parts):
            self._begin(part)
            self._run_until(float(part + 1))
            for unit in range(len(self._count)):
                self._bring_up(unit)
            over_time[part] = self._count
        for number, decision in enumerate(self._current):
            if decision is not None:
                self._bring_up_class(number)
                self._end_segment(number, decision)
        return WeightedOutcome(self._segments, over_time)

    def _begin(self, part: int) -> None:
        """All classes come at the rates of this part."""
        self._now = float(part)
        rates = [0.0] * len(self._rate)
        for number, decision in enumerate(self._current):
            if decision is None:
                continue
            self._bring_up_class(number)
            rate = self._class_rate[number] = self._per_part[number][part]
            for unit, share in zip(decision.units, decision.shares, strict=True):
                rates[unit] += rate * share
        for unit, rate in enumerate(rates):
            self._bring_up(unit)
            self._rate[unit] = rate
            self._expect(unit)

    def _run_until(self, end: float) -> None:
        while self._moments and self._moments[0][0] < end:
            at, unit, version = heappop(self._moments)
            if version != self._version[unit]:
                continue
            self._now = at
            self._enter_next_step(unit)
        self._now = end

    def _enter_next_step(self, unit: int) -> None:
        step = self._step[unit] = self._step[unit] + 1
        self._since[unit] = self._now
        self._count[unit] = step * self._fleet.capacities[unit] / LOAD_STEPS
        self._fleet.enter_step(unit, step)
        full = step >= LOAD_STEPS
        found = self._decisions.filled(unit) if full else self._decisions.entered_step(unit)
        touched = {unit}
        for number in sorted(found):
            self._again(number, touched)
        for other in touched:
            self._expect(other)

    def _again(self, number: int, touched: set[int]) -> None:
        before = self._current[number]
        if before is None:
            return
        self._bring_up_class(number)
        self._end_segment(number, before)
        after = self._current[number] = self._decisions.decide(number)
        rate = self._class_rate[number]
        for decision, sign in ((before, -1.0), (after, 1.0)):
            for unit, share in zip(decision.units, decision.shares, strict=True):
                self._bring_up(unit)
                self._rate[unit] = max(0.0, self._rate[unit] + sign * rate * share)
                touched.add(unit)

    def _end_segment(self, number: int, decision: Decision) -> None:
        begun, come = self._begun[number], self._come[number]
        if come > begun:
            self._segments[number].append(Segment(begun, come, decision))
            self._begun[number] = come

    def _bring_up(self, unit: int) -> None:
        """A unit's clients are those of now."""
        more = self._rate[unit] * (self._now - self._since[unit])
        self._count[unit] += more
        self._since[unit] = self._now

    def _bring_up_class(self, number: int) -> None:
        self._come[number] += self._class_rate[number] * (self._now - self._class_since[number])
        self._class_since[number] = self._now

    def _expect(self, unit: int) -> None:
        """When the unit enters its next step, at the rate of now."""
        self._version[unit] += 1
        step, rate = self._step[unit], self._rate[unit]
        if step >= LOAD_STEPS or rate <= 1e-12:
            return
        missing = (step + 1) * self._fleet.capacities[unit] / LOAD_STEPS - self._count[unit]
        at = self._since[unit] + max(0.0, missing) / rate
        heappush(self._moments, (at, unit, self._version[unit]))

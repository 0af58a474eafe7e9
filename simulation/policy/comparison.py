"""Comparison: everybody placed under one policy and fleet, and under another, next to each other.

Both sides see the same clients in the same order; a side with more clients sees more of them. So
who is placed where before and where after is known of each client, or of each class of clients,
and what a change of policy, a missing unit or growth moves can be told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from simulation.policy.arrivals import HOURS, even_shares, hourly_shares
from simulation.policy.client_classes import ClientClasses, chunks
from simulation.policy.decisions import Decision, Decisions
from simulation.policy.exact import ExactRun
from simulation.policy.weighted import Segment, WeightedOutcome, WeightedRun

PARTS = HOURS  # of the time of a simulation, for which loads are told
CHUNK = 1 << 17
_MOST_DENSE = 1 << 23


@dataclass(slots=True, kw_only=True)
class Side:
    """What one side comes to. flows: (class, unit) -> clients, unit -1 where none was found;
    rules: clients by the rule that decided; over_time: clients of each unit at the end of each
    part of the time, shape (PARTS, units)."""

    clients: float
    flows: dict[tuple[int, int], float] = field(default_factory=dict)
    rules: dict[str, float] = field(default_factory=dict)
    over_time: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSides:
    """Both sides. moves: (unit before, unit after) -> clients, of those that both sides have;
    -1: placed nowhere."""

    before: Side
    after: Side
    moves: dict[tuple[int, int], float]


class OrderedClients(Protocol):
    """Clients in the order in which they come, numbered from 0."""

    def clients(self, first: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(classes, slots) of those from `first` on; shape (count,) each."""
        ...


class _Told(Protocol):
    """clients: of each unit by now; rules: by their numbers."""

    @property
    def rules(self) -> Sequence[str]: ...

    @property
    def clients(self) -> list[int]: ...


class PlacingRun(_Told, Protocol):
    """Where clients live, chunk by chunk, as ExactRun has it."""

    def place(
        self, classes: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int16]]: ...


class BegunRun(_Told, Protocol):
    """The same where a chunk is begun, and waited for later: somebody else is at it meanwhile."""

    def begin(self, classes: NDArray[np.int64], slots: NDArray[np.int64]) -> None: ...

    def placed(self) -> tuple[NDArray[np.int32], NDArray[np.int16]]: ...


class _OnTheSpot:
    """A run that is at it when it is waited for."""

    def __init__(self, run: PlacingRun) -> None:
        self._run = run
        self._begun: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    @property
    def rules(self) -> Sequence[str]:
        return self._run.rules

    @property
    def clients(self) -> list[int]:
        return self._run.clients

    def begin(self, classes: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        self._begun = classes, slots

    def placed(self) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
        assert self._begun is not None
        return self._run.place(*self._begun)


class _Pairs:
    """Counts pairs of numbers, many at a time."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._times = np.zeros(0, dtype=np.int64)
        self._rare: dict[int, int] = {}  # beyond what an array is made for

    def add(self, rows: NDArray[np.int64], columns: NDArray[np.int32]) -> None:
        """Pairs in step; columns from -1 on."""
        codes = rows * self._columns + (columns + 1)
        found, times = np.unique(codes, return_counts=True)
        highest = int(found[-1])
        if len(self._times) <= highest < _MOST_DENSE:
            self._times = np.concatenate((self._times, np.zeros(highest + 1, dtype=np.int64)))
        dense = found < len(self._times)
        self._times[found[dense]] += times[dense]
        for code, more in zip(found[~dense].tolist(), times[~dense].tolist(), strict=True):
            self._rare[code] = self._rare.get(code, 0) + more

    def counts(self, *, rows_from: int = 0) -> dict[tuple[int, int], float]:
        """By pair; rows_from: what row 0 stands for."""
        codes = np.flatnonzero(self._times)
        found = dict(zip(codes.tolist(), self._times[codes].tolist(), strict=True))
        for code, times in self._rare.items():
            found[code] = found.get(code, 0) + times
        return {
            (code // self._columns + rows_from, code % self._columns - 1): float(times)
            for code, times in found.items()
        }


class _Chunk(NamedTuple):
    """Clients that come one after another."""

    first: int
    length: int
    classes: NDArray[np.int64]
    slots: NDArray[np.int64]


def compare_exactly(
    clients: OrderedClients,
    before: tuple[Decisions, int],
    after: tuple[Decisions, int],
    advance: Callable[[int], None],
    *,
    lived: PlacingRun | None = None,
    apart: BegunRun | None = None,
) -> ComparedSides:
    """Client by client. before, after: decisions and how many clients come; advance: called with
    how many more are done; lived: where they live in fact before, None: where they are placed;
    apart: who places those of the side after, None: this process."""
    runs: list[BegunRun] = [
        _OnTheSpot(lived or ExactRun(before[0])),
        apart or _OnTheSpot(ExactRun(after[0])),
    ]
    others = [np.array(run.clients) for run in runs]
    counts = [count for _, count in (before, after)]
    units = len(before[0].simulated.capacities)
    ends = [[round(count * (part + 1) / PARTS) for part in range(PARTS)] for count in counts]
    sides = [Side(clients=count, over_time=np.zeros((PARTS, units))) for count in counts]
    flows = [_Pairs(units + 1) for _ in runs]
    moves = _Pairs(units + 1)
    coming = (
        _Chunk(first, count, *clients.clients(first, count))
        for first, count in chunks(sorted({*ends[0], *ends[1]}), CHUNK)
    )
    chunk = next(coming, None)
    if chunk is not None:
        _begin(runs, counts, chunk)
    while chunk is not None:
        found: list[NDArray[np.int32]] = []
        following: _Chunk | None = None
        for at, run in enumerate(runs):
            if at == 1:
                following = next(coming, None)  # while the other side is still at this one
            if chunk.first >= counts[at]:
                continue
            targets, rules = run.placed()
            found.append(targets)
            times = np.bincount(rules, minlength=len(run.rules)).tolist()
            for rule, more in zip(run.rules, times, strict=True):
                sides[at].rules[rule] = sides[at].rules.get(rule, 0.0) + more
            for part, end in enumerate(ends[at]):
                if end == chunk.first + chunk.length:
                    sides[at].over_time[part] = np.array(run.clients) - others[at]
        if following is not None:
            _begin(runs, counts, following)
        live = [at for at, count in enumerate(counts) if chunk.first < count]
        for at, targets in zip(live, found, strict=True):
            flows[at].add(chunk.classes, targets)
        if len(found) == 2:
            moves.add(found[0].astype(np.int64) + 1, found[1])
        advance(chunk.length)
        chunk = following
    for side, pairs in zip(sides, flows, strict=True):
        side.flows = pairs.counts()
    return ComparedSides(before=sides[0], after=sides[1], moves=moves.counts(rows_from=-1))


def _begin(runs: Sequence[BegunRun], counts: Sequence[int], chunk: _Chunk) -> None:
    for run, count in zip(runs, counts, strict=True):
        if chunk.first < count:
            run.begin(chunk.classes, chunk.slots)


def compare_classes(
    classes: ClientClasses,
    weights: Sequence[float],
    before: tuple[Decisions, float],
    after: tuple[Decisions, float],
    advance: Callable[[int], None],
    *,
    sun: bool = False,
) -> ComparedSides:
    """By classes. weights: the share of all clients in each; sun: they come by the hours of day at
    their places, and otherwise evenly."""
    even = even_shares()
    shares = [hourly_shares(one.longitude) if sun else even for one in classes.locations]
    outcomes: list[WeightedOutcome] = []
    sides: list[Side] = []
    for decisions, count in (before, after):
        found = WeightedRun(decisions, [weight * count for weight in weights], shares).run()
        outcomes.append(found)
        sides.append(_side(found, count))
        advance(1)
    moves: dict[tuple[int, int], float] = {}
    scales = (before[1], after[1])
    both = min(scales)
    # A class has the same share of all clients on both sides, whichever side has more of them.
    for number, segments in enumerate(zip(outcomes[0].segments, outcomes[1].segments, strict=True)):
        come = weights[number] * both
        _add_moves(moves, segments[0], segments[1], come)
    advance(1)
    return ComparedSides(before=sides[0], after=sides[1], moves=moves)


def _side(found: WeightedOutcome, count: float) -> Side:
    side = Side(clients=count, over_time=found.over_time)
    for number, segments in enumerate(found.segments):
        for segment in segments:
            decision, clients = segment.decision, segment.end - segment.begin
            side.rules[decision.rule] = side.rules.get(decision.rule, 0.0) + clients
            for unit, share in _parts(decision):
                key = (number, unit)
                side.flows[key] = side.flows.get(key, 0.0) + clients * share
    return side


def _parts(decision: Decision) -> Sequence[tuple[int, float]]:
    if not decision.units:
        return ((-1, 1.0),)
    return tuple(zip(decision.units, decision.shares, strict=True))


def _add_moves(
    moves: dict[tuple[int, int], float],
    before: Sequence[Segment],
    after: Sequence[Segment],
    come: float,
) -> None:
    """Of a class, as far as `come` of its clients had come on both sides."""
    one, other, at = 0, 0, 0.0
    while one < len(before) and other < len(after) and at < come:
        end = min(before[one].end, after[other].end, come)
        if end > at:
            for pair, share in _joint(before[one].decision, after[other].decision):
                moves[pair] = moves.get(pair, 0.0) + (end - at) * share
        at = max(at, end)
        if before[one].end <= end:
            one += 1
        if other < len(after) and after[other].end <= end:
            other += 1


def _joint(before: Decision, after: Decision) -> Sequence[tuple[tuple[int, int], float]]:
    """The share of clients by their units on both sides: the same slot on both."""
    if before.table is None or after.table is None:
        return [
            ((one, other), share * part)
            for one, share in _parts(before)
            for other, part in _parts(after)
        ]
    found, times = np.unique(before.table.astype(np.int64) << 32 | after.table, return_counts=True)
    slots = len(before.table)
    return [
        ((code >> 32, code & 0xFFFFFFFF), count / slots)
        for code, count in zip(found.tolist(), times.tolist(), strict=True)
    ]

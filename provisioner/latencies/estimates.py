"""LatencyEstimates: what clients of a cell measured to a unit, as a figure that none of them sets.

Of each pair of cell and unit the last report of each client is kept, of few clients of each
network. Reports lose half their weight with each half-life, no network has more than a third of
all weight, and the figure is the weighted median: whatever one network reports, the figure stays
between the quartiles of what the others do. Pairs of which too few networks told are unknown.
Weighted medians bound what a minority can do (D. L. Donoho and P. J. Huber, "The notion of
breakdown point", 1983). Pure state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType
from typing import TypeAlias

MOST_PAIRS = 50_000  # of cell and unit, those reported last
MOST_NETWORKS = 12  # of a pair, those reported last
MOST_CLIENTS = 6  # of a network at a pair
LEAST_NETWORKS = 3  # before a pair is known
MOST_SHARE = 1 / 3  # of all weight, of one network
HALF_LIFE_S = 3_600.0
FORGOTTEN_S = 6 * HALF_LIFE_S
_ROUNDING = 1e-12

Pair: TypeAlias = tuple[str, str]  # cell, unit id
_NOTHING: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Estimate:
    """ms: round trip; reports: of so many clients; networks: in so many; age_s: since the last."""

    ms: float
    reports: int
    networks: int
    age_s: float


@dataclass(frozen=True, slots=True)
class _Report:
    ms: float
    at: float


_Networks: TypeAlias = "OrderedDict[str, OrderedDict[str, _Report]]"  # by network, by client


class LatencyEstimates:
    """Times are seconds of one monotonic clock."""

    def __init__(self, *, most_pairs: int = MOST_PAIRS) -> None:
        self._most_pairs = most_pairs
        self._pairs: OrderedDict[Pair, _Networks] = OrderedDict()

    def __len__(self) -> int:
        """Pairs of which something was reported."""
        return len(self._pairs)

    def record(self, cell: str, unit: str, network: str, client: str, ms: float, at: float) -> None:
        """A client in a cell measured so many ms to a unit. network: that its address is in."""
        networks = self._pairs.setdefault((cell, unit), OrderedDict())
        self._pairs.move_to_end((cell, unit))
        if len(self._pairs) > self._most_pairs:
            self._pairs.popitem(last=False)
        clients = networks.setdefault(network, OrderedDict())
        networks.move_to_end(network)
        if len(networks) > MOST_NETWORKS:
            networks.popitem(last=False)
        clients[client] = _Report(ms, at)
        clients.move_to_end(client)
        if len(clients) > MOST_CLIENTS:
            clients.popitem(last=False)

    def of(self, cell: str, unit: str, now: float) -> Estimate | None:
        """None: it is not known."""
        networks = self._pairs.get((cell, unit))
        return None if networks is None else _estimate(networks, now)

    def pairs(self) -> list[Pair]:
        """Of which something was reported."""
        return list(self._pairs)

    def refreshed(self, cell: str, unit: str, now: float) -> Estimate | None:
        """As `of`; what is forgotten by now is dropped."""
        networks = self._pairs.get((cell, unit))
        if networks is None:
            return None
        _forget(networks, now)
        if not networks:
            del self._pairs[cell, unit]
            return None
        return _estimate(networks, now)

    def all(self, now: float) -> dict[str, dict[str, Estimate]]:
        """Those that are known, by cell and unit; what is forgotten is dropped."""
        found: dict[str, dict[str, Estimate]] = {}
        for cell, unit in self.pairs():
            estimate = self.refreshed(cell, unit, now)
            if estimate is not None:
                found.setdefault(cell, {})[unit] = estimate
        return found


class MeasuredCells:
    """Estimates as placement asks for them, as they were at one time."""

    def __init__(self, estimates: Mapping[str, Mapping[str, Estimate]]) -> None:
        self.estimates = estimates
        self._ms = {
            cell: {unit: one.ms for unit, one in of_cell.items()}
            for cell, of_cell in estimates.items()
        }

    def of(self, cell: str, country: str, continent: str) -> Mapping[str, float]:
        """As Latencies has it."""
        return self._ms.get(cell, _NOTHING)

    def differs_from(self, other: MeasuredCells, *, by: float) -> bool:
        """Whether a figure came, went, or changed by more than this share."""
        if self._ms.keys() != other._ms.keys():
            return True
        return any(
            units.keys() != other._ms[cell].keys()
            or any(abs(ms - other._ms[cell][unit]) > by * ms for unit, ms in units.items())
            for cell, units in self._ms.items()
        )


def weighted_median(pairs: Iterable[tuple[float, float]]) -> float:
    """Of (value, weight) pairs, at least one: half of all weight is at it or below.

    >>> weighted_median([(10.0, 1.0), (20.0, 1.0), (90.0, 1.0)])
    20.0
    """
    ordered = sorted(pairs)
    half = sum(weight for _, weight in ordered) / 2
    reached = 0.0
    for value, weight in ordered:
        reached += weight
        if reached >= half:
            return value
    return ordered[-1][0]


def capped(weights: Sequence[float], share: float) -> list[float]:
    """Weights, at least 1/share of them, of which none is more than this share of all that are
    left: the largest are made less, as little as that takes.

    >>> capped([1.0, 1.0, 10.0], 0.5)
    [1.0, 1.0, 2.0]
    """
    ordered = sorted(weights)
    cap, most = ordered[-1], ceil(1 / share - _ROUNDING)
    if cap > share * sum(ordered):
        for many in range(1, most):  # so many are at the cap: cap = share (rest + many cap)
            rest = ordered[:-many]
            cap = share * sum(rest) / (1.0 - share * many)
            if cap >= rest[-1] - _ROUNDING:
                break
        else:
            cap = ordered[-most]
    return [min(weight, cap) for weight in weights]


def _forget(networks: _Networks, now: float) -> None:
    for network, clients in list(networks.items()):
        for client, report in list(clients.items()):
            if now - report.at >= FORGOTTEN_S:
                del clients[client]
        if not clients:
            del networks[network]


def _estimate(networks: _Networks, now: float) -> Estimate | None:
    reports: list[list[tuple[float, float]]] = []
    last, count = 0.0, 0
    for clients in networks.values():
        fresh = [one for one in clients.values() if now - one.at < FORGOTTEN_S]
        if fresh:
            # However many of its clients told: a network has the weight of its newest report.
            reports.append([(one.ms, 0.5 ** ((now - one.at) / HALF_LIFE_S)) for one in fresh])
            last = max(last, *(one.at for one in fresh))
            count += len(fresh)
    if len(reports) < LEAST_NETWORKS:
        return None
    weights = [max(weight for _, weight in one) for one in reports]
    pairs: list[tuple[float, float]] = []
    for one, weight in zip(reports, capped(weights, MOST_SHARE), strict=True):
        pairs.append((weighted_median(one), weight))
    return Estimate(weighted_median(pairs), count, len(reports), max(0.0, now - last))

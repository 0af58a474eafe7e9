"""LatencyEstimates: what clients of a cell measured to a unit, as a figure that none of them sets.

Of each pair of cell and unit the last report of each client is kept, of few clients of each
network. The clients of a network are one voice, and `voices` says what these come to. Pairs of
which too few networks told are unknown. Pure state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from provisioner.latencies.voices import (
    FORGOTTEN_S,
    MOST_NETWORKS,
    Estimate,
    Pair,
    Voice,
    joined,
    weight,
    weighted_median,
)

MOST_PAIRS = 50_000  # of cell and unit, those reported last
MOST_CLIENTS = 6  # of a network at a pair

_NOTHING: Mapping[str, float] = MappingProxyType({})


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
        return joined(self.voices(cell, unit, now), now)

    def pairs(self) -> list[Pair]:
        """Of which something was reported."""
        return list(self._pairs)

    def voices(self, cell: str, unit: str, now: float) -> list[Voice]:
        """Of the networks that told of a pair, those heard last at the end; what is forgotten by
        now is dropped."""
        networks = self._pairs.get((cell, unit))
        if networks is None:
            return []
        _forget(networks, now)
        if not networks:
            del self._pairs[cell, unit]
        return [_voice(network, clients.values(), now) for network, clients in networks.items()]

    def all(self, now: float) -> dict[str, dict[str, Estimate]]:
        """Those that are known, by cell and unit; what is forgotten is dropped."""
        found: dict[str, dict[str, Estimate]] = {}
        for cell, unit in self.pairs():
            estimate = self.of(cell, unit, now)
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


def _forget(networks: _Networks, now: float) -> None:
    for network, clients in list(networks.items()):
        for client, report in list(clients.items()):
            if now - report.at >= FORGOTTEN_S:
                del clients[client]
        if not clients:
            del networks[network]


def _voice(network: str, reports: Iterable[_Report], now: float) -> Voice:
    told = list(reports)
    return Voice(
        network=network,
        ms=weighted_median((one.ms, weight(one.at, now)) for one in told),
        clients=len(told),
        at=max(one.at for one in told),
    )
